"""A sandbox in memory, for tests of what lies above the sandbox room: many at once, no kernel.

It keeps every promise of `agent.testing.contracts`, in its own terms: what a program can reach is
one `Machine`, so there is no way out of it, and no way to a port in it either.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from agent.core.errors import SandboxError, SandboxLost
from agent.core.limits import LIVE_MAX_BYTES, OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES
from agent.sandbox.protocol import Endpoint, ExecResult, OnOutput, Program, Sink, Size, Stream
from agent.testing.memory.files import WORKDIR, Files
from agent.testing.memory.machine import Machine
from agent.testing.memory.process import HUP, TERM, Process
from agent.testing.memory.streams import Streams
from agent.testing.memory.toolbox import MemoryToolbox

_PIECE_BYTES = 65_536
_PORT_MAX = 65_535


class MemorySandbox:
    """See `protocol.Sandbox`."""

    notes: tuple[str, ...] = ()
    network = ""

    def __init__(self, ref: str, machine: Machine, environment: Mapping[str, str]) -> None:
        self.ref = ref
        self.workdir = WORKDIR
        self.toolbox = MemoryToolbox(self._files)
        self._machine = machine
        self._environment = dict(environment)
        self._closed = False

    def _there(self) -> None:
        if self._closed:
            raise SandboxLost(f"the sandbox `{self.ref}` is closed")

    def _files(self) -> Files:
        self._there()
        return self._machine.files

    def _start(
        self, argv: Sequence[str], cwd: str, env: Mapping[str, str] | None, streams: Streams
    ) -> Process:
        self._there()
        given = {**self._environment, **(env or {})}
        return self._machine.start(argv, _path(cwd), given, streams)

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
        clock = asyncio.get_running_loop().time
        started, kept, streams = clock(), Kept(on_output), Streams(stdin)
        streams.stdin.end()
        process = self._start(argv, cwd, env, streams)
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline:
                await kept.take(streams)
        except TimeoutError:
            if not deadline.expired():
                raise  # the listener's own
        finally:
            if process.exit_code is None:
                await self._end(process, kept)
        self._there()
        code = None if deadline.expired() else process.exit_code
        dropped = self._log(kept, log)
        return ExecResult(
            code, kept.cut(), dropped, code is None, clock() - started, log if dropped else ""
        )

    async def _end(self, process: Process, kept: Kept) -> None:
        """End the group, and hear what it says meanwhile."""
        ending = asyncio.create_task(self._machine.end(process))
        try:
            await kept.take(process.streams)
        finally:
            await asyncio.shield(ending)

    def _log(self, kept: Kept, log: str) -> int:
        dropped = max(0, len(kept.whole) - OUTPUT_HEAD_BYTES - OUTPUT_TAIL_BYTES)
        if dropped and log:
            self._machine.files.make_folders(posixpath.dirname(_path(log)))
            self._machine.files.write(_path(log), bytes(kept.whole))
        return dropped

    @asynccontextmanager
    async def interact(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        terminal: Size | None = None,
    ) -> AsyncGenerator[Program]:
        streams = Streams(apart=terminal is None, terminal=terminal)
        process = self._start(argv, cwd, env, streams)
        try:
            yield Held(process, self._machine, self._there)
        finally:
            if process.exit_code is None:
                await self._machine.end(process, HUP, TERM)

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        whole = data if isinstance(data, bytes) else b"".join(data)
        files = self._files()
        try:
            files.make_folders(posixpath.dirname(_path(path)))
            files.write(_path(path), whole, mode)
        except OSError as error:
            raise SandboxError(f"cannot write `{path}`: {error.strerror}") from error

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        files = self._files()
        try:
            data = files.read(_path(path), limit)
        except OSError as error:
            raise SandboxError(f"cannot read `{path}`: {error.strerror}") from error
        if sink is None:
            return data
        for at in range(0, len(data), _PIECE_BYTES):
            sink(data[at : at + _PIECE_BYTES])
        return b""

    async def expose(self, port: int) -> Endpoint:
        self._there()
        if not 0 < port <= _PORT_MAX:
            raise SandboxError(f"{port} is no port: it must be between 1 and {_PORT_MAX}")
        raise SandboxError("a machine in memory has no network, so nothing can listen in it")

    async def close(self) -> None:
        self._closed = True
        await self._machine.stop()


class Kept:
    """All output of a program; the listener gets the first of it, as it comes."""

    def __init__(self, listener: OnOutput | None) -> None:
        self.whole = bytearray()
        self._listener = listener

    async def take(self, streams: Streams) -> None:
        """Take what is printed until the program has ended."""
        while (printed := await streams.printed()) is not None:
            live = printed[1][: max(0, LIVE_MAX_BYTES - len(self.whole))]
            self.whole += printed[1]
            listener, self._listener = self._listener, None  # one that fails is not told again
            if listener is not None and live:
                listener(live)
            self._listener = listener

    def cut(self) -> bytes:
        """Head and tail."""
        if len(self.whole) <= OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES:
            return bytes(self.whole)
        return bytes(self.whole[:OUTPUT_HEAD_BYTES] + self.whole[-OUTPUT_TAIL_BYTES:])


class Held:
    """See `protocol.Program`."""

    def __init__(self, process: Process, machine: Machine, there: Callable[[], None]) -> None:
        self._process = process
        self._machine = machine
        self._there = there
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        return self._exit_code

    async def output(self) -> AsyncGenerator[tuple[Stream, bytes]]:
        while (printed := await self._process.streams.printed()) is not None:
            yield printed
        self._there()
        self._exit_code = self._process.exit_code

    async def send(self, data: bytes) -> None:
        await self._process.streams.stdin.write(data)

    async def end(self) -> None:
        self._process.streams.stdin.end()

    async def resize(self, size: Size) -> None:
        if self._process.streams.terminal is not None:
            self._process.streams.terminal = size

    async def signal(self, number: int) -> None:
        for process in self._machine.group(self._process):
            process.signal(number)


def _path(path: str) -> str:
    return posixpath.normpath(posixpath.join(WORKDIR, path))
