"""What stands below the transcript goes when what it is about is over, however that ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from agent.cli.shown import Shown
from agent.cli.styled import Line
from agent.core.errors import JournalError
from agent.core.events import AnyEvent, CallStarted, Record, TextDelta, TurnStarted
from agent.core.messages import ToolCall, UserMessage


class Paper:
    """A screen that keeps what it was given."""

    lent = False

    def __init__(self) -> None:
        self.transcript: list[str] = []
        self.area: list[str] = []

    def update(self, lines: Sequence[Line], area: Sequence[Line]) -> None:
        self.transcript += _texts(lines)
        self.area = _texts(area)

    async def run(self) -> None: ...

    def edit(self) -> bool:
        return False

    def stop(self) -> None: ...


def _nothing(*_: object) -> None: ...


def _texts(lines: Sequence[Line]) -> list[str]:
    return ["".join(text for _, text in line) for line in lines]


async def test_what_a_full_disk_ended_is_not_shown_as_going_on() -> None:
    paper = Paper()
    shown = Shown(
        paper, None, cross=_nothing, tell=_nothing, decide=_nothing, seen=_nothing, notify=""
    )
    during: list[str] = []
    call = CallStarted(ToolCall("c", "bash", {"command": "make"}), "make")
    events: list[AnyEvent] = [TurnStarted(UserMessage("go")), call, TextDelta("half")]

    async def records() -> AsyncGenerator[Record]:
        for event in events:
            yield Record(1, 0, 0.0, 1, event)
        during.extend(paper.area)
        raise JournalError("no room")

    with pytest.raises(JournalError):
        await shown.follow(records())
    assert during == ["half", "· working; Ctrl-C interrupts"]
    assert paper.area == []
    assert paper.transcript[-1] == "half"
