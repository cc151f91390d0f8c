"""A model behind a budget: what would break a limit is not sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import LlmDownError, UserError
from agent.core.limits import REPLY_TOKENS_LEAST, REPLY_TOKENS_USUAL
from agent.core.messages import (
    AssistantMessage,
    ToolCall,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)
from agent.llm.protocol import Price, Request
from agent.loop.brakes import Budget, Caps, Reached
from agent.loop.meter import Metered, prompt_most
from agent.testing.model import Line, Scripted
from tests.loop.rig import Stalling

PRICE = Price(3e-6, 15e-6, 64_000)
GO = Request("m", "You are a test." * 100, (UserMessage("go"),))


def said(text: str = "yes", **usage: Any) -> AssistantMessage:
    return AssistantMessage(text=text, usage=Usage(**usage), model="m")


class Rig:
    def __init__(
        self, caps: Caps, *lines: Line, price: Price | None = PRICE, more: Any = None
    ) -> None:
        self.told: list[Usage] = []
        self.session = Budget("session", caps, tell=lambda usage, *_: self.told.append(usage))
        self.turn = self.session.child("turn", recorded=True)
        self.model = Scripted(lines)
        self.price = price
        self.metered = Metered(self.model, self.turn, self._price_of, more)

    async def _price_of(self, model: str) -> Price | None:
        return self.price

    async def ask(self, request: Request = GO) -> AssistantMessage:
        return await self.metered.ask(request, lambda _: None)


async def test_without_limits_nothing_is_bounded_or_asked_for():
    rig = Rig(Caps(), said(prompt=10, completion=5, cost=None), price=None)
    await rig.ask()
    assert rig.model.requests == [GO]
    assert (rig.session.spent.tokens, rig.session.spent.unpriced) == (15, 1)
    assert rig.told == []


async def test_a_question_that_could_break_the_limit_is_not_sent():
    rig = Rig(Caps(money=0.02), said(prompt=900, completion=10, cost=0.003), said())
    await rig.ask()
    rig.session.charge(rig.session.spent)
    with pytest.raises(Reached, match=r"\$0.0060 of \$0.0200 is used, and the next request may"):
        await rig.ask()
    assert len(rig.model.requests) == 1


async def test_when_little_is_left_the_reply_is_bounded_so_that_it_fits():
    rig = Rig(Caps(money=0.1), said(prompt=500, completion=9, cost=0.002))
    await rig.ask()
    (sent,) = rig.model.requests
    assert REPLY_TOKENS_LEAST < sent.reply_max < 64_000
    most = prompt_most(GO) * PRICE.prompt + sent.reply_max * PRICE.completion
    assert most <= 0.1


async def test_when_much_is_left_the_model_may_say_all_it_can():
    rig = Rig(Caps(money=10.0), said(cost=0.1, prompt=1))
    await rig.ask()
    assert rig.model.requests == [GO]


async def test_half_is_left_to_those_who_ask_meanwhile():
    rig = Rig(Caps(tokens=30_000))
    rig.metered = Metered(Stalling(), rig.turn, rig._price_of)
    first = asyncio.create_task(rig.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert rig.session.left("tokens") > REPLY_TOKENS_USUAL
    first.cancel()
    await asyncio.wait({first})


async def test_a_price_nobody_knows_refuses_a_limit_on_money():
    rig = Rig(Caps(money=5.0), said(), price=None)
    with pytest.raises(UserError, match="price of `m` is not known"):
        await rig.ask()
    assert rig.model.requests == []


async def test_a_free_model_may_always_be_asked():
    rig = Rig(Caps(money=0.0), said(prompt=5, cost=0.0), price=Price(0, 0, 0))
    await rig.ask()


async def test_what_the_provider_does_not_say_is_taken_for_the_most():
    rig = Rig(Caps(money=1.0), said("x" * 100, cost=None), said(prompt=10, completion=2, cost=None))
    await rig.ask()
    most = prompt_most(GO) * PRICE.prompt + 100 * PRICE.completion
    assert rig.session.spent.money == pytest.approx(most)
    assert rig.told == [Usage(prompt=prompt_most(GO), completion=100, cost=most)]
    await rig.ask()
    assert rig.told[1] == Usage(cost=10 * PRICE.prompt + 2 * PRICE.completion)
    assert rig.session.spent.money == pytest.approx(most + rig.told[1].cost)


async def test_a_cut_reply_counts_with_what_was_heard():
    rig = Rig(Caps(money=1.0), LlmDownError("cut", partial="0123456789"))
    with pytest.raises(LlmDownError):
        await rig.ask()
    most = prompt_most(GO) * PRICE.prompt + 10 * PRICE.completion
    assert rig.session.spent.money == pytest.approx(most)
    assert [usage.cost for usage in rig.told] == [pytest.approx(most)]


async def test_an_interrupted_question_counts_with_its_prompt():
    rig = Rig(Caps(money=1.0))
    stalling = Stalling()
    rig.metered = Metered(stalling, rig.turn, rig._price_of)
    asking = asyncio.create_task(rig.ask())
    await stalling.stalled.wait()
    asking.cancel()
    await asyncio.wait({asking})
    most = prompt_most(GO) * PRICE.prompt + len("I was saying") * PRICE.completion
    assert rig.session.spent.money == pytest.approx(most)
    assert rig.session.left("money") == pytest.approx(1.0 - most)


async def test_a_question_that_never_got_through_costs_nothing():
    rig = Rig(Caps(money=1.0), LlmDownError("refused"))
    with pytest.raises(LlmDownError):
        await rig.ask()
    assert rig.session.left("money") == 1.0 and rig.told == []


async def test_more_can_be_asked_for():
    asked: list[str] = []

    async def more(reached: Reached) -> bool:
        asked.append(reached.message)
        reached.budget.grant(1.0)
        return len(asked) == 1

    rig = Rig(Caps(money=0.001), said(prompt=5, cost=0.0005), more=more)
    await rig.ask()
    assert len(asked) == 1
    rig = Rig(Caps(tokens=10), said(), more=more)
    with pytest.raises(Reached):
        await rig.ask()
    assert len(asked) == 1


def test_what_the_provider_counted_is_not_guessed_again():
    result = ToolMessage((ToolResult("c", True, "x" * 1000),))
    reply = AssistantMessage(
        "", calls=(ToolCall("c", "bash", {"command": "ls"}),), model="m",
        usage=Usage(prompt=300, completion=20),
    )  # fmt: skip
    request = Request("m", "s" * 3000, (UserMessage("go" * 5000), reply, result))
    assert 1320 <= prompt_most(request) < 1400
    other = Request("n", "s" * 3000, request.messages)
    assert prompt_most(other) > 12_000


@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 2_000), st.booleans()), max_size=30)
)
def test_no_provider_within_the_bounds_breaks_a_limit(script: list[tuple[int, int, bool]]):
    """It takes as much as the question allows: all its prompt, replies as long as they may be."""

    async def run() -> None:
        rig = Rig(Caps(money=0.3, tokens=90_000))
        messages: tuple[Any, ...] = (UserMessage("go"),)
        for size, less, known in script:
            request = Request("m", "s", messages)

            def answer(asked: Request, less: int = less, known: bool = known) -> AssistantMessage:
                assert asked.reply_max
                prompt, completion = prompt_most(asked), max(0, asked.reply_max - less)
                cost = prompt * PRICE.prompt + completion * PRICE.completion if known else None
                return said(prompt=prompt, completion=completion, cost=cost)

            rig.metered = Metered(Scripted([answer]), rig.turn, rig._price_of)
            try:
                reply = await rig.ask(request)
            except Reached:
                break
            messages += (reply, UserMessage("x" * size))
            assert rig.session.spent.money <= 0.3 + 1e-9
            assert rig.session.spent.tokens <= 90_000

    asyncio.run(run())
