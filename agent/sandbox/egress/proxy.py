"""The proxy itself: one client at a time through the same steps, each of which can only refuse.

Read what is asked, strictly; decide by its canonical name; connect to an address that was checked;
make sure that what travels is for the host that was named; pump and count; write one line of audit.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agent.core import limits
from agent.core.text import one_line
from agent.host.network import PUMP_BYTES
from agent.sandbox.egress import hello, http, socks
from agent.sandbox.egress.hello import NotTls
from agent.sandbox.egress.http import BadRequest
from agent.sandbox.egress.incoming import Ended, Incoming
from agent.sandbox.egress.names import BadName, Rule, canonical, split
from agent.sandbox.egress.policy import Target
from agent.sandbox.egress.resolve import Unreachable
from agent.sandbox.egress.roads import Road, Roads

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
HTTPS, HTTP = 443, 80


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one session may use of the proxy."""

    connections: int = limits.EGRESS_CONNECTIONS_MAX
    head_seconds: float = limits.EGRESS_HEAD_SECONDS
    idle_seconds: float = limits.EGRESS_IDLE_SECONDS
    total_bytes: int = limits.EGRESS_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Allowed:
    """Where a client may go; with `strict` what it sends is looked at."""

    target: Target
    rule: Rule
    strict: bool


class Denied(Exception):
    """The policy says no; the text says to what."""


Decide = Callable[[str, int], Awaitable[Allowed]]
"""From host as asked and port to what may be done. Raises `BadName` and `Denied`."""
Log = Callable[[dict[str, Any]], None]


class Refused(Exception):
    """The end of a connection, with what the client is told."""

    def __init__(self, status: int, why: str, *, code: int = socks.REFUSED) -> None:
        super().__init__(why)
        self.status = status
        self.code = code


