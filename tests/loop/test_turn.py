from __future__ import annotations

import asyncio

import msgspec
import pytest

from agent.core.errors import BudgetError, LlmDownError, SandboxUnavailable
from agent.core.events import (
    CallFinished,
    CallOutput,
    CallStarted,
    MessageFinished,
    StepFinished,
    StepStarted,
    TextDelta,
)
from agent.core.messages import ToolCall, ToolMessage, ToolResult, UserMessage
from agent.loop.history import last_text
from agent.loop.turn import run_turn
from agent.tools.base import Tool, ToolContext
from tests.loop.rig import (
    BROKEN,
    ECHO,
    LOOK,
    Hanging,
    Meeting,
    Rig,
    Stalling,
    Words,
    call,
    reply,
    tool,
)


def results(rig: Rig) -> dict[str, tuple[bool, str]]:
    return {e.result.call_id: (e.result.ok, e.result.text) for e in rig.of(CallFinished)}


async def test_a_reply_without_calls_ends_the_turn():
    rig = Rig([reply("Hello.")])
    assert await run_turn(rig.turn) == 1
    assert last_text(rig.history.messages) == "Hello."
    assert "".join(e.text for e in rig.of(TextDelta)) == "Hello."


async def test_results_go_back_in_the_order_of_the_calls():
    rig = Rig(
        [
            reply("", call("echo", "a", text="x", times=2), call("look", "b", text="y")),
            reply("done"),
        ]
    )
    assert await run_turn(rig.turn) == 2
    asked = rig.model.requests[1].messages
    assert asked[0] == UserMessage("go")
    assert isinstance(asked[2], ToolMessage)
    assert [(r.call_id, r.text) for r in asked[2].results] == [("a", "xx"), ("b", "y")]


async def test_every_kind_of_bad_call_gets_one_result_and_the_turn_goes_on():
    broken_json = ToolCall("c", "echo", None, raw='{"text": "un')
    rig = Rig(
        [
            reply(
                "",
                call("sudo", "a"),
                call("broken", "b"),
                broken_json,
                call("echo", "d", text="x", colour="red"),
                call("echo", "e", text="x", times="3"),
                call("echo", "f", text=["x"]),
            ),
            reply("done"),
        ]
    )
    await run_turn(rig.turn)
    got = results(rig)
    assert [e.result.call_id for e in rig.of(CallFinished)] == ["a", "b", "c", "d", "e", "f"]
    assert got["a"] == (
        False,
        "There is no tool `sudo`; nothing was run. The tools are: `echo`, `look`, `broken`.",
    )
    assert not got["b"][0] and "ZeroDivisionError" in got["b"][1]
    assert not got["c"][0] and 'They were: {"text": "un' in got["c"][1]
    assert not got["d"][0] and "colour" in got["d"][1] and '"properties"' in got["d"][1]
    assert got["e"] == (True, "xxx")
    assert not got["f"][0] and "text" in got["f"][1]


class Many(msgspec.Struct, forbid_unknown_fields=True):
    texts: list[Words]
    upper: bool = False


async def test_nulls_and_lists_in_a_string_are_taken_for_what_they_mean():
    async def gather(arguments: Many, context: ToolContext) -> ToolResult:
        text = "".join(each.text * each.times for each in arguments.texts)
        return ToolResult(context.call_id, ok=True, text=text.upper() if arguments.upper else text)

    many = Tool("many", "", Many, gather, True, lambda _: "many")
    rig = Rig(
        [
            reply(
                "",
                call("many", "a", texts=[{"text": "[1]", "times": None}], upper=None),
                call("many", "b", texts='[{"text": "x", "times": "2"}]', upper="true"),
                call("many", "c", texts="[not a list"),
                call("many", "d", texts=None),
            ),
            reply("done"),
        ],
        many,
    )
    await run_turn(rig.turn)
    got = results(rig)
    assert (got["a"], got["b"]) == ((True, "[1]"), (True, "XX"))
    assert "Expected `array`, got `str` - at `$.texts`" in got["c"][1]
    assert not got["d"][0]


