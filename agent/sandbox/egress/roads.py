"""Connections out: to an address that was checked, or by way of the user's own proxy.

The user's machine may reach the world only through a proxy of its company (`HTTPS_PROXY`). Then
that proxy connects, by name. A name that this machine can look up is checked all the same; one that
only the other proxy knows is its to judge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.core import limits
from agent.host import network
from agent.host.network import Streams
from agent.sandbox.egress.http import BadRequest, Headers, parse_status
from agent.sandbox.egress.incoming import Incoming
from agent.sandbox.egress.names import Rule
from agent.sandbox.egress.policy import Target
from agent.sandbox.egress.resolve import NOT_PUBLIC, Lookup, Unreachable, addresses
from agent.sandbox.egress.upstream import NO_UPSTREAM, Upstream, Upstreams

PATIENCE_SECONDS = 3.0
UNKNOWN_MAX = 1_000

Connect = Callable[[str, int], Awaitable[Streams]]


@dataclass(slots=True)
class Road:
    """A connection that leads to the target. `via` is set when a request has to say where to."""

    incoming: Incoming
    writer: asyncio.StreamWriter
    address: str
    via: Upstream | None = None

    @property
    def extra(self) -> Headers:
        return self.via.headers if self.via is not None else ()


class Roads:
    """Opens connections. `lookup` and `connect` are seams for tests."""

    def __init__(
        self,
        lookup: Lookup | None = None,
        connect: Connect = network.connect,
        upstreams: Upstreams = NO_UPSTREAM,
    ) -> None:
        self._lookup = lookup if lookup is not None else network.Lookups()
        self._connect = connect
        self._upstreams = upstreams
        self._unknown: set[str] = set()

    async def open(self, target: Target, rule: Rule, *, plain: bool) -> Road:
        """A connection to `target`; `plain` is for a request in the clear. Raises `Unreachable`."""
        try:
            async with asyncio.timeout(
                limits.EGRESS_CONNECT_SECONDS + limits.EGRESS_LOOKUP_SECONDS
            ):
                via = self._upstreams.towards(target.name, plain=plain)
                if via is None:
                    return await self._straight(target, rule)
                return await self._by_way_of(via, target, rule, plain=plain)
        except TimeoutError:
            raise Unreachable("it does not answer", refused=False) from None

    async def _straight(self, target: Target, rule: Rule) -> Road:
        checked = await addresses(target.name, rule, self._lookup)
        for address in checked[:-1]:
            try:
                async with asyncio.timeout(limits.EGRESS_CONNECT_SECONDS / len(checked)):
                    return self._road(await self._connect(address, target.port), address, rule)
            except OSError:  # a timeout is one
                continue
        try:
            return self._road(await self._connect(checked[-1], target.port), checked[-1], rule)
        except OSError as error:
            raise Unreachable(error.strerror or "it does not answer", refused=False) from None

    def _road(self, streams: Streams, address: str, rule: Rule) -> Road:
        reader, writer = streams
        ours, theirs = network.ends(writer)
        # This machine's own public address: what listens there is not meant for a sandbox.
        if ours == theirs and not rule.within:
            writer.transport.abort()
            raise Unreachable(NOT_PUBLIC, refused=True, address=theirs)
        return Road(Incoming(reader), writer, address)

    async def _by_way_of(self, via: Upstream, target: Target, rule: Rule, *, plain: bool) -> Road:
        await self._check(target, rule)
        try:
            reader, writer = await self._to(via)
        except OSError:
            raise Unreachable("the proxy of this machine does not answer", refused=False) from None
        road = Road(Incoming(reader), writer, via.shown, via if plain else None)
        try:
            if not plain:
                await self._tunnel(via, target, road)
        except BaseException:
            writer.transport.abort()
            raise
        return road

    async def _check(self, target: Target, rule: Rule) -> None:
        """Refuse a name that is known here to lead inside; one that is unknown here may pass."""
        if target.name in self._unknown:
            return
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await addresses(target.name, rule, self._lookup)
        except (Unreachable, TimeoutError) as error:
            if isinstance(error, Unreachable) and error.refused:
                raise
            # Where only the proxy knows the world's names, each look-up here may take for ever.
            if len(self._unknown) < UNKNOWN_MAX:
                self._unknown.add(target.name)

    async def _to(self, via: Upstream) -> Streams:
        """A connection to the user's proxy: it is the user's, so any address is fine."""
        answers = await self._lookup(via.host)
        if not answers:
            raise OSError
        return await self._connect(answers[0], via.port)

    async def _tunnel(self, via: Upstream, target: Target, road: Road) -> None:
        named = str(target).encode()
        head = [b"CONNECT %s HTTP/1.1" % named, b"host: " + named]
        head += [b"%s: %s" % pair for pair in via.headers]
        road.writer.write(b"\r\n".join(head) + b"\r\n\r\n")
        try:
            status = parse_status(await road.incoming.head())
        except (BadRequest, ConnectionError):
            raise Unreachable("the proxy of this machine failed", refused=False) from None
        if not 200 <= status < 300:
            raise Unreachable(f"the proxy of this machine says {status}", refused=False)
