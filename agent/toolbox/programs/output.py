"""What is kept and what is forwarded of a program's output: both bounded, whatever it prints."""

from __future__ import annotations

import os
import time
from typing import Callable, Optional

from agent.toolbox.programs.pipes import write_all

FLUSH_SECONDS = 0.03
FLUSH_BYTES = 16_384


class Kept:
    """The first `head` and last `tail` bytes; the whole in a file as soon as some is dropped."""

    def __init__(self, head: int, tail: int, log: str, log_max: int) -> None:
        self._head_max = head
        self._tail_max = tail
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._log = log
        self._room = log_max
        self._file: Optional[int] = None

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._log and self._file is None and self._total + len(data) > self._fits:
            self._open_log()
        self._to_log(data)
        self._total += len(data)
        room = self._head_max - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > 4 * self._tail_max:
            del self._tail[: -self._tail_max]

    @property
    def _fits(self) -> int:
        return self._head_max + self._tail_max

    def finish(self) -> bytes:
        """What is kept, head and tail joined."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        return bytes(self._head) + bytes(self._tail[-self._tail_max :])

    @property
    def dropped(self) -> int:
        """How many bytes between head and tail are not kept."""
        return max(0, self._total - self._fits)

    @property
    def log(self) -> str:
        """Where the whole output is, if some was dropped and it could be written."""
        return self._log if self.dropped else ""

    def _open_log(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            os.makedirs(os.path.dirname(self._log), exist_ok=True)
            self._file = os.open(self._log, flags, 0o600)
        except OSError:
            self._log = ""
        else:
            self._to_log(bytes(self._head) + bytes(self._tail))

    def _to_log(self, data: bytes) -> None:
        if self._file is None or not self._room:
            return
        data = data[: self._room]
        self._room -= len(data)
        try:
            write_all(self._file, data)
        except OSError:
            self._room = 0  # the disk is full: what is there stays


class Live:
    """Forwards output in few pieces and at most `limit` bytes: always a prefix of the whole."""

    def __init__(self, send: Callable[[bytes], None], limit: int) -> None:
        self._send = send
        self._room = limit
        self._waiting = bytearray()
        self._last = 0.0

    def add(self, data: bytes) -> None:
        """Take the next bytes; they go out now or with the next flush."""
        piece = data[: self._room]
        self._room -= len(piece)
        self._waiting += piece
        if len(self._waiting) >= FLUSH_BYTES or time.monotonic() - self._last >= FLUSH_SECONDS:
            self.flush()

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def flush(self) -> None:
        """Send what waits."""
        if self._waiting:
            self._send(bytes(self._waiting))
            self._waiting.clear()
            self._last = time.monotonic()
