"""A session whose journal cannot be written any more, at every record of a turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import JournalError
from agent.core.messages import Message
from agent.session import journal
from agent.session.session import Session
from agent.testing.model import Scripted
from tests.full import room_for
from tests.loop.rig import ECHO, call, reply
from tests.nesting import assert_nested
from tests.session.rig import open_session, send
from tests.session.test_cuts import assert_valid


def script() -> Scripted:
    return Scripted([reply("", call("echo", text="x" * 300)), reply("done"), reply("again")])


async def sizes(path: Path) -> list[int]:
    """Where the records of an undisturbed first turn end."""
    session, _ = open_session(path, script(), ECHO)
    before = path.stat().st_size
    await send(session, "one")
    await session.close()
    ends = [0]
    for line in path.read_bytes().splitlines(keepends=True):
        ends.append(ends[-1] + len(line))
    return [end for end in ends[1:-2] if end >= before]


def messages(session: Session) -> tuple[Message, ...]:
    return tuple(session.state.history.messages)


async def test_at_any_record_it_is_said_and_gone_on_with_when_there_is_room(tmp_path: Path) -> None:
    ends = await sizes(tmp_path / "whole")
    assert len(ends) > 8
    for number, end in enumerate(ends):
        path = tmp_path / str(number)
        session, _ = open_session(path, script(), ECHO)
        with room_for(end + 20), pytest.raises(JournalError, match="cannot be written") as raised:
            await send(session, "one")
        assert "ulimit -f" in raised.value.hint
        assert path.read_bytes().endswith(b"\n")
        records, whole = journal.read(path)
        assert whole == path.stat().st_size
        await send(session, "two")  # in the same process, and nothing of it is missing
        asked = messages(session)
        await session.close()
        after, _ = journal.read(path)
        assert after[: len(records)] == records
        assert [record.seq for record in after] == list(range(len(after)))
        assert_nested(after)
        assert_valid(asked)
        again, _ = open_session(path, Scripted([reply("more")]), ECHO)
        assert messages(again) == asked
        await send(again, "three")
        await again.close()
