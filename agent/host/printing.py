"""A standard stream written by a thread of its own: nothing waits for its reader unasked.

A reader may take its time, or never read; what runs meanwhile goes on. And signal handlers run in
the main thread, also in the middle of a write there, while it holds the lock of `sys.stdout`:
whatever then waits for that lock waits for ever. Here a handler hands its text over as all do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import select
import threading
from collections.abc import Callable
from typing import TextIO

_PIECE_BYTES = 65_536
_Texts = queue.SimpleQueue[tuple[bytes, bool, Callable[[], object]]]
"""Each with whether it is the last, and who is told when it was written or cannot be."""


class Printer:
    """Writes texts whole and in the order they come to what is under `stream`.

    `gone` is set when nobody reads them any more; what comes then is dropped. `count` is how many
    bytes were taken so far.
    """

    def __init__(self, stream: TextIO | None, lost: Callable[[], object] = lambda: None) -> None:
        """`stream` is None when the process was started without it.

        `lost` is called once, in another thread, when it turns out that nobody reads any more.
        """
        self.gone = True
        self.count = 0
        self._lost = lost
        # Its `put` may be interrupted by itself. None where nothing was ever open.
        self._texts: _Texts | None = None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
                self._fd, self._encoding, self.gone = stream.fileno(), stream.encoding, False
                texts: _Texts = queue.SimpleQueue()
                self._texts = texts
                threading.Thread(target=self._work, args=(texts,), daemon=True).start()

    def write(self, text: str, *, last: bool = False) -> None:
        """Have `text` written; nothing comes out after a `last` one."""
        if not self.gone:
            self._hand_over(text, lambda: None, last=last)

    async def written(self) -> None:
        """Return when all that was handed over is written, or cannot be."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # nobody waits for it any more
                loop.call_soon_threadsafe(done.set)

        self._hand_over("", tell)
        await done.wait()

    def end(self, text: str, seconds: float) -> None:
        """Write the last text of all, unless one was given before; wait at most `seconds`."""
        written = threading.Lock()
        written.acquire()
        self._hand_over(text, written.release, last=True)
        written.acquire(timeout=seconds)

    def _hand_over(self, text: str, told: Callable[[], object], *, last: bool = False) -> None:
        if self._texts is None:
            told()
        else:
            self._texts.put((text.encode(self._encoding, "backslashreplace"), last, told))

    def _work(self, texts: _Texts) -> None:
        over = False
        while True:
            data, last, told = texts.get()
            if not over and not self.gone:
                self._write(memoryview(data))
            over = over or last
            told()

    def _write(self, data: memoryview) -> None:
        try:
            while data:
                try:
                    size = os.write(self._fd, data[:_PIECE_BYTES])
                except BlockingIOError:
                    select.select([], [self._fd], [])
                else:
                    self.count += size
                    data = data[size:]
        except OSError:
            self.gone = True
            self._lost()
