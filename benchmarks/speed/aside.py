"""A session's workplace in memory: no sandbox is started, no repository is carried anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.core.events import AnyEvent, SandboxState, Seeded, SyncFinished
from agent.core.messages import ToolCall
from agent.sandbox.protocol import Sandbox, SandboxSpec
from agent.session.place import Note, Workplace
from agent.session.state import State
from agent.testing.memory.backend import MemoryBackend
from agent.tools.base import ToolContext


class Aside(Workplace):
    """What a session of its own machine in memory needs for turns; nothing comes home from it."""

    def __init__(
        self, backend: MemoryBackend, state: State, emit: Callable[[AnyEvent], None]
    ) -> None:
        self._backend = backend
        self._state = state
        self._emit = emit
        self._sandbox: Sandbox | None = None

    async def ready(self) -> None:
        await self._up()

    async def _up(self) -> Sandbox:
        if self._sandbox is None:
            assert self._state.started is not None
            spec = SandboxSpec(self._state.started.id, network="none")
            self._sandbox = await self._backend.create(spec)
            self._emit(SandboxState("ready", "memory", self._sandbox.ref))
            self._emit(Seeded("", ""))
        return self._sandbox

    async def context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        return ToolContext(await self._up(), call.id, on_output, self._state.seen)

    async def notes(
        self, files: Sequence[str], *, known: Sequence[str], most: int
    ) -> Sequence[Note]:
        return ()

    async def sync(self, state: State, message: str) -> SyncFinished:
        return SyncFinished("")

    async def close(self) -> None:
        if self._sandbox is not None:
            await self._sandbox.close()