async def test_neighbouring_reads_run_together_and_writes_alone():
    meeting = Meeting(2)
    rig = Rig(
        [
            reply("", call("meet", "a"), call("meet", "b"), call("echo", "c", text="w")),
            reply("done"),
        ],
        tool("meet", meeting.run, reads_only=True),
        ECHO,
    )
    await run_turn(rig.turn)
    order = [(type(e).__name__, e.call.id) for e in rig.of(CallStarted)]
    assert order == [("CallStarted", "a"), ("CallStarted", "b"), ("CallStarted", "c")]
    assert results(rig)["a"] == results(rig)["b"] == (True, "met")


async def test_an_interrupted_call_keeps_its_output_and_those_behind_it_are_answered():
    hanging = Hanging()
    rig = Rig(
        [reply("", call("hang", "a"), call("echo", "b", text="x"))], tool("hang", hanging.run), ECHO
    )
    task = asyncio.create_task(run_turn(rig.turn))
    await hanging.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert hanging.cancelled
    got = results(rig)
    assert got["a"] == (
        False,
        "Interrupted while it ran; what it did until then is kept. "
        "Its output so far:\nhalf of it\n",
    )
    assert got["b"] == (False, "Not run: the turn was interrupted before this call.")
    assert rig.history.waiting == ()
    assert len(rig.of(StepStarted)) == len(rig.of(StepFinished)) == 1
    assert [e.text for e in rig.of(CallOutput)] == ["half of it\n"]


async def test_an_interrupt_while_reads_run_together_answers_each_once():
    first, second = Hanging(), Hanging()
    rig = Rig(
        [reply("", call("one", "a"), call("two", "b"))],
        tool("one", first.run, reads_only=True),
        tool("two", second.run, reads_only=True),
    )
    task = asyncio.create_task(run_turn(rig.turn))
    await first.begun.wait()
    await second.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(e.result.call_id for e in rig.of(CallFinished)) == ["a", "b"]
    assert first.cancelled and second.cancelled


async def test_text_that_had_arrived_before_an_interrupt_is_kept():
    llm = Stalling()
    rig = Rig([], llm=llm)
    task = asyncio.create_task(run_turn(rig.turn))
    await llm.stalled.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (finished,) = rig.of(MessageFinished)
    assert (finished.message.text, finished.message.stop) == ("I was saying", "interrupted")
    assert finished.message.usage.cost is None


async def test_a_cut_reply_is_kept_and_the_failure_passes_through():
    rig = Rig([LlmDownError("cut off", partial="The answer is")])
    with pytest.raises(LlmDownError):
        await run_turn(rig.turn)
    (finished,) = rig.of(MessageFinished)
    assert (finished.message.text, finished.message.stop) == ("The answer is", "cut")
    assert len(rig.of(StepFinished)) == 1


async def test_a_sandbox_that_cannot_be_had_ends_the_turn_and_not_the_history():
    async def no_sandbox(arguments, context):
        raise SandboxUnavailable("no bubblewrap", "install it")

    rig = Rig(
        [reply("", call("look", "a"), call("gone", "b"), call("echo", "c"))],
        LOOK,
        tool("gone", no_sandbox, reads_only=True),
        ECHO,
        BROKEN,
    )
    with pytest.raises(SandboxUnavailable, match="no bubblewrap"):
        await run_turn(rig.turn)
    assert sorted(e.result.call_id for e in rig.of(CallFinished)) == ["a", "b", "c"]
    assert rig.history.waiting == ()


async def test_the_step_limit_ends_the_turn():
    rig = Rig([reply("", call("echo", f"c{n}")) for n in range(5)], steps=3)
    with pytest.raises(BudgetError, match="3 steps"):
        await run_turn(rig.turn)
    assert len(rig.of(StepStarted)) == 3


async def test_reused_call_ids_of_another_step_do_not_mix():
    same = call("echo", "call_1", text="x")
    rig = Rig([reply("", same), reply("", same), reply("done")])
    await run_turn(rig.turn)
    kinds = [type(m).__name__ for m in rig.history.messages]
    assert kinds == ["UserMessage", *["AssistantMessage", "ToolMessage"] * 2, "AssistantMessage"]
