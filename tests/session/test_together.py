"""Several processes start sessions of one repository at the same time."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path

from agent.app import Options, open_session
from agent.config import Settings
from agent.core.events import SessionStarted, TurnFinished
from agent.overview import Overview
from agent.session.catalog import Catalog
from agent.session.journal import read
from agent.testing.memory.backend import MemoryBackend
from agent.testing.model import Scripted
from benchmarks.speed.aside import Aside
from tests.git.schedules import fork
from tests.git.users import User
from tests.session.test_tasks import says

PROCESSES, SESSIONS = 8, 4


async def start(repository: Path, state: Path) -> None:
    """Sessions side by side, each with a turn."""
    settings = Settings(model="openai/x", sandbox="local", network="none", map_tokens=0)
    options = Options(repository, settings, state=state)

    async def one() -> None:
        place = partial(Aside, MemoryBackend())
        session = await open_session(options, llm=Scripted([says("hello")]), place=place)
        async for _ in session.send("hello"):
            pass
        await session.close()

    await asyncio.gather(*(one() for _ in range(SESSIONS)))


async def look(repository: Path, state: Path) -> None:
    """What a person looks at meanwhile takes no session from those who run them."""
    catalog = Catalog(state)
    while (state / "going").exists():
        for project in catalog.projects():
            assert Overview(catalog, project).look()[1] == []


def test_numbers_are_unique_and_journals_whole(tmp_path: Path) -> None:
    user = User.start(tmp_path / "repo")
    user.commit("first", **{"a.txt": "one\n"})
    state = tmp_path / "state"
    hold, go = os.pipe()

    def work(job: object) -> None:
        os.close(go)
        os.read(hold, 1)  # until all are there
        asyncio.run(job(user.root, state))  # type: ignore[operator]

    state.mkdir()
    (state / "going").touch()
    children = [fork(lambda job=job: work(job)) for job in (*[start] * PROCESSES, look)]
    os.close(go)
    os.close(hold)
    ended = [os.waitpid(pid, 0)[1] for pid in children[:-1]]
    (state / "going").unlink()
    assert [*ended, os.waitpid(children[-1], 0)[1]] == [0] * (PROCESSES + 1)
    catalog = Catalog(state)
    (project,) = catalog.projects()
    entries = catalog.entries(project)
    count = PROCESSES * SESSIONS
    assert sorted(entry.number for entry in entries) == list(range(1, count + 1))
    assert len({entry.id for entry in entries}) == count
    for entry in entries:
        records, end = read(catalog.journal(entry.id))
        assert end == catalog.journal(entry.id).stat().st_size
        assert [record.seq for record in records] == list(range(len(records)))
        started = records[0].event
        assert isinstance(started, SessionStarted)
        assert (started.id, started.number, started.project) == (entry.id, entry.number, project)
        outcomes = [r.event.outcome for r in records if isinstance(r.event, TurnFinished)]
        assert outcomes == ["done"]
