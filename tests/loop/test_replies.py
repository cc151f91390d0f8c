from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.core.events import CallFinished, MessageFinished, Notice, StepFinished, Told
from agent.core.messages import AssistantMessage, ToolCall, UserMessage
from agent.loop import wording
from agent.loop.history import last_text
from agent.loop.turn import run_turn
from tests.loop.rig import Rig, call, reply

EMPTY = AssistantMessage("")
CUT = AssistantMessage("half of", stop="length")
THINKING = AssistantMessage("", reasoning="hm", stop="length")


async def _told(*lines: AssistantMessage) -> tuple[Rig, list[str]]:
    rig = Rig(lines)
    await run_turn(rig.turn)
    return rig, [event.text for event in rig.of(Told)]


async def test_an_empty_reply_is_answered_with_one_word() -> None:
    rig, told = await _told(EMPTY, reply("done"))

    assert told == [wording.reply_empty()]
    assert rig.model.requests[1].messages[-1] == UserMessage(told[0])
    assert last_text(rig.history.messages) == "done"
    assert len(rig.of(StepFinished)) == 2


@pytest.mark.parametrize("empty", [EMPTY, AssistantMessage(" \n"), replace(EMPTY, reasoning="hm")])
async def test_two_empty_replies_end_the_turn_and_a_person_is_told(empty: AssistantMessage) -> None:
    rig, told = await _told(empty, empty)

    assert len(told) == 1
    assert [notice.text for notice in rig.of(Notice)] == ["the model says nothing"]


async def test_a_reply_that_was_cut_is_gone_on_with_three_times() -> None:
    rig, told = await _told(CUT, CUT, THINKING, CUT)

    assert told == [wording.reply_cut(), wording.reply_cut(), wording.thoughts_cut()]
    assert [m.message.text for m in rig.of(MessageFinished)] == [
        "half of",
        "half of",
        "",
        "half of",
    ]
    assert "cut at the limit" in rig.of(Notice)[0].text


async def test_a_call_begins_the_counts_anew() -> None:
    _, told = await _told(
        EMPTY, reply("", call("echo", "a")), EMPTY, reply("", call("echo", "b")), reply("done")
    )

    assert told == [wording.reply_empty()] * 2


async def test_what_a_filter_ended_is_not_asked_again() -> None:
    rig, told = await _told(AssistantMessage("", stop="filtered"))

    assert told == []
    assert "filter" in rig.of(Notice)[0].text


@pytest.mark.parametrize(("stop", "cut"), [("length", True), ("calls", False)])
async def test_a_call_that_was_cut_is_told_from_one_that_is_broken(stop: Any, cut: bool) -> None:
    calls = (call("echo", "a", text="x"), ToolCall("b", "echo", None, '{"text": "un'))
    rig = Rig([AssistantMessage("", calls=calls, stop=stop), reply("done")])

    await run_turn(rig.turn)

    whole, broken = [event.result for event in rig.of(CallFinished)]
    assert whole.ok
    assert not broken.ok
    assert (broken.text == wording.call_cut("echo")) == cut


async def test_a_call_that_is_whole_is_run_although_the_reply_was_cut() -> None:
    calls = (call("echo", "a", text="x"),)
    rig = Rig([AssistantMessage("", calls=calls, stop="length"), reply("done")])

    await run_turn(rig.turn)

    assert rig.of(CallFinished)[0].result.text == "x"


def test_a_name_that_was_nearly_right_is_named_and_not_run() -> None:
    assert wording.unknown_tool("Bash", ["bash", "read"]) == (
        "There is no tool `Bash`; nothing was run. Did you mean `bash`? "
        "The tools are: `bash`, `read`."
    )


async def test_a_journal_gives_back_what_was_told() -> None:
    rig, told = await _told(EMPTY, reply("done"))

    assert [m.text for m in rig.history.messages if isinstance(m, UserMessage)] == ["go", *told]
    assert rig.history.said() == ("go",)
