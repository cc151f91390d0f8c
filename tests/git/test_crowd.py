"""Many sessions of one repository in several processes at the same time."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from agent.git.repository import Repository
from agent.git.sync import Sync
from tests.git.hostdir import HostDir
from tests.git.schedules import fork, settle
from tests.git.users import User

PROCESSES = 2


async def turns(user: User, numbers: range, turns: int, place: Path) -> list[str]:
    """What went wrong when these sessions, all at once, are seeded and synced again and again."""
    repository = await Repository.find(user.root)

    async def one(number: int) -> list[str]:
        inside = HostDir(place / str(number))
        sync = Sync(repository, name=f"s{number}", branch=f"glovebox/{number}")
        await sync.seed(inside)
        found: list[str] = []
        for turn in range(turns):
            User(inside.work).write("made.txt", f"{number} {turn}\n")
            done = await sync.run(inside, message=f"turn {turn}")
            found += [done.problem.message] if done.problem else list(done.notes)
        return found

    return [said for found in await asyncio.gather(*map(one, numbers)) for said in found]


def run(user: User, sessions: int, rounds: int, place: Path) -> str:
    """What two processes had to say of syncing half of the sessions each."""
    said = [place / f"said{n}" for n in range(PROCESSES)]
    share = sessions // PROCESSES

    def work(n: int) -> None:
        numbers = range(1 + n * share, 1 + (n + 1) * share)
        said[n].write_text("\n".join(asyncio.run(turns(user, numbers, rounds, place))))

    children = {fork(lambda n=n: work(n)) for n in range(PROCESSES)}
    while children:
        # What a person's git does on its own meanwhile.
        for command in (("pack-refs", "--all"), ("gc", "--quiet", "--prune=now")):
            subprocess.run(["git", *command], cwd=user.root, capture_output=True, check=False)
        for child in tuple(children):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                assert status == 0
                children.discard(child)
    settle()
    return "".join(path.read_text() for path in said)


def hold(user: User, sessions: int, rounds: int, place: Path) -> None:
    assert run(user, sessions, rounds, place) == ""
    for number in range(1, sessions + 1):
        tip = User(place / str(number) / "workspace").git("rev-parse", "HEAD")
        assert user.git("rev-parse", f"glovebox/{number}", f"refs/glovebox/s{number}/tip") == (
            f"{tip}\n{tip}"
        )
        assert user.git("show", f"{tip}:made.txt") == f"{number} {rounds - 1}"
        assert user.git("rev-list", "--count", f"main..{tip}") == str(rounds)
    user.git("fsck", "--strict", "--connectivity-only")


def test_two_processes_sync_sessions_of_one_repository(user: User, tmp_path: Path) -> None:
    hold(user, 4, 1, tmp_path)


@pytest.mark.slow
def test_two_processes_sync_twenty_sessions_of_one_repository(user: User, tmp_path: Path) -> None:
    hold(user, 20, 3, tmp_path)
