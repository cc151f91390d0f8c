"""A job whose input comes while it runs, and whose output goes no faster than it is taken."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any, Dict

from agent.toolbox.channel.frames import BadFrame
from agent.toolbox.channel.jobs import Job, Reply


class Stream(Job):
    """Base of such jobs: the half that runs in the server's loop, and wakes the job's own thread.

    Under `_lock`, `_input` is what came and was not passed on, at most `_window` bytes; `_room` is
    how much more may be sent. `_wake_read` is readable when any of it has changed.
    """

    streams = True

    def __init__(self, reply: Reply, arguments: Dict[str, Any], limits: Dict[str, Any]) -> None:
        super().__init__(reply, arguments, limits)
        self._window: int = arguments["window"]
        self._room = self._window
        self._lock = threading.RLock()
        self._input = bytearray()
        self._input_over = False
        self._cancelled = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def data(self, piece: bytes) -> None:
        with self._lock:
            self._input += piece
            if len(self._input) > self._window:
                raise BadFrame("more input than there is room for")
            self._wake()

    def end(self) -> None:
        with self._lock:
            self._input_over = True
            self._wake()

    def credit(self, count: int) -> None:
        with self._lock:
            self._room += count
            self._wake()

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            self._wake()

    def drop(self) -> None:
        self._close_wake()

    def _wake(self) -> None:
        if self._wake_write >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake_write, b"x")

    def _close_wake(self) -> None:
        """The job's thread is done: nobody is woken any more."""
        with self._lock:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1
