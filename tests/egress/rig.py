"""A gate on a real unix socket, real servers on loopback, and a resolver that tests fill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

from agent.host import files
from agent.host.network import connect as real_connect
from agent.sandbox.egress.gate import Gate
from agent.sandbox.egress.policy import policy_of
from agent.sandbox.egress.proxy import Bounds
from agent.sandbox.egress.roads import Roads
from agent.sandbox.egress.upstream import NO_UPSTREAM, Upstreams

PUBLIC = "93.184.216.34"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


class World:
    """Names, and what is really connected to for each address: nothing leaves this machine."""

    def __init__(self) -> None:
        self.names: dict[str, list[Sequence[str]]] = {}
        self.looked_up: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self.servers: dict[tuple[str, int], int] = {}
        self.slow: asyncio.Event | None = None

    def name(self, name: str, *answers: Sequence[str]) -> None:
        """Each look-up takes the next answer; the last one stays."""
        self.names[name] = list(answers) or [[PUBLIC]]

    async def lookup(self, name: str) -> Sequence[str]:
        self.looked_up.append(name)
        if self.slow is not None:
            await self.slow.wait()
        answers = self.names.get(name, [[]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def connect(self, address: str, port: int) -> Streams:
        self.connected.append((address, port))
        if (address, port) in self.servers:
            return await real_connect("127.0.0.1", self.servers[address, port])
        raise ConnectionRefusedError(111, "Connection refused")

    def roads(self, upstreams: Upstreams = NO_UPSTREAM) -> Callable[[], Roads]:
        return lambda: _Roads(self.lookup, self.connect, upstreams)


class _Roads(Roads):
    """Loopback plays the public addresses, so the check against oneself has its own test."""

    def _road(self, streams: Streams, address: str, rule: Any) -> Any:
        from agent.sandbox.egress.incoming import Incoming
        from agent.sandbox.egress.roads import Road

        return Road(Incoming(streams[0]), streams[1], address)


@contextlib.asynccontextmanager
async def server(world: World, handler: Handler, address: str = PUBLIC, port: int = 80) -> Any:
    """A server that stands for `address` and `port`."""
    listening = await asyncio.start_server(handler, "127.0.0.1", 0)
    world.servers[address, port] = listening.sockets[0].getsockname()[1]
    try:
        yield listening
    finally:
        listening.close()


class Rig:
    """A gate that is open, and the events it sent."""

    def __init__(self, gate: Gate, socket: Path, audit: Path, events: list[Any]) -> None:
        self.gate = gate
        self.socket = socket
        self._audit = audit
        self.events = events

    async def connect(self) -> Streams:
        return await asyncio.open_unix_connection(str(self.socket))

    async def talk(self, data: bytes, *, end: bool = False) -> bytes:
        """Send, and read until the proxy closes."""
        reader, writer = await self.connect()
        writer.write(data)
        if end:
            writer.write_eof()
        answer = bytearray()
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                answer += piece
        writer.close()
        return bytes(answer)

    def audit(self) -> list[dict[str, Any]]:
        if not self._audit.exists():
            return []
        return [json.loads(line) for line in self._audit.read_text().splitlines()]


@contextlib.asynccontextmanager
async def open_gate(
    world: World,
    *hosts: str,
    kind: str = "list",
    asks: bool = False,
    bounds: Bounds | None = None,
    upstreams: Upstreams = NO_UPSTREAM,
) -> AsyncGenerator[Rig]:
    events: list[Any] = []
    with files.temporary_dir("gbe-") as folder:
        audit = folder / "network.jsonl"
        gate = Gate(
            policy_of(kind, hosts),
            emit=events.append,
            asks=asks,
            audit=audit,
            roads=world.roads(upstreams),
            bounds=bounds,
        )
        socket = folder / "proxy"
        await gate.open(str(socket))
        try:
            yield Rig(gate, socket, audit, events)
        finally:
            await gate.close()


def get(url: str, *headers: str) -> bytes:
    """A request of a program that knows its proxy."""
    return "\r\n".join([f"GET {url} HTTP/1.1", "Host: what.ever", *headers, "", ""]).encode()


def to(authority: str) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()


def socks(host: bytes, port: int = 443, *, kind: int = 3, command: int = 1) -> bytes:
    named = bytes([len(host)]) + host if kind == 3 else host
    return b"\x05\x01\x00" + bytes([5, command, 0, kind]) + named + struct.pack(">H", port)


def client_hello(*names: str, records: int = 1, extension: bytes | None = None) -> bytes:
    """A TLS greeting for `names`; cut into several records when that is asked for."""
    entries = b"".join(b"\x00" + struct.pack(">H", len(n)) + n.encode() for n in names)
    listed = struct.pack(">H", len(entries)) + entries
    sni = b"\x00\x00" + struct.pack(">H", len(listed)) + listed if names else b""
    extensions = b"\x00\x17\x00\x00" + sni + (extension or b"")
    body = b"\x03\x03" + b"r" * 32 + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    size = -(-len(message) // records)
    pieces = [message[i : i + size] for i in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(p)) + p for p in pieces)
