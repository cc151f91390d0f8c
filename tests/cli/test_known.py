"""What is completed after a command: sessions as they are now, their journals read once."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from agent.cli.known import Known
from agent.core.events import Renamed, SessionStarted, TurnStarted
from agent.core.messages import UserMessage
from agent.git.repository import Repository
from agent.host import env
from agent.session.catalog import Catalog
from agent.session.journal import Journal


def git(folder: Path, *words: str) -> None:
    named = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *named, *words], cwd=folder, check=True, capture_output=True)


async def test_what_was_read_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "-q")
    git(repo, "commit", "-q", "--allow-empty", "-m", "begin")
    project = await (await Repository.find(repo)).project_id()
    catalog, places = Catalog(env.state_dir()), list[Path]()
    for number in (1, 2):
        identity = catalog.new_id()
        places.append(catalog.journal(identity))
        journal = Journal(places[-1])
        journal.append(0, SessionStarted(identity, number, project, "m", "local", "none"))
        journal.append(1, TurnStarted(UserMessage(f"task {number}")))
        journal.close()
        catalog.record(project, number, identity)

    known = Known()
    both = await asyncio.gather(known.sights(repo), known.sights(repo))
    assert [[(s.number, s.glance.title) for s in found] for found in both] == [
        [(1, "task 1"), (2, "task 2")]
    ] * 2
    journal = Journal(places[0])
    journal.append(1, Renamed("first"))
    journal.close()
    data = places[0].read_bytes()
    places[0].write_bytes(b"#" * 50 + data[50:])  # whoever reads it from the beginning fails
    assert [s.glance.title for s in await known.sights(repo)] == ["first", "task 2"]
