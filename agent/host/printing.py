"""A standard stream written by a thread of its own, so that nothing finds a line half written.

Signal handlers run in the main thread, also in the middle of a write there, while it holds the
lock of `sys.stdout`: whatever then waits for that lock waits for ever. Here whoever prints hands
the text over and waits; a handler that comes meanwhile can do the same.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
from typing import TextIO


class Printer:
    """Writes texts whole and in the order they come to what is under `stream`.

    `gone` is set when nobody reads them any more; what comes then is dropped.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """`stream` is None when the process was started without it."""
        self.gone = True
        # Its `put` may be interrupted by itself.
        self._texts: queue.SimpleQueue[tuple[bytes, bool, threading.Lock]] = queue.SimpleQueue()
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
                self._fd, self._encoding, self.gone = stream.fileno(), stream.encoding, False
                threading.Thread(target=self._work, daemon=True).start()

    def write(self, text: str) -> None:
        """Return when `text` is written, or cannot be."""
        self._hand_over(text, last=False, seconds=-1)

    def end(self, text: str, seconds: float = -1) -> None:
        """Write the last text of all, unless one was given before; wait at most `seconds`."""
        self._hand_over(text, last=True, seconds=seconds)

    def _hand_over(self, text: str, *, last: bool, seconds: float) -> None:
        if self.gone:
            return
        written = threading.Lock()
        written.acquire()
        self._texts.put((text.encode(self._encoding, "backslashreplace"), last, written))
        written.acquire(timeout=seconds)

    def _work(self) -> None:
        over = False
        while True:
            data, last, written = self._texts.get()
            if not over and not self.gone:
                self._write(memoryview(data))
            over = over or last
            written.release()

    def _write(self, data: memoryview) -> None:
        try:
            while data:
                try:
                    data = data[os.write(self._fd, data) :]
                except BlockingIOError:
                    select.select([], [self._fd], [])
        except OSError:
            self.gone = True
