"""The streams of programs in memory, with the flow control that pipes have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from agent.sandbox.protocol import Size, Stream

ROOM_BYTES = 65_536


class Change:
    """Something that happens again and again, to wait for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Wake everybody who waits now."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        await self._event.wait()


class Pipe:
    """Bytes in order. Who writes waits while it is full, who reads while it is empty."""

    def __init__(self, changed: Change, content: bytes = b"") -> None:
        self._changed = changed
        self._waiting = bytearray(content)
        self._ended = False

    @property
    def over(self) -> bool:
        """Whether nothing more will come out."""
        return self._ended and not self._waiting

    async def write(self, data: bytes) -> None:
        """Put `data` in; what comes after the end is dropped, as by a reader that forgets."""
        left = memoryview(data)
        while left and not self._ended:
            free = ROOM_BYTES - len(self._waiting)
            if free > 0:
                self._waiting += left[:free]
                left = left[free:]
                self._changed.tell()
            else:
                await self._changed.wait()
        await asyncio.sleep(0)  # others may run, as they may on a real machine

    def take(self, size: int = ROOM_BYTES) -> bytes:
        """What waits, at most `size` bytes."""
        piece = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._changed.tell()
        return piece

    async def read(self, size: int = ROOM_BYTES) -> bytes:
        """Like `take`, but waits for something; b"" is the end."""
        while not self._waiting and not self._ended:
            await self._changed.wait()
        return self.take(size)

    def end(self) -> None:
        """Let what waits be the last that comes out."""
        self._ended = True
        self._changed.tell()


class Streams:
    """What a program and its children read from and write to.

    Output comes `apart` or, as in a terminal, as one.
    """

    def __init__(
        self, stdin: bytes = b"", *, apart: bool = False, terminal: Size | None = None
    ) -> None:
        self._changed = Change()
        self.terminal = terminal
        self.stdin = Pipe(self._changed, stdin)
        self.stdout = Pipe(self._changed)
        self.stderr = Pipe(self._changed) if apart else self.stdout

    def _outputs(self) -> Iterable[tuple[Stream, Pipe]]:
        return (("stdout", self.stdout), ("stderr", self.stderr))

    async def printed(self) -> tuple[Stream, bytes] | None:
        """The next piece of output; None at its end."""
        while not (self.stdout.over and self.stderr.over):
            for stream, pipe in self._outputs():
                if piece := pipe.take():
                    return stream, piece
            await self._changed.wait()
        return None

    def end(self) -> None:
        """The program has ended: nobody reads its input; what it left running prints in vain."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            pipe.end()
