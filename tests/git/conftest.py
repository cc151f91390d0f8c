"""Repositories and sandboxes for the git room. No test sees the machine's git configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core.events import Seeded, SyncFinished, Undone
from agent.git.repository import Repository
from agent.git.sync import Sync
from tests.git.hostdir import HostDir
from tests.git.users import User


@pytest.fixture
def user(tmp_path: Path) -> User:
    """A user with a small repository of three commits."""
    user = User.start(tmp_path / "repo")
    user.commit("first", **{"a.txt": "one\n", "dir/b.txt": "b\n"})
    user.commit("second", **{"a.txt": "one\ntwo\n"})
    user.commit("third", **{"run.sh": "#!/bin/sh\n"})
    return user


@dataclass
class Run:
    """One session's sync as the application drives it: what it returns is handed in again."""

    sync: Sync
    inside: HostDir
    seeded: Seeded
    last: SyncFinished | Undone | None = None
    branch: str = ""
    turn: int = 0

    async def go(self, message: str = "do it") -> SyncFinished:
        self.turn += 1
        done = await self.sync.run(
            self.inside,
            base=self.seeded.tip,
            last=self.last.commit if self.last else self.seeded.tip,
            branch=self.branch,
            message=message,
            turn=self.turn,
        )
        if not done.problem:
            self.last, self.branch = done, done.branch or self.branch
        return done

    async def undo(self, to: str) -> Undone:
        self.last = await self.sync.undo(self.inside, to=to, branch=self.branch)
        return self.last

    @property
    def agent(self) -> User:
        """Somebody who works inside."""
        return User(self.inside.work)


class Start:
    """Seed sandboxes from repositories."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._count = 0

    async def __call__(
        self, user: User, *, session: str = "s1", number: int = 1, git_inside: str = ""
    ) -> Run:
        self._count += 1
        inside = HostDir(self._place / f"inside{self._count}")
        if git_inside:
            inside.replace_git(git_inside)
        repository = await Repository.find(user.root)
        sync = Sync(repository, session=session, number=number)
        return Run(sync, inside, await sync.seed(inside))


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path)
