from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.core.errors import (
    LlmAuthError,
    LlmContextError,
    LlmDownError,
    LlmError,
    LlmLimitError,
    UserError,
)
from agent.core.events import TextDelta
from agent.core.messages import AssistantMessage, Usage
from agent.llm.client import LitellmClient
from agent.llm.fallback import REST_SECONDS, Fallback
from agent.llm.price import Rate
from agent.llm.protocol import Llm, OnDelta, Request
from tests.llm.asking import Heard, ask, question, without_waiting
from tests.llm.conftest import Provider
from tests.servers.openai import Fault, say


class _Models:
    """Answers for each model by name, or fails as it is told to."""

    def __init__(self, **failing: Exception) -> None:
        self.failing = failing
        self.asked: list[str] = []

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        self.asked.append(request.model)
        if error := self.failing.get(request.model):
            if isinstance(error, LlmError) and error.partial:
                on_delta(TextDelta(error.partial))
            raise error
        return AssistantMessage("hello", model=request.model)


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


ASKED = question(model="a")


def chain(
    llm: Llm, *models: str, now: Callable[[], float] = time.monotonic, **windows: int
) -> Fallback:
    async def window(model: str) -> int:
        return windows.get(model, 0)

    return Fallback(llm, models, window=window, now=now)


@pytest.mark.parametrize("kind", [LlmDownError, LlmLimitError, LlmAuthError])
async def test_the_next_model_answers_and_it_is_said_why(kind: type[LlmError]) -> None:
    models = _Models(a=kind("a is away", "look"), b=kind("b too"))

    reply, heard = await ask(chain(models, "b", "c"), ASKED)

    assert (reply.model, models.asked) == ("c", ["a", "b", "c"])
    assert heard.notices == ["a is away; asking `b` instead", "b too; asking `c` instead"]


@pytest.mark.parametrize("error", [LlmContextError("too long"), UserError("no such model")])
async def test_what_another_model_does_not_mend_is_not_passed_on(error: Exception) -> None:
    models = _Models(a=error)

    with pytest.raises(type(error)):
        await ask(chain(models, "b"), ASKED)

    assert models.asked == ["a"]


async def test_a_reply_that_was_shown_in_part_is_not_begun_again() -> None:
    models = _Models(a=LlmDownError("cut", partial="I was"))

    with pytest.raises(LlmDownError, match="cut"):
        await ask(chain(models, "b"), ASKED)

    assert models.asked == ["a"]


async def test_the_last_ones_failure_is_what_is_raised() -> None:
    with pytest.raises(LlmLimitError, match="b is full"):
        await ask(chain(_Models(a=LlmDownError("x"), b=LlmLimitError("b is full")), "b"), ASKED)


async def test_a_model_that_failed_rests_before_it_is_asked_first_again() -> None:
    models, clock = _Models(a=LlmDownError("away")), _Clock()
    llm = chain(models, "b", "a", now=clock)

    for _ in range(2):
        await ask(llm, ASKED)
    clock.now += REST_SECONDS + 1
    models.failing = {}
    await ask(llm, ASKED)

    assert models.asked == ["a", "b", "b", "a"]


async def test_when_all_rest_the_wanted_one_is_asked_first() -> None:
    models = _Models(a=LlmDownError("away"), b=LlmDownError("away"))
    llm = chain(models, "b", now=_Clock())
    for _ in range(2):
        with pytest.raises(LlmDownError):
            await ask(llm, ASKED)

    assert models.asked == ["a", "b", "a", "b"]


LONG = replace(ASKED, size=9_000)


async def test_a_model_that_does_not_take_so_much_is_passed_over_and_said_so_once() -> None:
    models = _Models(a=LlmDownError("a is away"))
    llm = chain(models, "b", "c", b=8_000, c=9_000)

    first, heard = await ask(llm, LONG)
    again, later = await ask(llm, LONG)
    short, _ = await ask(llm, replace(ASKED, size=8_000))

    assert (first.model, again.model, short.model) == ("c", "c", "b")
    assert models.asked == ["a", "c", "c", "b"]
    assert heard.notices == [
        "a is away; asking `b` instead",
        "`b` takes 8,000 tokens and this is about 9,000; asking `c` instead",
    ]
    assert later.notices == []


async def test_when_nobody_else_answers_it_is_said_for_whom_it_has_to_be_shorter() -> None:
    models = _Models(a=LlmDownError("a is away"), c=LlmDownError("c too"))

    with pytest.raises(LlmContextError) as caught:
        await ask(chain(models, "b", "c", b=8_000), LONG)

    assert (caught.value.model, caught.value.window) == ("b", 8_000)
    assert models.asked == ["a", "c"]


async def test_what_one_has_refused_as_too_long_it_is_not_asked_again() -> None:
    models = _Models(a=LlmDownError("away"), b=LlmContextError("b: too long"))
    llm = chain(models, "b", "c")
    for _ in range(2):
        reply, _ = await ask(llm, LONG)
        assert reply.model == "c"
    models.failing = {}
    reply, _ = await ask(llm, replace(LONG, size=8_999))

    assert reply.model == "b"
    assert models.asked == ["a", "b", "c", "c", "b"]


async def test_what_was_used_is_counted_for_the_model_that_answered(provider: Provider) -> None:
    server = provider([Fault(401, "who?"), say("hello")])
    rates = {"openai/second": Rate(prompt=10.0, completion=100.0, cached=1.0)}
    client = LitellmClient(retry=without_waiting(), prices=rates)
    heard = Heard()

    reply = await chain(client, "openai/second").ask(question(model="openai/first"), heard)

    assert [request["model"] for request in server.requests] == ["first", "second"]
    cost = (60 * 10 + 40 * 1 + 20 * 100) / 1e6
    assert reply.model == "openai/second"
    assert reply.usage == Usage(100, 40, 20, pytest.approx(cost))
    assert len(heard.notices) == 1
