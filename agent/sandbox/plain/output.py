"""What is kept and forwarded of a program's output: the twin of the toolbox's, on the host."""

from __future__ import annotations

import asyncio

from agent.core import limits
from agent.sandbox.protocol import OnOutput


class Output:
    """Head and tail of everything; before it a line with the number of the process."""

    def __init__(self, on_output: OnOutput | None) -> None:
        self.group = ""
        self.begun = asyncio.Event()
        self._waiting = bytearray()
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._live = on_output
        self._room = limits.LIVE_MAX_BYTES

    def take(self, piece: bytes) -> None:
        """The next bytes."""
        if not self.group:
            self._waiting += piece
            line, end, piece = bytes(self._waiting).partition(b"\n")
            if not end or not line.isdigit():
                return
            self.group = line.decode("ascii")
            self.begun.set()
        if piece:
            self._keep(piece)

    def skip(self, count: int) -> None:
        """So many bytes did not come; what comes next fills the whole tail."""
        self._total += count
        self._tail.clear()

    def _keep(self, piece: bytes) -> None:
        self._total += len(piece)
        room = limits.OUTPUT_HEAD_BYTES - len(self._head)
        self._head += piece[:room]
        self._tail += piece[max(0, room) :]
        del self._tail[: -limits.OUTPUT_TAIL_BYTES or None]
        live = piece[: self._room]
        self._room -= len(live)
        if live and self._live is not None:
            self._live(live)

    @property
    def kept(self) -> bytes:
        return bytes(self._head) + bytes(self._tail)

    @property
    def dropped(self) -> int:
        return max(0, self._total - len(self._head) - len(self._tail))

    @property
    def said_instead(self) -> str:
        """What came where the number should have been: nothing has run."""
        return bytes(self._waiting[:500]).decode("utf-8", "replace").strip()
