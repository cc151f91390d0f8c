"""A sandbox whose toolbox is resident: everything but its end is the toolbox's work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from agent.sandbox.protocol import ExecResult, OnOutput, Program, Sink, Size
from agent.sandbox.toolbox import ToolboxClient


class Resident:
    """What is the same wherever a `ToolboxClient` reaches; see `protocol.Sandbox`."""

    def __init__(self, ref: str, workdir: str, toolbox: ToolboxClient) -> None:
        self._ref = ref
        self._workdir = workdir
        self._toolbox = toolbox

    notes: tuple[str, ...] = ()
    network = ""

    @property
    def ref(self) -> str:
        return self._ref

    @property
    def workdir(self) -> str:
        return self._workdir

    @property
    def toolbox(self) -> ToolboxClient:
        return self._toolbox

    async def exec(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds: float = 120.0,
        on_output: OnOutput | None = None,
        log: str = "",
    ) -> ExecResult:
        return await self._toolbox.exec(
            argv,
            cwd=cwd,
            env=env or {},
            stdin=stdin,
            seconds=seconds,
            on_output=on_output,
            log=log,
        )

    def interact(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        terminal: Size | None = None,
    ) -> AbstractAsyncContextManager[Program]:
        return self._toolbox.interact(argv, cwd=cwd, env=env or {}, terminal=terminal)

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        await self._toolbox.put(path, data, mode)

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        return await self._toolbox.get(path, limit=limit, sink=sink)
