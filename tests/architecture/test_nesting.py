from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.core.events import (
    PASSING,
    AnyEvent,
    CallFinished,
    CallOutput,
    CallStarted,
    MessageFinished,
    Notice,
    Problem,
    Record,
    SandboxState,
    StepFinished,
    StepStarted,
    SyncFinished,
    SyncStarted,
    TextDelta,
    TurnFinished,
    TurnStarted,
)
from agent.core.messages import AssistantMessage, ToolCall, ToolResult, Usage, UserMessage
from tests.nesting import assert_nested

ONE, TWO = ToolCall("1", "read", {}), ToolCall("2", "read", {})
RUN: list[AnyEvent] = [
    SandboxState("creating", "local"),
    TurnStarted(UserMessage("go")),
    StepStarted(1),
    TextDelta("I "),
    MessageFinished(AssistantMessage("I look", calls=(ONE, TWO))),
    CallStarted(ONE, "read a"),
    CallStarted(TWO, "read b"),
    CallOutput("1", "x"),
    Notice("info", "hello"),
    CallFinished(ToolResult("2", True, "b"), 0.1),
    CallFinished(ToolResult("1", True, "a"), 0.2),
    StepFinished(1, Usage()),
    StepStarted(2),
    MessageFinished(AssistantMessage("done")),
    StepFinished(2, Usage()),
    TurnFinished("done", Usage(), 2),
    SyncStarted(),
    SyncFinished("glovebox/1", "c0ffee"),
]


def recorded(events: list[AnyEvent]) -> list[Record]:
    records: list[Record] = []
    seq = -1
    for event in events:
        seq += not isinstance(event, PASSING)
        records.append(Record(1, seq, 0.0, 1, event))
    return records


def without(kind: type) -> list[AnyEvent]:
    place = next(i for i, event in enumerate(RUN) if isinstance(event, kind))
    return RUN[:place] + RUN[place + 1 :]


def twice(kind: type) -> list[AnyEvent]:
    place = next(i for i, event in enumerate(RUN) if isinstance(event, kind))
    return RUN[: place + 1] + RUN[place:]


def test_a_run_in_order_passes() -> None:
    assert_nested(recorded(RUN))


def test_a_failed_turn_with_its_problem_passes() -> None:
    failed = TurnFinished("failed", Usage(), 1, Problem("LlmDownError", "gone"))
    assert_nested(recorded([RUN[1], StepStarted(1), StepFinished(1, Usage()), failed]))


PAIRED = [
    TurnStarted,
    StepStarted,
    MessageFinished,
    CallStarted,
    CallFinished,
    StepFinished,
    TurnFinished,
    SyncStarted,
    SyncFinished,
]


@pytest.mark.parametrize("change", [without, twice])
@pytest.mark.parametrize("kind", PAIRED)
def test_an_event_that_is_missing_or_double_is_found(
    change: Callable[[type], list[AnyEvent]], kind: type
) -> None:
    with pytest.raises(AssertionError):
        assert_nested(recorded(change(kind)))


@pytest.mark.parametrize(
    "late", [TextDelta("x"), CallOutput("1", "x"), CallFinished(ToolResult("1", True, ""), 0.0)]
)
def test_what_belongs_into_a_turn_may_not_follow_it(late: AnyEvent) -> None:
    with pytest.raises(AssertionError):
        assert_nested(recorded([*RUN, late]))


def test_a_gap_in_the_numbers_is_found() -> None:
    records = recorded(RUN)
    with pytest.raises(AssertionError, match="seq"):
        assert_nested(records[:8] + records[9:])
