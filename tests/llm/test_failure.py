from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.llm.failure import Asked, failure_of

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class _Response:
    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers


class RateLimitError(Exception):
    """The shape of the library's exception: it is recognised by that alone."""

    status_code = 429

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__("slow down")
        self.response = _Response({"Server": "x", **headers})


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1" * 40}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_the_pause_a_provider_asks_for(headers: dict[str, str], asked: float | None) -> None:
    failure = failure_of(RateLimitError(headers), Asked("p/m", "p"), now=NOW)

    assert failure.asked == asked
    assert failure.reason == "provider is busy"


def test_a_circle_of_causes_ends() -> None:
    one, two = RateLimitError({}), ValueError("x")
    one.__cause__, two.__cause__ = two, one

    assert failure_of(one, Asked("p/m", "p")).reason == "provider is busy"
