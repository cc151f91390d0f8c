"""What a peer sends, read piece by piece within bounds, with what was read too far kept."""

from __future__ import annotations

import asyncio

from agent.core import limits
from agent.host.network import PUMP_BYTES
from agent.sandbox.egress.http import END, BadRequest, clean_so_far


class Ended(ConnectionError):
    """The peer closed before it had said what was expected."""


class Incoming:
    """One direction of a connection. Callers bring the deadline."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._kept = bytearray()

    async def more(self) -> bytes:
        """All that has come and was not consumed, waiting for more than that. Raises `Ended`."""
        data = await self._reader.read(PUMP_BYTES)
        if not data:
            raise Ended("the other end closed early")
        self._kept += data
        return bytes(self._kept)

    async def first(self) -> int:
        """The first byte, not consumed."""
        if not self._kept:
            await self.more()
        return self._kept[0]

    async def exactly(self, size: int) -> bytes:
        """The next `size` bytes, consumed."""
        while len(self._kept) < size:
            await self.more()
        data = bytes(self._kept[:size])
        del self._kept[:size]
        return data

    async def head(self) -> bytes:
        """A head up to and with its empty line, consumed. Raises `BadRequest`."""
        while True:
            end = self._kept.find(END)
            if 0 <= end <= limits.EGRESS_HEAD_MAX_BYTES:
                return await self.exactly(end + len(END))
            if len(self._kept) > limits.EGRESS_HEAD_MAX_BYTES:
                raise BadRequest("its head is too long")
            # A carriage return at the end may be half of a line end.
            if not clean_so_far(self._kept.removesuffix(b"\r")):
                raise BadRequest("its lines do not end as they must")
            await self.more()

    def peek(self) -> bytes:
        """What has come and was not consumed."""
        return bytes(self._kept)

    async def piece(self, most: int = PUMP_BYTES) -> bytes:
        """Some bytes, at most `most`; none when the peer has ended its direction."""
        if self._kept:
            data = bytes(self._kept[:most])
            del self._kept[:most]
            return data
        return await self._reader.read(most)
