"""Things handed to another program by number: data in memory, pipes, socket pairs as streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Self

STREAM_BUFFER_BYTES = 1_000_000
REPORT_MAX_BYTES = 65_536


class Handed:
    """Descriptors for one program to inherit; our copies are closed at the end of the block."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)

    def data(self, content: bytes) -> int:
        """A descriptor that reads as `content` and lies on no disk."""
        descriptor = os.memfd_create("glovebox", os.MFD_CLOEXEC)
        self.descriptors.append(descriptor)
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def report(self) -> Report:
        """A pipe on which the program can write something about itself."""
        reading, writing = os.pipe()
        # The program holds the reading end, too: else writing would kill it when we have died, at a
        # moment at which it may have a child that waits for it.
        self.descriptors += [writing, os.dup(reading)]
        return Report(reading, writing)

    def hold(self) -> Hold:
        """A pipe that the program waits for before it goes on."""
        reading, writing = os.pipe()
        self.descriptors.append(reading)
        return Hold(writing, reading)

    def own(self, descriptor: int) -> int:
        """Hand over a copy of a descriptor of somebody else's."""
        self.descriptors.append(os.dup(descriptor))
        return self.descriptors[-1]


class Report:
    """Our end of a pipe on which a child says something about itself; `theirs` is the other."""

    def __init__(self, descriptor: int, theirs: int) -> None:
        self.theirs = theirs
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        os.set_blocking(descriptor, False)

    async def until(self, sign: bytes) -> bytes:
        """What is written up to and with `sign`, at most 64 KB; then the pipe is closed."""
        told = bytearray()
        loop = asyncio.get_running_loop()
        while sign not in told and len(told) < REPORT_MAX_BYTES:
            readable = loop.create_future()
            loop.add_reader(self._file.fileno(), _settle, readable)
            try:
                await readable
            finally:
                loop.remove_reader(self._file.fileno())
            piece = self._file.read(REPORT_MAX_BYTES)
            if not piece:
                break
            told += piece
        # Not when cancelled: then what it has to say can still be had, by `so_far`.
        self._file.close()
        return bytes(told)

    def so_far(self) -> bytes:
        """What is written and was not read yet; closes the pipe. Safe to call twice."""
        if self._file.closed:
            return b""
        with self._file:
            return self._file.read(REPORT_MAX_BYTES) or b""

    def close(self) -> None:
        """Give it up unread. Safe to call twice."""
        self._file.close()


class Hold:
    """Our end of a pipe that a child waits for; `theirs` is the other."""

    def __init__(self, descriptor: int, theirs: int) -> None:
        self.theirs = theirs
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def release(self) -> None:
        """Let it go on. Safe to call twice, and when nobody waits any more."""
        if not self._file.closed:
            with self._file, contextlib.suppress(BrokenPipeError):
                self._file.write(b"x")


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Channel:
    """A socket pair: our end as asyncio streams, the other end a descriptor to hand on.

    Descriptors that the peer passes along are never received: our end reads bytes only.
    """

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def theirs(self, handed: Handed) -> int:
        """Hand the other end over; ours sees the end of file when the program dies."""
        descriptor = handed.own(self._theirs.fileno())
        self._theirs.close()
        return descriptor

    async def streams(self) -> Streams:
        """Our end; closing the writer closes it."""
        self._ours.setblocking(False)
        return await asyncio.open_connection(sock=self._ours, limit=STREAM_BUFFER_BYTES)

    async def both(self) -> tuple[Streams, Streams]:
        """Our end and the other one, for when that is ours as well."""
        self._theirs.setblocking(False)
        other = await asyncio.open_connection(sock=self._theirs, limit=STREAM_BUFFER_BYTES)
        return await self.streams(), other

    def close(self) -> None:
        """Close both ends, for when nobody came to use them."""
        self._theirs.close()
        self._ours.close()
