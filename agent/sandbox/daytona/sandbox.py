"""One Daytona sandbox in use; see `protocol.Sandbox` for what it promises."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import chain
from typing import Any

from agent.core.errors import SandboxError, ToolboxError
from agent.sandbox import grammars
from agent.sandbox.daytona.machine import PLACE, WORKDIR, Machine
from agent.sandbox.daytona.outwards import download, shown
from agent.sandbox.daytona.resident import resident
from agent.sandbox.daytona.running import Sessions
from agent.sandbox.daytona.trouble import Trouble
from agent.sandbox.protocol import Endpoint, ExecResult, OnOutput, Program, Sink, Size
from agent.sandbox.toolbox import exec_result, refuse_unless_ok

INLINE_BYTES = 200_000
WHOLE_BYTES = 64_000_000
GRAMMARS = f"{PLACE}/grammars"
# What only reads may be asked twice; anything else, whatever comes to be, may not.
_READING = frozenset({
    "read", "glob", "ls", "paths", "notes", "grep", "lsp", "map", "index", "grammars",
    "job_list", "job_look", "fetch", "port", "ports",
})  # fmt: skip


class DaytonaToolbox:
    """The helper inside, one process per question."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Run one operation; see `protocol.Toolbox`."""
        self._machine.still_there()
        answer = await self._machine.call(op, once=op not in _READING, **arguments)
        if not isinstance(answer.get("ok"), bool):
            raise ToolboxError(f"the toolbox answered `{op}` without saying whether it worked")
        return answer


class DaytonaSandbox:
    """A machine at Daytona, used over HTTP alone."""

    notes: tuple[str, ...] = ()
    network = ""

    def __init__(self, ref: str, machine: Machine, stop: Callable[[], Awaitable[None]]) -> None:
        self._ref = ref
        self._machine = machine
        self._stop = stop
        self._toolbox = DaytonaToolbox(machine)
        self._sessions = Sessions(machine)
        self._bringing: asyncio.Task[None] | None = None

    def bring_grammars(self) -> None:
        """Begin to have them inside, behind whatever comes first."""
        self.notes = grammars.told(self._machine.target)
        self._bringing = asyncio.create_task(self._bring(), name="grammars")

    async def _bring(self) -> None:
        self._machine.grammars = await grammars.bring(self, self._machine.target, GRAMMARS)

    async def _stop_bringing(self) -> None:
        if self._bringing is not None:
            self._bringing.cancel()
            await asyncio.wait([self._bringing])

    @property
    def ref(self) -> str:
        return self._ref

    @property
    def workdir(self) -> str:
        return WORKDIR

    @property
    def toolbox(self) -> DaytonaToolbox:
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
        self._machine.still_there()
        arguments = {
            "argv": list(argv),
            "cwd": cwd,
            "env": dict(env or {}),
            "seconds": seconds,
            "log": log,
            "live": on_output is not None,
        }
        answer, output = await self._sessions.run(
            arguments, stdin, seconds=seconds, on_output=on_output
        )
        return exec_result(answer, output)

    def interact(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        terminal: Size | None = None,
    ) -> AbstractAsyncContextManager[Program]:
        return self._interact(argv, cwd, env or {}, terminal)

    @asynccontextmanager
    async def _interact(
        self, argv: Sequence[str], cwd: str, env: Mapping[str, str], terminal: Size | None
    ) -> AsyncGenerator[Program]:
        self._machine.still_there()
        async with (
            resident(self._machine, self._sessions) as toolbox,
            toolbox.interact(argv, cwd=cwd, env=env, terminal=terminal) as program,
        ):
            yield program

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        self._machine.still_there()
        pieces = iter([data] if isinstance(data, bytes) else data)
        first = _take(pieces, INLINE_BYTES + 1)
        where: dict[str, Any] = {"path": path, "mode": mode}
        if len(first) <= INLINE_BYTES:
            where["data"] = base64.b64encode(first).decode("ascii")
        else:
            where["staged"] = f"{PLACE}/in/{secrets.token_hex(8)}"
            await self._upload(where["staged"], first, pieces)
        refuse_unless_ok("write", path, await self._machine.call("put", once=True, **where))

    async def _upload(self, staged: str, first: bytes, rest: Iterator[bytes]) -> None:
        whole = first + _take(rest, WHOLE_BYTES)
        if len(whole) <= WHOLE_BYTES:
            await self._machine.upload({staged: whole})
            return
        # Too much to hold, and gone once it was read: so it goes once.
        try:
            await self._machine.box.upload_stream(staged, _async(chain([whole], rest)))
        except Trouble as trouble:
            raise SandboxError(f"the file did not arrive whole: {trouble.message}") from trouble

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        self._machine.still_there()
        staged = f"{PLACE}/out/{secrets.token_hex(8)}"
        answer = await self._machine.call(
            "get", once=False, path=path, limit=limit, inline=INLINE_BYTES, staged=staged
        )
        refuse_unless_ok("read", path, answer)
        data = bytearray()
        await self._fetch(answer, staged, limit, sink or data.extend)
        return bytes(data)

    async def _fetch(self, answer: dict[str, Any], staged: str, limit: int, sink: Sink) -> None:
        match answer:
            case {"data": str() as text} if len(text) <= limit * 4 // 3 + 4:
                data = base64.b64decode(text)
                if data:
                    sink(data)
            case {"data": None, "size": int() as size} if size <= limit:
                try:
                    await download(self._machine, staged, size, sink)
                finally:
                    await self._machine.forget(staged)
            case _:
                raise ToolboxError("the toolbox answered `get` with something else than a file")

    async def expose(self, port: int) -> Endpoint:
        return await shown(self._machine, port)

    async def close(self) -> None:
        await self._stop_bringing()
        await self._sessions.close()
        await self._stop()

    async def quiet(self) -> None:
        """Wait for what still goes on behind it; for one that nobody uses any more."""
        await self._stop_bringing()
        await self._sessions.close()

    async def reach(self, targets: Sequence[tuple[str, int]], seconds: float) -> list[str]:
        """Which of these addresses programs inside can connect to."""
        asked = [list(target) for target in targets]
        answer = await self._machine.call("reach", once=False, targets=asked, seconds=seconds)
        match answer:
            case {"reached": list()}:
                return [str(target) for target in answer["reached"]]
            case _:
                raise ToolboxError("the toolbox answered `reach` with something else")


def _take(pieces: Iterator[bytes], least: int) -> bytes:
    """At least `least` bytes, or all there are."""
    taken = bytearray()
    while len(taken) < least and (piece := next(pieces, None)) is not None:
        taken += piece
    return bytes(taken)


async def _async(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
