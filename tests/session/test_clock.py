"""Sessions that were used while the clock was ahead, and after it was set right."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from agent.app import Options, open_session
from agent.config import Settings
from agent.overview import Overview
from agent.session.catalog import Catalog
from agent.session.session import Session
from agent.testing.memory.backend import MemoryBackend
from agent.testing.model import Scripted
from benchmarks.speed.aside import Aside
from tests.git.users import User
from tests.session.test_tasks import says

DAY = 86_400.0


async def used(options: Options) -> Session:
    """A session of `options` with one turn, closed again."""
    place = partial(Aside, MemoryBackend())
    session = await open_session(options, llm=Scripted([says("hello")]), place=place)
    async for _ in session.send("hello"):
        pass
    await session.close()
    return session


async def test_the_session_used_last_is_that_whatever_the_clock_says(tmp_path: Path) -> None:
    user = User.start(tmp_path / "repo")
    user.commit("first", **{"a.txt": "one\n"})
    settings = Settings(model="openai/x", sandbox="local", network="none", map_tokens=0)
    options = Options(user.root, settings, state=tmp_path / "state")
    catalog = Catalog(tmp_path / "state")
    sessions = [await used(options) for _ in range(3)]
    # As if the second and then the first were used on the day after, before the clock was set back.
    for order, number in enumerate((1, 0)):
        at = time.time() + DAY + order
        os.utime(catalog.journal(sessions[number].id), (at, at))
    last = replace(options, resume="")
    assert (await used(last)).number == 1
    assert (await used(replace(options, resume="3"))).number == 3
    (project,) = catalog.projects()
    assert [entry.number for entry in catalog.entries(project)] == [2, 1, 3]
    assert (await used(last)).number == 3
    assert all(entry.used <= time.time() for entry in catalog.entries(project))
    # A journal that begins in the future is of no negative age.
    journal = catalog.journal(sessions[0].id)
    began = Overview(catalog, project).see(catalog.find(project, "1")).glance.began
    ahead = str(began + DAY).encode()
    journal.write_bytes(journal.read_bytes().replace(str(began).encode(), ahead))
    assert Overview(catalog, project).see(catalog.find(project, "1")).facts()["age"] == 0
