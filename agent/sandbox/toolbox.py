"""The host's side of the toolbox: requests matched to answers over any pair of streams.

Promises: each request ends with exactly one result or exception; answers to different requests do
not mix; a peer that breaks the protocol, claims too much or stops answering is cut off, and then
every request, open or later, raises `SandboxLost`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.core import limits
from agent.core.errors import SandboxError, SandboxLost, ToolboxError
from agent.host import system, zips
from agent.sandbox.frames import COUNT, Kind, count, decode, encode, frame, pieces, read_frame
from agent.sandbox.protocol import ExecResult, OnOutput, Sink, Size, Stream

LIMITS = {
    "output_head": limits.OUTPUT_HEAD_BYTES,
    "output_tail": limits.OUTPUT_TAIL_BYTES,
    "log_max": limits.LOG_MAX_BYTES,
    "live_max": limits.LIVE_MAX_BYTES,
    "kill_grace": limits.KILL_GRACE_SECONDS,
    "file_max": limits.FILE_MAX_BYTES,
    "image_max": limits.IMAGE_MAX_BYTES,
    "read_lines": limits.READ_MAX_LINES,
    "read_bytes": limits.READ_MAX_BYTES,
    "line_chars": limits.LINE_MAX_CHARS,
    "diff_max": limits.DIFF_MAX_BYTES,
}
BOUNDS = {
    "processes": limits.SANDBOX_PROCESSES_MAX,
    "descriptors": limits.SANDBOX_DESCRIPTORS_MAX,
    "file_bytes": limits.SANDBOX_FILE_MAX_BYTES,
}
SLOWEST_BYTES_PER_SECOND = 1_000_000
START = 'import runpy; runpy.run_module("agent.toolbox", run_name="__main__")\n'


def bundle() -> bytes:
    """The toolbox as one zip that `python3 -I -S` runs; it holds nothing of this machine."""
    modules = system.modules_of("toolbox").items()
    return zips.packed(
        {
            "__main__.py": START.encode(),
            "agent/__init__.py": b"",
            **{f"agent/toolbox/{name}": source for name, source in modules},
        }
    )


@dataclass(slots=True, eq=False)
class _Request:
    """One request on its way: its number, what has arrived for it, and how much more may."""

    number: int
    room: int = 0
    on_data: Callable[[bytes], None] | None = None
    live_room: int = 0
    on_live: OnOutput | None = None
    # What arrived and was not consumed yet. The one who asked consumes it, so that an exception
    # in a callback is theirs and not the reader's.
    arrived: asyncio.Queue[tuple[Kind, bytes] | None] = field(
        default_factory=asyncio.Queue[tuple[Kind, bytes] | None]
    )
    answer: bytearray = field(default_factory=bytearray)
    answer_room: int = limits.MESSAGE_MAX_BYTES
    muted: bool = False
    ended: bool = False
    # How much more may be sent to a program that reads while it runs.
    window: int = 0
    widened: asyncio.Event = field(default_factory=asyncio.Event)


class ToolboxClient:
    """Speaks to one toolbox. `start` first; `close` at the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._requests: dict[int, _Request] = {}
        self._slots = asyncio.Semaphore(limits.REQUESTS_MAX)
        self._sending = asyncio.Lock()
        self._lost = ""
        self.autopsy: Callable[[], str] = str
        """Asked for the reason, if one is known, when the other end has died."""
        self._reading: asyncio.Task[None] | None = None
        self.target = ""
        """Which Python it is, by the ending of its extension modules; see `grammars`."""

    async def start(
        self,
        *,
        bounds: Mapping[str, int] | None = None,
        environment: Mapping[str, str] | None = None,
        ways: Mapping[str, Any] | None = None,
        grammars: str = "",
    ) -> None:
        """Greet the toolbox: what it may use, and what programs in there are limited to.

        `environment` is all that they will see; without it they see what the toolbox sees. `ways`
        is where they find the proxy, see `egress.passage`, `grammars` where grammars are inside.
        """
        self._reading = asyncio.create_task(self._read(), name="toolbox")
        given = {} if environment is None else {"environment": dict(environment)}
        given |= {} if ways is None else {"ways": dict(ways)}
        given |= {"grammars": grammars} if grammars else {}
        answer = await self.call("hello", limits=LIMITS, bounds=dict(bounds or {}), **given)
        self.target = str(answer.get("suffix", ""))[:80]

    async def close(self) -> None:
        """End the connection; open requests raise `SandboxLost`. Safe to call twice."""
        self._lose("the sandbox was closed")
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Run one operation; see `protocol.Toolbox`."""
        async with self._request() as request:
            await self._ask(request, op, arguments)
            answer = await self._answer(request, patience_of(arguments))
        if not isinstance(answer.get("ok"), bool):
            raise ToolboxError(f"the toolbox answered `{op}` without saying whether it worked")
        return answer

    async def exec(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        stdin: bytes,
        seconds: float,
        on_output: OnOutput | None,
        log: str,
    ) -> ExecResult:
        """Run a program; see `protocol.Sandbox.exec`."""
        arguments = {
            "argv": list(argv),
            "cwd": cwd,
            "env": dict(env),
            "seconds": seconds,
            "log": log,
            "live": on_output is not None,
        }
        output = bytearray()
        patience = seconds + limits.KILL_GRACE_SECONDS + limits.TOOLBOX_LATE_SECONDS
        async with self._request(
            room=limits.OUTPUT_HEAD_BYTES + limits.OUTPUT_TAIL_BYTES,
            on_data=output.extend,
            live_room=limits.LIVE_MAX_BYTES,
            on_live=on_output,
        ) as request:
            await self._ask(request, "exec", arguments)
            await self._data(request, [stdin])
            answer = await self._answer(request, patience)
        return exec_result(answer, bytes(output))

    @contextlib.asynccontextmanager
    async def interact(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], terminal: Size | None
    ) -> AsyncGenerator[Interaction]:
        """Run a program and hold its streams; see `protocol.Sandbox.interact`."""
        window = limits.STREAM_WINDOW_BYTES
        arguments = {
            "argv": list(argv),
            "cwd": cwd,
            "env": dict(env),
            "terminal": None if terminal is None else [terminal.rows, terminal.columns],
            "window": window,
        }
        async with self._request(room=window, live_room=window, window=window) as request:
            await self._ask(request, "interact", arguments)
            yield Interaction(request, self._send, self._still_there)

    @contextlib.asynccontextmanager
    async def dial(self, port: int) -> AsyncGenerator[Interaction]:
        """A connection to a port inside, as streams; exit code 1 when nothing listens there."""
        window = limits.STREAM_WINDOW_BYTES
        async with self._request(room=window, window=window) as request:
            await self._ask(request, "dial", {"port": port, "window": window})
            yield Interaction(request, self._send, self._still_there)

    async def put(self, path: str, data: bytes | Iterable[bytes], mode: int) -> None:
        """Write a file; see `protocol.Sandbox.put`."""
        async with self._request() as request:
            await self._ask(request, "put", {"path": path, "mode": mode})
            await self._data(request, [data] if isinstance(data, bytes) else data)
            answer = await self._answer(request, limits.TOOLBOX_ANSWER_SECONDS)
        refuse_unless_ok("write", path, answer)

    async def get(self, path: str, *, limit: int, sink: Sink | None) -> bytes:
        """Read a file; see `protocol.Sandbox.get`."""
        data = bytearray()
        patience = limits.TOOLBOX_ANSWER_SECONDS + limit / SLOWEST_BYTES_PER_SECOND
        async with self._request(room=limit, on_data=sink or data.extend) as request:
            await self._ask(request, "get", {"path": path, "limit": limit})
            answer = await self._answer(request, patience)
        refuse_unless_ok("read", path, answer)
        return bytes(data)

    # One request.

    @contextlib.asynccontextmanager
    async def _request(self, **more: Any) -> AsyncGenerator[_Request]:
        """A request that may be answered from now on; left early, it is ended inside as well."""
        async with self._slots:
            self._still_there()
            # Unguessable, so that nothing inside can answer in advance what was not asked yet.
            request = _Request(secrets.randbits(64), **more)
            self._requests[request.number] = request
            try:
                yield request
            finally:
                if request.ended or self._lost:
                    self._requests.pop(request.number, None)
                else:
                    await self._give_up(request)

    async def _give_up(self, request: _Request) -> None:
        """Ask for the end and wait for it: what still ran is over, its output is here."""
        ending = asyncio.ensure_future(self._cancel(request))
        ending.add_done_callback(lambda _: self._requests.pop(request.number, None))
        # A second cancellation must not leave the first one's work undone: it goes on alone.
        await asyncio.shield(ending)

    async def _cancel(self, request: _Request) -> None:
        patience = limits.KILL_GRACE_SECONDS + limits.TOOLBOX_LATE_SECONDS
        with contextlib.suppress(SandboxError, ToolboxError):
            await self._send(frame(Kind.CANCEL, request.number))
            await self._answer(request, patience)

    async def _ask(self, request: _Request, op: str, arguments: dict[str, Any]) -> None:
        *first, last = pieces(encode(op, arguments))
        for piece in first:
            await self._send(frame(Kind.ASK, request.number, piece))
        await self._send(frame(Kind.ASK_END, request.number, last))

    async def _data(self, request: _Request, data: Iterable[bytes]) -> None:
        for block in data:
            for piece in pieces(block):
                await self._send(frame(Kind.DATA, request.number, piece))
        await self._send(frame(Kind.DATA_END, request.number))

    async def _send(self, data: bytes) -> None:
        self._still_there()
        try:
            async with asyncio.timeout(limits.TOOLBOX_ANSWER_SECONDS), self._sending:
                self._writer.write(data)
                await self._writer.drain()
        except ConnectionError:
            self._lose(self.autopsy() or "the sandbox is gone")
        except TimeoutError:
            self._lose("the sandbox does not take requests any more")
        self._still_there()

    async def _answer(self, request: _Request, seconds: float) -> dict[str, Any]:
        """Consume what arrives until the request has ended; its answer."""
        try:
            async with asyncio.timeout(seconds):
                while not request.ended:
                    self._consume(request, await request.arrived.get())
        except TimeoutError:
            self._lose(f"the sandbox did not answer within {seconds:g} seconds")
            self._still_there()
        return decode(bytes(request.answer))

    def _consume(self, request: _Request, arrived: tuple[Kind, bytes] | None) -> None:
        if arrived is None:
            self._still_there()
            return
        kind, payload = arrived
        match kind:
            case Kind.ANSWER | Kind.ANSWER_END:
                request.answer += payload
                request.ended = kind is Kind.ANSWER_END
            case Kind.FAILED:
                request.ended = True
                reason = payload.decode("utf-8", "replace")
                raise ToolboxError(f"the toolbox could not do it: {reason}")
            case _:
                take = request.on_live if kind is Kind.LIVE else request.on_data
                if take is not None and not request.muted:
                    request.muted = True  # stays so when the callback raises
                    take(payload)
                    request.muted = False

    # The reading half.

    async def _read(self) -> None:
        try:
            while True:
                self._dispatch(*await read_frame(self._reader))
        except ToolboxError as error:
            self._lose(f"the sandbox was cut off: {error.message}")
        except (asyncio.IncompleteReadError, ConnectionError):
            self._lose(self.autopsy() or "the sandbox is gone")

    def _dispatch(self, kind: Kind, number: int, payload: bytes) -> None:
        request = self._requests.get(number)
        if request is None or not payload:
            raise ToolboxError("the toolbox answered what was not asked")
        match kind:
            case Kind.CREDIT:
                request.window = min(request.window + count(payload), limits.STREAM_WINDOW_BYTES)
                request.widened.set()
                return
            case Kind.LIVE:
                request.live_room -= len(payload)
            case Kind.DATA:
                request.room -= len(payload)
            case _:
                request.answer_room -= len(payload)
        if min(request.live_room, request.room, request.answer_room) < 0:
            raise ToolboxError("the toolbox sent more than was asked for")
        request.arrived.put_nowait((kind, payload))

    def _lose(self, why: str) -> None:
        if not self._lost:
            self._lost = why
            # Not `close`, which first waits until the other end has taken what is still unsent.
            self._writer.transport.abort()
            for request in self._requests.values():
                request.arrived.put_nowait(None)
                request.widened.set()

    def _still_there(self) -> None:
        if self._lost:
            raise SandboxLost(self._lost, "the files are kept; go on with `--continue`")


class Interaction:
    """A program whose streams we hold; see `protocol.Program`."""

    def __init__(
        self,
        request: _Request,
        send: Callable[[bytes], Awaitable[None]],
        still_there: Callable[[], None],
    ) -> None:
        self._request = request
        self._send = send
        self._still_there = still_there
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        return self._exit_code

    async def output(self) -> AsyncGenerator[tuple[Stream, bytes]]:
        request = self._request
        while not request.ended:
            arrived = await request.arrived.get()
            if arrived is None:
                self._still_there()
                continue
            kind, payload = arrived
            if kind not in (Kind.DATA, Kind.LIVE):
                self._finish(kind, payload)
                continue
            yield "stdout" if kind is Kind.DATA else "stderr", payload
            if kind is Kind.DATA:
                request.room += len(payload)
            else:
                request.live_room += len(payload)
            await self._send(frame(Kind.CREDIT, request.number, COUNT.pack(len(payload))))

    def _finish(self, kind: Kind, payload: bytes) -> None:
        request = self._request
        request.answer += payload
        request.ended = kind in (Kind.ANSWER_END, Kind.FAILED)
        request.widened.set()
        if kind is Kind.FAILED:
            reason = payload.decode("utf-8", "replace")
            raise ToolboxError(f"the toolbox could not do it: {reason}")
        if request.ended:
            code = decode(bytes(request.answer)).get("exit_code")
            if not isinstance(code, int):
                raise ToolboxError("the toolbox answered `interact` without an exit code")
            self._exit_code = code

    async def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view and not self._request.ended:
            size = min(len(view), self._request.window, limits.FRAME_PAYLOAD_MAX_BYTES)
            if size:
                self._request.window -= size
                await self._send(frame(Kind.DATA, self._request.number, view[:size]))
                view = view[size:]
            else:
                self._request.widened.clear()
                await self._request.widened.wait()
                self._still_there()

    async def end(self) -> None:
        await self._send(frame(Kind.DATA_END, self._request.number))

    async def resize(self, size: Size) -> None:
        await self._tune({"size": [size.rows, size.columns]})

    async def signal(self, number: int) -> None:
        await self._tune({"signal": number})

    async def _tune(self, change: dict[str, Any]) -> None:
        data = json.dumps(change).encode("ascii")
        await self._send(frame(Kind.TUNE, self._request.number, data))


def patience_of(arguments: Mapping[str, Any]) -> float:
    """How long an operation may take: one that waits is told for how long, in `seconds`."""
    return limits.TOOLBOX_ANSWER_SECONDS + float(arguments.get("seconds") or 0.0)


def exec_result(answer: dict[str, Any], output: bytes) -> ExecResult:
    """An `exec` answer as our type. Raises `ToolboxError` for one of another shape."""
    match answer:
        case {
            "exit_code": int() | None as code,
            "timed_out": bool() as timed_out,
            "dropped": int() as dropped,
            "log": str() as log,
            "seconds": float() as seconds,
        }:
            return ExecResult(code, output, dropped, timed_out, seconds, log)
        case _:
            raise ToolboxError("the toolbox answered `exec` with something else than a result")


def refuse_unless_ok(verb: str, path: str, answer: dict[str, Any]) -> None:
    """Raises `SandboxError` with the reason when a file could not be read or written."""
    if answer.get("ok") is not True:
        why = answer.get("why") or str(answer.get("reason", "no reason given")).replace("_", " ")
        raise SandboxError(f"cannot {verb} `{path}` inside the sandbox: {why}")