class Proxy:
    """Serves the clients of one session."""

    def __init__(self, decide: Decide, roads: Roads, log: Log, bounds: Bounds) -> None:
        self.decide = decide
        self.roads = roads
        self.bounds = bounds
        self.spent = 0
        self._log = log
        self._clients: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client from its first byte to its last."""
        task = asyncio.current_task()
        assert task is not None
        client = _Client(self, reader, writer)
        if len(self._clients) >= self.bounds.connections:
            client.refuse(Refused(503, "too many connections at once", code=socks.FAILED))
            self._log(client.entry())
            return
        self._clients.add(task)
        try:
            await client.serve()
        finally:
            self._clients.discard(task)
            self._log(client.entry())

    async def cut(self) -> None:
        """End every connection, now."""
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        if clients:
            await asyncio.wait(clients)


class _Client:
    """One connection, and what the audit will say of it."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._incoming = Incoming(reader)
        self._writer = writer
        self._socks = False
        self._answered = False
        self._started, self._at = time.monotonic(), time.time()
        self._host, self._port, self._address = "", 0, ""
        self._verdict, self._why = "failed", ""
        self._up = self._down = 0
        self._moved = 0.0
        self._road: Road | None = None

    def entry(self) -> dict[str, Any]:
        """The line of audit: who was asked for, what came of it, how much went which way."""
        return {
            "at": round(self._at, 3),
            "host": self._host,
            "port": self._port,
            "address": self._address,
            "verdict": self._verdict,
            "why": self._why,
            "up": self._up,
            "down": self._down,
            "seconds": round(time.monotonic() - self._started, 3),
        }

    async def serve(self) -> None:
        try:
            await self._serve()
        except Refused as refused:
            self.refuse(refused)
        except ConnectionError as error:
            self._why = self._why or str(error)
        except asyncio.CancelledError:
            # By `Proxy.cut` and nobody else; asyncio would report a task that ends cancelled.
            self._why = "cut"
            self._abort()
        finally:
            self._close()

    async def _serve(self) -> None:
        try:
            async with asyncio.timeout(self._proxy.bounds.head_seconds):
                self._socks = await self._incoming.first() == socks.VERSION
                request = None if self._socks else http.parse(await self._incoming.head())
                host, port, path = await self._asked(request)
        except TimeoutError:
            raise Refused(408, "the request did not come in time") from None
        except (BadRequest, BadName) as error:
            raise Refused(400, str(error)) from None
        except socks.BadSocks as error:
            self._answered = True
            self._writer.write(error.reply)
            raise Refused(400, str(error)) from None
        allowed = await self._allowed(host, port)
        if request is not None and path:
            await self._exchange(allowed, request, path)
        else:
            await self._tunnel(allowed)

    # What is asked.

    async def _asked(self, request: http.Request | None) -> tuple[str, int, bytes]:
        """Host as given, port, and the path of a request in the clear (b"" for a tunnel)."""
        if request is None:
            self._writer.write(await socks.greeting(self._incoming))
            return (*await socks.request(self._incoming), b"")
        if request.method != b"CONNECT":
            asked = http.absolute(request)
            if asked[1] == HTTPS:
                raise BadRequest("port 443 is for https://")
            _ = request.length
            return asked
        if request.length:
            raise BadRequest("CONNECT has no body")
        return (*split(request.target.decode("ascii")), b"")

    async def _allowed(self, host: str, port: int) -> Allowed:
        self._host, self._port = one_line(host), port
        try:
            allowed = await self._proxy.decide(host, port)
        except (BadName, Denied) as error:
            self._verdict = "refused"
            named = f"{self._host}:{port}"
            text = f"blocked by policy: {named}"
            raise Refused(403, f"{text}: {error}" if isinstance(error, BadName) else text) from None
        self._host = allowed.target.name
        return allowed

    async def _open(self, allowed: Allowed, *, plain: bool) -> Road:
        try:
            road = await self._proxy.roads.open(allowed.target, allowed.rule, plain=plain)
        except Unreachable as error:
            if error.refused:
                self._verdict, self._address = "refused", error.address
                raise Refused(403, f"blocked by policy: {allowed.target}: {error}") from None
            raise Refused(
                502, f"cannot reach {allowed.target}: {error}", code=socks.UNREACHABLE
            ) from None
        self._road, self._address, self._verdict = road, road.address, "allowed"
        return road

    # What travels.

    async def _tunnel(self, allowed: Allowed) -> None:
        looked_at = allowed.strict and not allowed.target.literal
        plain = looked_at and allowed.target.port == HTTP
        road = await self._open(allowed, plain=plain)
        self._grant()
        if plain:
            # In the clear, so that one request can be read and be sent to the host it is for.
            await self._inner_request(allowed, road)
            return
        if looked_at and allowed.target.port == HTTPS:
            await self._greeting(allowed.target.name)
        await self._both_ways(road)

    def _grant(self) -> None:
        self._answered = True
        self._writer.write(socks.reply(socks.GRANTED) if self._socks else _ESTABLISHED)

    async def _inner_request(self, allowed: Allowed, road: Road) -> None:
        self._answered, self._socks = False, False  # from here on the client reads HTTP
        try:
            async with asyncio.timeout(self._proxy.bounds.head_seconds):
                request = http.parse(await self._incoming.head())
            path, _ = http.origin(request), request.length
        except TimeoutError:
            raise Refused(408, "the request did not come in time") from None
        except BadRequest as error:
            self._verdict = "refused"
            raise Refused(400, str(error)) from None
        await self._relay(allowed, request, path, road)

    async def _greeting(self, name: str) -> None:
        """Wait for the TLS greeting and see that it is for `name`; it stays to be sent."""
        said: str | None = ""
        try:
            async with asyncio.timeout(self._proxy.bounds.head_seconds):
                said = hello.server_name(self._incoming.peek())
                while said is None:
                    said = hello.server_name(await self._incoming.more())
            named = canonical(said) if said else ""
        except (NotTls, TimeoutError, Ended):
            self._verdict = "refused"
            raise Refused(403, "no TLS was spoken at port 443") from None
        except BadName:
            named = ""
        if named != name:
            self._verdict = "refused"
            raise Refused(403, f"the TLS greeting is for {one_line(said or '') or 'no host'}")

    async def _exchange(self, allowed: Allowed, request: http.Request, path: bytes) -> None:
        await self._relay(allowed, request, path, await self._open(allowed, plain=True))

    async def _relay(
        self, allowed: Allowed, request: http.Request, path: bytes, road: Road
    ) -> None:
        """One request, its body to the byte, and one answer; then the end."""
        target = allowed.target
        host = str(target).removesuffix(f":{HTTP}")
        asked = path if road.via is None else b"http://" + host.encode("ascii") + path
        road.writer.write(http.rebuilt(request, asked, host, road.extra))
        bare = request.method == b"HEAD"
        await self._watched(self._body(road, request.length), self._answer(road, bare=bare))

    async def _body(self, road: Road, size: int) -> None:
        while size > 0 and (data := await self._incoming.piece(size)):
            size -= len(data)
            await self._send_up(road, data)
        # The answer decides when it is over.
        await asyncio.get_running_loop().create_future()

    async def _answer(self, road: Road, *, bare: bool) -> None:
        """Pass the answer on, to the end it announces or else to the end of the connection."""
        answer = None
        while answer is None or answer.status < 200:
            try:
                answer = http.answer_rebuilt(await road.incoming.head())
            except BadRequest as error:
                raise Refused(502, f"{error}") from None
            await self._send_down(answer.head)
            self._answered = True
        left = 0 if bare else answer.length
        while left and (data := await road.incoming.piece(min(left, PUMP_BYTES))):
            left -= len(data)
            await self._send_down(data)

    async def _both_ways(self, road: Road) -> None:
        async def up() -> None:
            while data := await self._incoming.piece():
                await self._send_up(road, data)
            _finish(road.writer)

        async def down() -> None:
            while data := await road.incoming.piece():
                await self._send_down(data)
            _finish(self._writer)

        await self._watched(up(), down(), both=True)

    async def _watched(self, *ways: Any, both: bool = False) -> None:
        """Run both directions until one fails or nothing moves; without `both`, until one ends."""
        tasks = [asyncio.ensure_future(way) for way in ways]
        self._moved = time.monotonic()
        try:
            waiting = set(tasks)
            while waiting:
                left = self._moved + self._proxy.bounds.idle_seconds - time.monotonic()
                if left <= 0:
                    self._why = "nothing moved for too long"
                    self._abort()
                    return
                done, waiting = await asyncio.wait(
                    waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()
                if done and not both:
                    return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                _ = task.cancelled() or task.exception()

    async def _send_up(self, road: Road, data: bytes) -> None:
        self._count(len(data))
        self._up += len(data)
        road.writer.write(data)
        await road.writer.drain()

    async def _send_down(self, data: bytes) -> None:
        self._count(len(data))
        self._down += len(data)
        self._writer.write(data)
        await self._writer.drain()

    def _count(self, size: int) -> None:
        self._moved = time.monotonic()
        self._proxy.spent += size
        if self._proxy.spent > self._proxy.bounds.total_bytes:
            raise Refused(403, "blocked by policy: the session has used up its traffic")

    # The end.

    def refuse(self, refused: Refused) -> None:
        """Tell the client why, where it still listens for that."""
        self._why = str(refused)
        if refused.status in (400, 403, 408, 503) and self._verdict != "allowed":
            self._verdict = "refused"
        if not self._answered:
            self._answered = True
            if self._socks:
                self._writer.write(socks.reply(refused.code))
            else:
                self._writer.write(http.refusal(refused.status, str(refused), str(refused)))
        self._close()

    def _abort(self) -> None:
        """Drop what is still to be sent: nobody takes it."""
        self._writer.transport.abort()
        if self._road is not None:
            self._road.writer.transport.abort()

    def _close(self) -> None:
        if self._road is not None:
            self._road.writer.close()
        self._writer.close()


def _finish(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.write_eof()
