"""Things handed to another program by number: data in memory, pipes, socket pairs as streams."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Self

STREAM_BUFFER_BYTES = 1_000_000


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
        self.descriptors.append(writing)
        return Report(reading, writing)

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

    def take(self) -> bytes:
        """What has been written so far, at most 64 KB; closes the pipe."""
        with self._file:
            return self._file.read(65_536) or b""

    def close(self) -> None:
        """Give it up unread. Safe to call twice."""
        self._file.close()


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

    async def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Our end; closing the writer closes it."""
        self._ours.setblocking(False)
        return await asyncio.open_connection(sock=self._ours, limit=STREAM_BUFFER_BYTES)

    def close(self) -> None:
        """Close both ends, for when nobody came to use them."""
        self._theirs.close()
        self._ours.close()
