"""A model that goes round in circles is told, and then stopped; one that waits is left alone."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from agent.core.errors import BudgetError
from agent.core.events import CallFinished, Told
from agent.core.limits import REPEATS_STOP, REPEATS_TELL
from agent.core.messages import AssistantMessage, ToolResult
from agent.loop import wording
from agent.loop.turn import run_turn
from agent.tools.base import ToolContext
from tests.loop.rig import LOOK, Rig, Words, call, reply, tool
from tests.snapshots import assert_snapshot

_ids = itertools.count()


def step(name: str, text: str = "x") -> AssistantMessage:
    return reply("", call(name, f"c{next(_ids)}", text=text))


class Failing:
    """Fails with the same words each time, but for the time it took."""

    times = 0

    async def run(self, arguments: Words, context: ToolContext) -> ToolResult:
        self.times += 1
        text = f"assert 1 == 2 at 0x7f{self.times:x}\n1 failed in 0.{self.times}2s"
        return ToolResult(context.call_id, ok=False, text=text)


class Polling:
    """Says that time has passed, or how far something got."""

    times = 0

    def __init__(self, *, waited: bool) -> None:
        self._waited = waited

    async def run(self, arguments: Words, context: ToolContext) -> ToolResult:
        self.times += 1
        details = {"waited": True} if self._waited else {}
        text = "running" if self._waited else f"{self.times} of 20"
        return ToolResult(context.call_id, ok=True, text=text, details=details)


async def test_the_same_failure_is_told_and_then_stops_the_turn():
    failing = Failing()
    rig = Rig([step("fail") for _ in range(20)], tool("fail", failing.run))
    with pytest.raises(BudgetError, match=rf"the same {REPEATS_STOP} times .*: fail \{{"):
        await run_turn(rig.turn)
    assert failing.times == REPEATS_STOP
    (told,) = rig.of(Told)
    at = rig.events.index(told)
    assert sum(isinstance(e, CallFinished) for e in rig.events[:at]) == REPEATS_TELL
    asked = rig.model.requests[REPEATS_TELL].messages
    assert told.text in getattr(asked[-1], "text", "")


async def test_a_model_that_listens_goes_on():
    rig = Rig([*[step("look") for _ in range(4)], step("look", "y"), reply("done")], LOOK)
    assert await run_turn(rig.turn) == 6
    assert len(rig.of(Told)) == 1


@pytest.mark.parametrize("circle", [("a", "b"), ("a", "b", "c")])
async def test_going_to_and_fro_is_noticed(circle: tuple[str, ...]):
    rig = Rig([step("look", text) for text in circle * 20], LOOK, steps=90)
    with pytest.raises(BudgetError, match="did the same 5 times"):
        await run_turn(rig.turn)
    assert len(rig.of(CallFinished)) == REPEATS_STOP * len(circle)
    assert len(rig.of(Told)) == 1


async def test_calls_side_by_side_are_one_step():
    def both() -> AssistantMessage:
        return reply("", call("look", f"c{next(_ids)}", text="a"), call("look", f"c{next(_ids)}"))

    rig = Rig([both() for _ in range(20)], LOOK)
    with pytest.raises(BudgetError):
        await run_turn(rig.turn)
    assert len(rig.of(CallFinished)) == 2 * REPEATS_STOP


@pytest.mark.parametrize("waited", [True, False])
async def test_who_waits_for_something_is_left_alone(waited: bool):
    polling = Polling(waited=waited)
    rig = Rig([*[step("poll") for _ in range(15)], reply("done")], tool("poll", polling.run))
    assert await run_turn(rig.turn) == 16
    assert rig.of(Told) == []


async def test_an_edit_between_two_runs_is_progress():
    steps = [step(name, text) for n in range(6) for name, text in (("fail", ""), ("echo", str(n)))]
    failing = Failing()

    async def echo(arguments: Words, context: ToolContext) -> ToolResult:
        return ToolResult(context.call_id, ok=True, text=arguments.text)

    rig = Rig([*steps, reply("done")], tool("fail", failing.run), tool("echo", echo))
    await run_turn(rig.turn)
    assert rig.of(Told) == []


def test_what_the_model_is_told():
    text = "\n\n".join([wording.repeating(3, 1), wording.repeating(3, 2)])
    assert_snapshot(Path(__file__).parent / "snapshots" / "repeats.txt", text)
