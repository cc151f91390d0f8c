from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from agent.core.errors import (
    GloveboxError,
    LlmAuthError,
    LlmContextError,
    LlmDownError,
    LlmLimitError,
    UserError,
)
from agent.llm.client import LitellmClient, close
from agent.llm.retry import Retry
from tests.llm.asking import Naps, ask_provider, question, without_waiting
from tests.llm.conftest import KEY, Provider
from tests.servers.answers import Answer, Reply
from tests.servers.openai import Drop, Fault, Raw, call, reply, say

TOO_LONG = "This model's maximum context length is 8192 tokens, however you sent 9000."
SSE = "text/event-stream"


async def _failure(**options: Any) -> GloveboxError:
    with pytest.raises(GloveboxError) as caught:
        await ask_provider(**options)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kind", "message", "hint"),
    [
        (Fault(401, "Incorrect API key"), LlmAuthError, "refused the key (401)", "OPENAI_API_KEY"),
        (Fault(403, "not allowed"), LlmAuthError, "refused the key (403): not allowed", "account"),
        (Fault(402, "pay first"), LlmLimitError, "quota at `openai` is used up", "billing"),
        (
            Fault(429, "no", code="insufficient_quota"),
            LlmLimitError,
            "quota at `openai`",
            "billing",
        ),
        (Fault(400, TOO_LONG), LlmContextError, "does not fit the model", "new session"),
        (Fault(413, "too big"), LlmContextError, "does not fit the model", "new session"),
        (Fault(404, "model not found"), UserError, "does not know the model", "OPENAI_BASE_URL"),
        (Fault(400, "bad tool"), LlmDownError, "refused the request (400): bad tool", "model"),
        (Fault(422, "bad field"), LlmDownError, "refused the request (422): bad field", "model"),
    ],
)
async def test_a_failure_that_will_not_pass_is_raised_at_once(
    provider: Provider, answer: Answer, kind: type[GloveboxError], message: str, hint: str
) -> None:
    server = provider([answer])

    error = await _failure()

    assert type(error) is kind
    assert message in error.message
    assert hint in error.hint
    assert error.__cause__ is not None
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (Fault(429, "slow down"), LlmLimitError, "limits the rate of requests: slow down"),
        (Fault(500, "oops"), LlmDownError, "`openai` is failing (500): oops"),
        (Fault(502, "oops"), LlmDownError, "`openai` is failing (502): oops"),
        (Fault(503, "oops"), LlmDownError, "`openai` is failing (503): oops"),
        (Fault(529, "overloaded"), LlmDownError, "`openai` is failing (529): overloaded"),
        (Drop(), LlmDownError, "the connection to `127.0.0.1:"),
        (reply("", call("bash", {}), cut_after=2), LlmDownError, "the connection to"),
    ],
)
async def test_a_failure_that_may_pass_is_tried_five_times_and_then_raised(
    provider: Provider, answer: Answer, kind: type[GloveboxError], message: str
) -> None:
    server, naps = provider([answer] * 5), Naps()

    error = await _failure(retry=without_waiting(naps))

    assert type(error) is kind
    assert message in error.message
    assert naps.seconds == [1, 2, 4, 8]
    assert len(server.requests) == 5


@pytest.mark.parametrize(
    "answer",
    [
        Fault(429),
        Fault(500),
        Drop(),
        reply("", call("bash", {"command": "ls"}), cut_after=3),
        Raw(b'data: {"error": {"message": "overloaded", "code": 503}}\n\n', content_type=SSE),
    ],
)
async def test_a_failure_that_passes_is_seen_only_as_a_notice(
    provider: Provider, answer: Answer
) -> None:
    provider([answer, say("fine")])

    message, heard = await ask_provider()

    assert message.text == heard.text == "fine"
    assert len(heard.notices) == 1
    assert heard.notices[0].endswith("trying again in 1 s (2 of 5)")


