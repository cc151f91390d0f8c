"""Forks of sessions whose sandboxes are at Daytona: copied there, or planted instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.app import Options
from agent.config import Settings
from tests.daytona_fixtures import NOWHERE, DaytonaBackend, serving, use
from tests.e2e.conftest import user
from tests.e2e.rig import User
from tests.e2e.test_fork import Place, inside, say
from tests.servers.daytona.server import DaytonaServer

__all__ = ["user"]

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

MADE = "echo 1 >a; printf '%s\\n' '*.log' >.gitignore; echo built >out.log; echo note >~/note"


@pytest.fixture
def server() -> Iterator[DaytonaServer]:
    with serving() as server:
        yield server


@pytest.fixture
def place(user: User, server: DaytonaServer, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    use(server, monkeypatch)
    user.start()
    settings = Settings(model="scripted", sandbox="daytona", network="none")
    return Place(user, Options(user.repo, settings))


async def discard(server: DaytonaServer, *refs: str) -> None:
    for ref in refs:
        await DaytonaBackend(NOWHERE).destroy(ref)
    assert server.living() == []


async def test_where_machines_can_be_forked_the_whole_disk_is(
    place: Place, server: DaytonaServer
) -> None:
    server.forks = True
    async with place.session() as source:
        await say(source, MADE)
        async with place.fork("1", source=source) as fork:
            look = "cat a out.log ~/note; git symbolic-ref HEAD; git status --porcelain"
            assert await inside(fork, look) == "1\nbuilt\nnote\nrefs/heads/glovebox/2\n"
            assert len(server.living()) == 2
            labels = {box.labels["glovebox.session"] for box in server.living()}
            assert labels == {source.id, fork.id}
            await say(fork, "echo 2 >>a")
            assert place.user.git("show", "glovebox/2:a") == "1\n2"
            assert await inside(source, "cat a") == "1\n"
            refs = (source.state.sandbox_ref, fork.state.sandbox_ref)
    async with place.session("2") as again:
        assert await inside(again, "cat a out.log") == "1\n2\nbuilt\n"
    await discard(server, *refs)


async def test_where_they_cannot_the_files_are_planted_and_it_is_said(
    place: Place, server: DaytonaServer
) -> None:
    async with place.session() as source:
        await say(source, MADE)
        async with place.fork("1", source=source) as fork:
            assert await inside(fork, "cat a; ls -A") == "1\n.git\n.gitignore\na\nhello.txt\n"
            refs = (source.state.sandbox_ref, fork.state.sandbox_ref)
    said = [path.read_text() for path in place.user.journals() if '"Forked"' in path.read_text()]
    assert "the fork has the files and not what ran" in said[0]
    await discard(server, *refs)
