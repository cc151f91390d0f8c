"""A port inside, on the host's loopback: for the one who knows its name, and for nobody else.

Each preview has a random name below `localhost`, which browsers and curl take to this machine. It
is an origin of its own, so its pages and cookies have nothing to do with other previews; it is a
secret, so other users of this machine get nothing; and a page from elsewhere that has made its own
name lead here (DNS rebinding) says that name, and is refused. Connections lead in, to one port.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import AsyncGenerator

from agent.core import limits
from agent.core.errors import GloveboxError, SandboxError
from agent.host import network
from agent.sandbox.protocol import Endpoint
from agent.sandbox.toolbox import Interaction, ToolboxClient

_REQUEST = re.compile(rb"[A-Z]+ (/|\*)[^ ]* HTTP/1\.[01]")
PIECE_BYTES = 65_536


class Previews:
    """All previews of one sandbox; `close` ends them with every connection."""

    def __init__(self, toolbox: ToolboxClient) -> None:
        self._toolbox = toolbox
        self._open: dict[int, _Preview] = {}
        self._slots = asyncio.Semaphore(limits.PREVIEW_CONNECTIONS_MAX)
        self._opening = asyncio.Lock()

    async def expose(self, port: int) -> Endpoint:
        """Where `port` is on the host; the same place whenever it is asked for."""
        if not 0 < port < 65_536:
            raise SandboxError(f"{port} is no port", "a port is a number from 1 to 65535")
        async with self._opening:
            if port not in self._open:
                preview = _Preview(self._toolbox, port, self._slots)
                await preview.listen()
                self._open[port] = preview
        return self._open[port].endpoint

    async def close(self) -> None:
        """End all of them. Safe to call twice."""
        while self._open:
            await self._open.popitem()[1].close()


class _Preview:
    def __init__(self, toolbox: ToolboxClient, port: int, slots: asyncio.Semaphore) -> None:
        self._toolbox = toolbox
        self._port = port
        self._slots = slots
        self._name = f"{secrets.token_hex(16)}.localhost"
        self._listening: network.Loopback | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        try:
            self._listening = await network.listen_on_loopback(self._accept)
        except OSError as error:
            raise SandboxError(f"no port of this machine can be listened on: {error}") from error

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self._port, f"http://{self._authority}/")

    @property
    def _authority(self) -> str:
        assert self._listening is not None
        return f"{self._name}:{self._listening.port}"

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, GloveboxError):
                if self._slots.locked():
                    await _refuse(writer, 503, "too many connections to this sandbox at once")
                    return
                async with self._slots:
                    await self._answer(reader, writer)
        finally:
            writer.transport.abort() if self._ending() else writer.close()

    def _ending(self) -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(limits.PREVIEW_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await _refuse(writer, 400, "not a request")
            return
        # Only the first request of a connection is looked at: a browser uses a connection for one
        # origin, and whoever could send another request over it knew the name for this one.
        if not self._may_enter(head):
            await _refuse(writer, 403, "use the whole address of the preview, name and port")
            return
        async with self._toolbox.dial(self._port) as line:
            await _pump(line, head, reader, writer)
            if line.exit_code:
                await _refuse(writer, 502, f"nothing listens on port {self._port} in the sandbox")

    def _may_enter(self, head: bytes) -> bool:
        request, *lines = head[:-4].split(b"\r\n")
        fields = [line.partition(b":") for line in lines]
        hosts = [value.strip() for name, _, value in fields if name.strip().lower() == b"host"]
        if not _REQUEST.fullmatch(request) or len(hosts) != 1:
            return False
        return secrets.compare_digest(hosts[0].lower(), self._authority.encode())


async def _pump(
    line: Interaction, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Both ways, until the port has said its last or more has passed than may."""
    sending = asyncio.create_task(_send(line, head, reader))
    try:
        left = limits.PREVIEW_MAX_BYTES
        async with contextlib.aclosing(_received(line)) as pieces:
            async for piece in pieces:
                writer.write(piece)
                await writer.drain()
                left -= len(piece)
                if left < 0:
                    return
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def _received(line: Interaction) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(line.output()) as output:
        async for _, piece in output:
            yield piece


async def _send(line: Interaction, head: bytes, reader: asyncio.StreamReader) -> None:
    left = limits.PREVIEW_MAX_BYTES
    piece = head
    with contextlib.suppress(ConnectionError, GloveboxError):
        while piece and left > 0:
            await line.send(piece)
            left -= len(piece)
            piece = await reader.read(PIECE_BYTES)
        await line.end()


async def _refuse(writer: asyncio.StreamWriter, status: int, why: str) -> None:
    body = f"glovebox: {why}\n".encode()
    head = f"HTTP/1.1 {status} {why}\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