async def test_the_pause_the_provider_asks_for_is_kept_and_announced(provider: Provider) -> None:
    provider([Fault(429, headers={"retry-after": "7"}), say("fine")])
    naps = Naps()

    _, heard = await ask_provider(retry=without_waiting(naps))

    assert naps.seconds == [7]
    assert heard.notices == ["provider is busy; trying again in 7 s (2 of 5)"]


async def test_a_pause_nobody_would_wait_for_fails_at_once_and_names_it(
    provider: Provider,
) -> None:
    server = provider([Fault(429, headers={"retry-after": "3600"})])

    error = await _failure()

    assert type(error) is LlmLimitError
    assert "in 3600 seconds" in error.hint
    assert len(server.requests) == 1


async def test_a_reply_that_is_cut_after_text_was_shown_is_kept_and_not_repeated(
    provider: Provider,
) -> None:
    server = provider([say("hello world", cut_after=2)])

    error = await _failure()

    assert isinstance(error, LlmDownError)
    assert error.message.startswith("the reply was cut: the connection to `127.0.0.1:")
    assert error.partial == "hello w"
    assert len(server.requests) == 1


async def test_a_stream_that_ends_without_its_end_is_a_cut_reply(provider: Provider) -> None:
    provider([say("hello", finish="", done=False, usage=None)])

    error = await _failure()

    assert isinstance(error, LlmDownError)
    assert error.message.startswith("the reply was cut")
    assert error.partial == "hello"


@pytest.mark.parametrize(
    ("events", "partial", "first_byte", "idle"), [(0, "", 0.5, 3600), (2, "hello w", 3600, 0.5)]
)
async def test_a_provider_that_falls_silent_is_given_up(
    provider: Provider, events: int, partial: str, first_byte: float, idle: float
) -> None:
    server = provider(lambda _: say("hello world", stall_after=events))

    error = await _failure(first_byte_seconds=first_byte, idle_seconds=idle)

    assert isinstance(error, LlmDownError)
    assert "`openai` kept silent for too long" in error.message
    assert error.partial == partial
    assert len(server.requests) == (1 if events else 5)
    assert await asyncio.to_thread(server.hung_up.wait, 30)


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"", b'{"a":', b"{}"])
async def test_an_answer_that_is_none_is_a_provider_failure(
    provider: Provider, body: bytes
) -> None:
    provider(lambda _: Raw(body))

    error = await _failure()

    assert isinstance(error, LlmDownError)
    assert error.hint


async def test_a_refused_connection_names_the_address_and_gives_up_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    naps = Naps()
    # It stays bound, so that nobody else begins to listen there, and nobody does.
    with contextlib.closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://{address}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)

        error = await _failure(retry=without_waiting(naps))

    assert isinstance(error, LlmDownError)
    assert error.message == f"cannot connect to `{address}`: connection refused"
    assert naps.seconds == [0.3, 0.6]


@pytest.mark.parametrize(
    "url", ["http://user:hunter2@127.0.0.1:9/v1", "127.0.0.1:9", "http://user:hunter2@", "x://y"]
)
async def test_a_wrong_address_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    naps = Naps()

    error = await _failure(retry=without_waiting(naps))

    assert isinstance(error, LlmDownError)
    assert "OPENAI_BASE_URL" in error.hint
    assert "hunter2" not in error.message + error.hint
    assert naps.seconds == []


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/gpt-x", "`OPENAI_API_KEY`"),
        ("anthropic/claude-x", "`ANTHROPIC_API_KEY`"),
        ("gemini/gemini-2.5-pro", "`GEMINI_API_KEY`"),
    ],
)
async def test_a_missing_key_is_named_without_a_request(model: str, variable: str) -> None:
    naps = Naps()

    error = await _failure(request=question(model=model), retry=without_waiting(naps))

    assert isinstance(error, LlmAuthError)
    assert error.message == f"no key for `{model.partition('/')[0]}` is set"
    assert variable in error.hint
    assert naps.seconds == []


