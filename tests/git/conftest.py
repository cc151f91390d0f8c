"""Repositories and sandboxes for the git room. No test sees the machine's git configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core.events import Seeded, SyncFinished, Undone
from agent.git.repository import Repository
from agent.git.rules import Rules
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
    session: str
    turn: int = 0

    async def go(self, message: str = "do it") -> SyncFinished:
        self.turn += 1
        trailers = {"Glovebox-Session": self.session, "Glovebox-Turn": str(self.turn)}
        return await self.sync.run(
            self.inside, message=message, trailers=trailers, known=(self.seeded.tip,)
        )

    async def undo(self, to: str) -> Undone:
        return await self.sync.undo(self.inside, to=to)

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
        self,
        user: User,
        *,
        session: str = "s1",
        number: int = 1,
        git_inside: str = "",
        rules: Rules | None = None,
    ) -> Run:
        self._count += 1
        inside = HostDir(self._place / f"inside{self._count}")
        if git_inside:
            inside.replace_git(git_inside)
        repository = await Repository.find(user.root)
        sync = Sync(repository, name=session, branch=f"glovebox/{number}", rules=rules)
        return Run(sync, inside, await sync.seed(inside), session)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return Start(tmp_path)
