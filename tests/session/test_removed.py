"""A session whose journal is taken away while a turn runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.messages import AssistantMessage
from agent.llm.protocol import Request
from agent.session import journal
from agent.testing.model import Scripted
from tests.loop.rig import ECHO, call, reply
from tests.session.rig import names, open_session, send


def replace(path: Path) -> None:
    (path.parent / "new").write_text("theirs")
    (path.parent / "new").rename(path)


TAKEN: dict[str, Callable[[Path], None]] = {
    "file": lambda path: path.unlink(),
    "folder": lambda path: shutil.rmtree(path.parent),
    "replaced": replace,
}


@pytest.mark.parametrize("how", TAKEN)
async def test_it_is_written_again_and_that_is_said(tmp_path: Path, how: str) -> None:
    path = tmp_path / "session" / "journal"

    def takes(_: Request) -> AssistantMessage:
        TAKEN[how](path)
        return reply("done")

    llm = Scripted([reply("", call("echo", text="x")), takes, reply("more")])
    session, _ = open_session(path, llm, ECHO)
    told: list[str] = []
    session._journal.restored = lambda: told.append("restored")
    records = await send(session, "one")
    assert names(records)[-1] == "Notice"
    assert str(path) in records[-1].event.text  # type: ignore[union-attr]
    assert told == ["restored"]
    assert journal.in_use(path)
    assert "Notice" not in names(await send(session, "two"))
    await session.close()
    stored, _ = journal.read(path)
    assert [record.seq for record in stored] == list(range(len(stored)))
    assert [n for n in names(stored) if n == "TurnFinished"] == ["TurnFinished"] * 2
    aside = path.with_name("journal.aside")
    assert (aside.read_text() if how == "replaced" else not aside.exists()) in ("theirs", True)
    assert not journal.in_use(path)
