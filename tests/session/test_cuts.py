"""A journal that ends anywhere, as kill -9 and power cuts leave it, is gone on with.

The journals are real: each was written by the version of its time, in a real sandbox. `real-N`
are from successive versions; a new shape of events adds one, and none is ever changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.core.events import (
    CallFinished,
    Charged,
    Checked,
    ChildFinished,
    ChildStarted,
    Chosen,
    Compacted,
    Entered,
    Forked,
    Granted,
    HostAllowed,
    ModelChanged,
    Noted,
    Pulled,
    Ran,
    Record,
    Redone,
    Renamed,
    Told,
    TurnFinished,
    Undone,
    UserAnswered,
)
from agent.core.messages import AssistantMessage, Message, ToolMessage
from agent.llm.protocol import Request
from agent.llm.wire import encode_messages
from agent.session import journal
from agent.session.fork import folded
from agent.session.journal import parsed
from agent.session.pages import document
from agent.session.transcript import decoded, records_of, transcript_of
from agent.testing.model import Scripted
from tests.nesting import assert_nested
from tests.servers.history import history_problem
from tests.session.rig import open_session, send

FOLDER = Path(__file__).parent / "journals"
SAMPLES = sorted(FOLDER.glob("*.jsonl"))
each = pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)


def assert_valid(messages: Sequence[Message]) -> None:
    """What a strict provider would say of the conversation."""
    encoded = encode_messages(Request("m", "system", tuple(messages), ()))
    assert history_problem({"messages": encoded}) == ""


def results(records: Sequence[Record]) -> dict[str, CallFinished]:
    found = [r.event for r in records if isinstance(r.event, CallFinished)]
    return {event.result.call_id: event for event in found}


@each
def test_a_journal_of_an_earlier_version_is_read_whole(sample: Path) -> None:
    records, end = journal.read(sample)
    assert end == sample.stat().st_size
    assert_nested(records)
    state = folded(records)
    assert state.started is not None and state.seeded is not None
    assert state.sync == "synced" and state.branch_value and not state.open
    assert_valid(state.history.messages)
    calls = [
        c.id for m in state.history.messages if isinstance(m, AssistantMessage) for c in m.calls
    ]
    assert calls and set(calls) <= set(results(records))
    assert state.history.everything[-1] == state.history.messages[-1]
    if sample.stem == "v1":
        return  # its commits are made up
    found = decoded(document(transcript_of(records), ".json"), "it")
    assert len(found.messages) == len(state.history.everything)
    assert folded(records_of(found, state.started, files=True)).turn > 0


def test_the_samples_have_what_changes_a_conversation_or_its_account() -> None:
    kinds = {type(record.event) for sample in SAMPLES for record in journal.read(sample)[0]}
    assert kinds >= {Compacted, Charged, Granted, Checked, ChildStarted, ChildFinished, Told, Noted}
    assert kinds >= {Ran, Chosen, HostAllowed}
    assert kinds >= {ModelChanged, Renamed, Forked, Pulled, Redone, Undone, Entered, UserAnswered}


@each
def test_cut_at_any_byte_the_whole_records_before_it_are_read(sample: Path) -> None:
    data = sample.read_bytes()
    whole, _ = parsed(data, sample)
    end = count = 0
    for cut in range(len(data) + 1):
        if data[:cut].endswith(b"\n"):
            end, count = cut, count + 1
        records, filled = parsed(data[:cut], sample)
        assert (len(records), filled) == (count, end), cut
    assert count == len(whole)
    for tail in (b"\0" * 4096, b'{"v":1,"seq"\n', b"\n", b"\xff\n"):
        assert parsed(data + tail, sample) == (whole, len(data))


@each
async def test_cut_after_any_record_the_session_goes_on(sample: Path, tmp_path: Path) -> None:
    lines = sample.read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        path = tmp_path / str(count) / "journal.jsonl"
        path.parent.mkdir()
        # The next record is torn in its middle, as often as not.
        torn = lines[count][: len(lines[count]) // 2] if count < len(lines) and count % 2 else b""
        path.write_bytes(b"".join(lines[:count]) + torn)
        before = results(journal.read(path)[0])
        model = Scripted([AssistantMessage("gone on")])
        session, _ = open_session(path, model)
        assert not session.state.open and not session.state.history.waiting
        assert_valid(session.state.history.messages)
        shown = await send(session, "go on")
        finished = [r.event for r in shown if isinstance(r.event, TurnFinished)]
        assert finished[-1].outcome == "done", finished
        await session.close()
        records, _ = journal.read(path)
        assert_nested(records)
        assert_valid(model.requests[-1].messages)
        assert {**results(records), **before} == results(records), "a result was lost or changed"
        state = folded(records)
        last = state.history.messages[-1]
        assert isinstance(last, AssistantMessage) and last.text == "gone on"
        assert all(len(r.results) for r in state.history.messages if isinstance(r, ToolMessage))
        assert not state.syncing
