"""What a fork takes over of another session's records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.core.events import (
    RECORD_VERSION,
    AnyEvent,
    CallFinished,
    CallStarted,
    EgressAnswered,
    Forked,
    MessageFinished,
    Record,
    Renamed,
    SandboxState,
    Seeded,
    SessionStarted,
    StepFinished,
    StepStarted,
    SyncFinished,
    SyncStarted,
    TurnFinished,
    TurnStarted,
    Undone,
)
from agent.core.messages import AssistantMessage, ToolCall, ToolResult, Usage, UserMessage
from agent.session import journal
from agent.session.fork import folded, forked
from agent.session.state import State
from tests.nesting import assert_nested

BEGINS = SessionStarted("newone", 2, "p", "m", "local", "none")
SPENT = Usage(prompt=10, completion=5, cost=0.5)


def turn(number: int, *, sync: bool = True) -> list[tuple[int, AnyEvent]]:
    call = ToolCall(f"c{number}", "write", {"path": "a"})
    details = {"path": "/workspace/a", "hash": f"h{number}", "todo": [{"text": f"t{number}"}]}
    said = AssistantMessage("", calls=(call,), stop="calls", usage=SPENT)
    events: list[AnyEvent] = [
        TurnStarted(UserMessage(f"ask {number}")),
        StepStarted(1),
        MessageFinished(said),
        CallStarted(call, "write a"),
        CallFinished(ToolResult(call.id, True, "done", details), 0.1),
        StepFinished(1, SPENT),
        TurnFinished("done", SPENT, 1),
        SyncStarted(),
        SyncFinished("glovebox/1", f"tip{number}", 1) if sync else SyncFinished("glovebox/1"),
    ]
    return [(number, event) for event in events]


def records(*parts: Iterable[tuple[int, AnyEvent]]) -> list[Record]:
    begins: list[tuple[int, AnyEvent]] = [
        (0, SessionStarted("source", 1, "p", "m", "local", "none")),
        (0, SandboxState("creating", "local", "local:source")),
        (0, Seeded("base", "start")),
        (0, SandboxState("ready", "local", "local:source")),
        (0, Renamed("mine")),
        (0, EgressAnswered("e", "host", 443, allowed=True, remember=True)),
    ]
    events = [*begins, *(one for part in parts for one in part)]
    return [Record(RECORD_VERSION, n, 1.0, number, e) for n, (number, e) in enumerate(events)]


def fold(made: list[Record]) -> State:
    assert_nested([Record(r.v, n, r.at, r.turn, r.event) for n, r in enumerate(made)])
    return folded(made)


def test_a_fork_has_the_conversation_and_nothing_that_reaches_what_is_the_others() -> None:
    source = records(turn(1), turn(2))
    state = fold(forked(source, BEGINS))
    assert state.history.messages == folded(source).history.messages
    assert state.seen.hashes == {"/workspace/a": "h2"}
    assert [item.text for item in state.todo.items] == ["t2"]
    assert (state.started, state.turn, state.last) == (BEGINS, 2, "start")
    assert state.forked == Forked("source", 1, 2, "tip2", "local:source")
    assert (state.sandbox_ref, state.branch, state.branch_value) == ("", "", "")
    assert (state.planted, state.name, state.allowed_hosts) == (False, "", [])
    assert state.seeded == Seeded("base", "start")


def test_what_was_allowed_the_other_is_not_allowed_it() -> None:
    source = records(turn(1))
    assert folded(source).allowed_hosts == ["host:443"]
    last = Record(RECORD_VERSION, 0, 1.0, 1, Forked("source", 1, 1))
    assert folded([*source, last]).allowed_hosts == []


def test_its_costs_begin_at_nothing_and_those_before_are_known() -> None:
    once = forked(records(turn(1), turn(2)), BEGINS)
    state = fold(once)
    assert (state.usage, state.inherited) == (Usage(), SPENT + SPENT)
    twice = forked([*once, *(Record(1, 0, 1.0, n, e) for n, e in turn(3))], BEGINS)
    state = fold(twice)
    assert (state.usage, state.inherited) == (Usage(), SPENT + SPENT + SPENT)


@pytest.mark.parametrize(("number", "tip"), [(0, "start"), (1, "tip1"), (2, "tip2")])
def test_it_begins_where_a_turn_ended(number: int, tip: str) -> None:
    source = records(turn(1), turn(2), turn(3))
    state = fold(forked(source, BEGINS, turn=number))
    assert state.forked is not None and (state.forked.tip, state.forked.ref) == (tip, "")
    assert len(state.history.messages) == 3 * number
    assert state.tips == ["start", "tip1"][:number]


def test_a_turn_that_was_taken_back_can_be_forked() -> None:
    source = records(turn(1), turn(2), [(2, Undone("tip2", "tip1"))])
    assert len(fold(forked(source, BEGINS)).history.messages) == 3
    state = fold(forked(source, BEGINS, turn=2))
    assert state.forked is not None and state.forked.tip == "tip2"
    assert len(state.history.messages) == 6


def test_a_turn_without_files_of_its_own_is_refused() -> None:
    source = records(turn(1, sync=False), turn(2))
    source = [r for r in source if not isinstance(r.event, SyncFinished) or r.turn == 2]
    with pytest.raises(UserError, match="did not come home by itself"):
        forked(source, BEGINS, turn=1)


@pytest.mark.parametrize("number", [3, 99, -1])
def test_a_turn_that_never_was_is_refused(number: int) -> None:
    with pytest.raises(UserError, match="there is no turn"):
        forked(records(turn(1), turn(2)), BEGINS, turn=number)


@pytest.mark.parametrize("events", range(1, 9))
def test_of_a_turn_that_runs_nothing_is_taken_and_of_one_that_was_killed_all(events: int) -> None:
    source = records(turn(1), turn(2)[:events])
    open_now = events < 7
    running = fold(forked(source, BEGINS, running=True))
    assert len(running.history.messages) == (3 if open_now else 6)
    dead = fold(forked(source, BEGINS))
    assert len(dead.history.messages) in (4, 5, 6) and not dead.open
    assert not dead.history.waiting
    why = "not over" if open_now else "by itself"
    with pytest.raises(UserError, match=why):
        forked(source, BEGINS, turn=2)


def test_a_fresh_one_has_the_files_alone() -> None:
    source = records(turn(1), turn(2)[:4])
    state = fold(forked(source, BEGINS, tip="newer", running=True, fresh=True))
    assert (state.history.messages, state.turn, state.seen.hashes) == ((), 0, {})
    assert state.forked == Forked("source", 1, 0, "newer")
    assert state.seeded == Seeded("base", "start")


def test_one_of_a_session_without_a_sandbox_has_the_conversation_alone() -> None:
    source = [r for r in records(turn(1)[:1]) if not isinstance(r.event, Seeded | SandboxState)]
    state = fold(forked(source, BEGINS))
    assert state.forked == Forked("source", 1, 1) and state.seeded is None


def test_it_is_written_whole_and_read_again(tmp_path: Path) -> None:
    place = tmp_path / "s" / "journal.jsonl"
    place.parent.mkdir()
    made = forked(records(turn(1)), BEGINS)
    journal.write(place, made)
    read, end = journal.read(place)
    assert [r.seq for r in read] == list(range(len(made)))
    assert [r.event for r in read] == [r.event for r in made]
    assert end == place.stat().st_size
