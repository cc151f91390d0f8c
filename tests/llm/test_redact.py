from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.llm.redact import SAID_MAX_CHARS, redact, said, secrets_in


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abc123DEF456ghi.",
        "key sk-ant-api03-AbCdEf-123456 refused",
        "Authorization: Bearer abc.def-ghi_jkl",
        "http://user:hunter2hunter2@example.com/v1",
        "AIzaSyA1234567890abcdefghij is not valid",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig",
    ],
)
def test_whatever_has_the_shape_of_a_key_is_replaced(text: str) -> None:
    shown = redact(text, ())

    assert "[secret]" in shown
    for part in ("abc123", "AbCdEf", "abc.def", "hunter2", "AIzaSy", "eyJ"):
        assert part not in shown


def test_values_of_secret_variables_are_replaced_whatever_their_shape() -> None:
    variables = {"MY_API_KEY": "plain words here", "PATH": "/usr/bin:/bin", "X_TOKEN": "short"}
    secrets = secrets_in(variables)

    assert secrets == ("plain words here",)
    assert redact("got plain words here in /usr/bin:/bin", secrets) == (
        "got [secret] in /usr/bin:/bin"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("litellm.AuthenticationError: AuthenticationError: OpenAIException - no", "no"),
        ("litellm.Timeout: Timeout Error: OpenAIException - late", "late"),
        ("Error code: 500 - oops", "oops"),
        ("plain\n  text\x1b[2J", "plain text\u241b[2J"),
        ("<!DOCTYPE html><html><body>x</body></html>", "an HTML page"),
        ("it broke\nTraceback (most recent call last):\n  File '/home/me/x.py'", "it broke"),
        ('AnthropicException - b\'{"error": {"message": "not \\u0041"}}\'', "not A"),
        ("x Original exception: y", "x"),
        ("", ""),
    ],
)
def test_what_a_provider_said_is_one_plain_line(text: str, shown: str) -> None:
    assert said(text, ()) == shown


def test_a_key_is_replaced_before_anything_is_cut() -> None:
    key = "plain words here"

    assert "words" not in said(" " * 280 + "x" * 285 + key, (key,))
    assert "words" not in said(" " * 1190 + key, (key,))


@given(st.text(), st.integers(0, 2000))
def test_it_is_short_and_printable(text: str, times: int) -> None:
    shown = said(text * times, ())

    assert len(shown) <= SAID_MAX_CHARS
    assert "\n" not in shown
    assert "\x1b" not in shown
