"""What a session needs of its sandbox with the repository in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from agent.core.events import Pulled, SyncFinished, Undone
from agent.core.messages import ToolCall
from agent.session.state import State
from agent.tools.base import ToolContext


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

    async def undo(self, state: State, to: str) -> Undone:
        """Put files and branch back to commit `to`. Raises `SyncError`."""
        ...

    async def pull(self, state: State, name: str, *, dirty: bool) -> Pulled:
        """Merge a commit of the user's, "" for HEAD, into what is inside, all of it committed.

        With `dirty` their uncommitted work comes along. Raises `UserError`, `SyncError`.
        """
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

    async def lost(self) -> None:
        """Forget a sandbox that is gone; the next use starts it again with the files it kept."""
        ...

    async def close(self) -> None: ...

    async def discard(self) -> None:
        """Free everything the sandbox had, its files included. It is closed already."""
        ...