async def test_a_key_that_only_the_provider_misses_is_named_too(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = provider([Fault(401, "who are you")])
    monkeypatch.setenv("DEEPSEEK_API_BASE", server.url)

    error = await _failure(request=question(model="deepseek/deepseek-chat"))

    assert isinstance(error, LlmAuthError)
    assert error.message == "no key for `deepseek` is set"
    assert "`DEEPSEEK_API_KEY`" in error.hint


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("opnai/gpt-x", "`openai/gpt-x`"),
        ("gpt4-o", "`gpt-4o`"),
        ("nonsense", "`provider/name`"),
    ],
)
async def test_an_unknown_model_is_the_users_to_mend(model: str, near: str) -> None:
    error = await _failure(request=question(model=model))

    assert type(error) is UserError
    assert error.message == f"no provider is known for the model `{model}`"
    assert near in error.hint


async def test_a_model_the_provider_does_not_have_is_named_with_one_it_might_mean(
    provider: Provider,
) -> None:
    provider([Fault(404, "no such model")])

    error = await _failure(request=question(model="openai/gpt-4oo"))

    assert type(error) is UserError
    assert "`gpt-4o`" in error.hint or "`openai/gpt-4o`" in error.hint


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_no_key_and_no_long_body_reaches_a_message(provider: Provider, status: int) -> None:
    other = "sk-other-ABCDEFGHIJKLMNOP"
    body = f"bad key {KEY} or {other}\x1b[31m\n" + "x" * 100_000
    provider([Fault(status, body, headers={"retry-after": "9999"})] * 5)

    error = await _failure()

    shown = error.message + error.hint
    assert KEY not in shown
    assert other not in shown
    assert "[secret]" in shown
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert len(shown) < 700


async def test_a_key_without_the_shape_of_one_is_not_shown_either(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider([Fault(401, "the key open.sesame.please is not known")])
    monkeypatch.setenv("OPENAI_API_KEY", "open.sesame.please")

    error = await _failure()

    assert error.message.endswith("the key [secret] is not known")


async def test_a_notice_announces_each_pause_before_it_begins(provider: Provider) -> None:
    provider([Fault(500), Fault(503), say("fine")])
    order: list[str] = []

    async def sleep(seconds: float) -> None:
        order.append(f"slept {seconds:g}")

    def hear(delta: Any) -> None:
        order.append(delta.text)

    await LitellmClient(retry=Retry(sleep=sleep, jitter=lambda: 0.0)).ask(question(), hear)
    await close()

    assert order == [
        "provider is failing; trying again in 1 s (2 of 5)",
        "slept 1",
        "provider is failing; trying again in 2 s (3 of 5)",
        "slept 2",
        "fine",
    ]


async def test_a_stream_that_goes_on_for_ever_is_ended(provider: Provider) -> None:
    answers = {"long": Reply("x" * 500, piece=100, done=False), "late": Reply("xyz", piece=1)}
    server = provider(lambda sent: answers[sent["model"]])

    long = await _failure(request=question(model="openai/long"), longest_chars=250)
    late = await _failure(request=question(model="openai/late"), longest_seconds=0.0)

    for error in (long, late):
        assert isinstance(error, LlmDownError)
        assert error.message.endswith("the reply of `openai` does not come to an end")
    assert (long.partial, late.partial) == ("x" * 300, "")  # pyright: ignore[reportAttributeAccessIssue]
    assert len(server.requests) == 2


async def test_a_reply_that_goes_round_in_circles_says_so(provider: Provider) -> None:
    server = provider([Reply("round. " * 150)])

    error = await _failure()

    assert isinstance(error, LlmDownError)
    assert error.message.endswith("the reply of `openai` said the same over and over")
    assert "other words" in error.hint
    assert error.partial.startswith("round. round. ")
    assert len(server.requests) == 1
