"""The end of this process when it does not come by itself, and output that nobody reads."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End at once: nothing is waited for, nothing is cleaned up."""
    os._exit(code)


def drop_stdout() -> None:
    """Send what is still to be printed nowhere: whoever read it has gone."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] we were started without
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class Watchdog:
    """Calls `bite` in a thread of its own when it is not called off in time.

    It needs nothing of the event loop, which may be what hangs.
    """

    def __init__(self, bite: Callable[[], None]) -> None:
        self._bite = bite
        self._timer: threading.Timer | None = None

    def watch(self, seconds: float) -> None:
        """Bite so long from now, whatever was said before."""
        self.call_off()
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True
        with contextlib.suppress(RuntimeError):  # no thread is to be had: then nobody watches
            self._timer.start()

    def call_off(self) -> None:
        """Do not bite."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
