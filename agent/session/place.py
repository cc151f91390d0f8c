"""What a session needs of its sandbox with the repository in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from agent.core.events import Pulled, SyncFinished, Undone
from agent.core.messages import ToolCall
from agent.session.state import State
from agent.tools.base import ToolContext


class Chart(msgspec.Struct, frozen=True):
    """A map of the repository, the files in it, and how many of the files of code are known."""

    text: str = ""
    files: list[str] = msgspec.field(default_factory=list[str])
    parsed: int = 0
    code_files: int = 0


class Note(msgspec.Struct, frozen=True):
    """What one file of the repository says to those who work on it; `cut` when it says more."""

    path: str
    text: str
    cut: bool = False


class Workplace(Protocol):
    """The session's sandbox with the repository in it, as far as a session needs it."""

    async def ready(self) -> None:
        """Return when it can be used; start it if need be. Raises `SandboxError`, `SyncError`."""
        ...

    async def context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        """Wait until ready and give a call what it may touch."""
        ...

    async def sync(self, state: State, message: str) -> SyncFinished:
        """Bring the work home. Never raises `SyncError`: a failure is in the answer."""
        ...

    async def standing(self) -> str:
        """Where the work is: `synced`, `ahead N`, `failed (why)`; asks inside when it is up."""
        ...

    async def undo(self, state: State, to: str) -> Undone:
        """Put files and branch back to commit `to`. Raises `SyncError`."""
        ...

    async def pull(self, state: State, name: str, *, dirty: bool) -> Pulled:
        """Merge a commit of the user's, "" for HEAD, into what is inside, all of it committed.

        With `dirty` their uncommitted work comes along. Raises `UserError`, `SyncError`.
        """
        ...

    async def map(
        self, words: str, *, tokens: int, touched: Sequence[str], hidden: Sequence[str]
    ) -> Chart:
        """What in the repository matters for `words` and for the files that were touched.

        Those `touched` or `hidden` are not in it. Raises `SandboxError`, `ToolboxError`.
        """
        ...

    async def notes(
        self, files: Sequence[str], *, known: Sequence[str], most: int
    ) -> Sequence[Note]:
        """The repository's notes at its root and on the way to `files`, but for those `known`.

        At most so many bytes. Raises `SandboxError`, `ToolboxError`.
        """
        ...

    async def paths(self) -> Sequence[str]:
        """The files in the work directory. Raises `SandboxError`, `ToolboxError`."""
        ...

    async def settle(self, *, take: bool) -> int:
        """What a sync held back: take it along with the next, or have git inside ignore it."""
        ...

    async def changes(self, state: State) -> str:
        """What is inside and has not come home yet, as a unified diff, capped."""
        ...

    async def diff(self, state: State) -> str:
        """All changes since the repository was carried in, as a unified diff."""
        ...

    def answer_egress(self, identity: str, *, allow: bool, remember: bool) -> bool:
        """A person's answer to `EgressAsked`; False when that question is over."""
        ...

    def allow_host(self, entry: str) -> None:
        """Have a host be reachable from now on. Raises `UserError` where that cannot be."""
        ...

    async def lost(self) -> None:
        """Forget a sandbox that is gone; the next use starts it again with the files it kept."""
        ...

    async def rest(self) -> bool:
        """Stop it until it is needed again, unless something runs in it; whether it was stopped."""
        ...

    async def close(self) -> None: ...

    async def discard(self) -> None:
        """Free everything the sandbox had, its files included. It is closed already."""
        ...
