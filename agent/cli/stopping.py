"""Signals that ask a headless run to end: the first politely, the second at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Callable, Generator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stopping(first: Callable[[], object], again: Callable[[], object]) -> Generator[None]:
    """Have `first` called in the event loop at the first signal, and `again` at each further one.

    `again` runs wherever the process is, also when the event loop is stuck.
    """
    loop = asyncio.get_running_loop()
    asked = itertools.count()  # one signal may come while another is being heard

    def woken() -> None:
        """A signal that comes just before the loop waits would be heard when that wait is over."""

    def hear(number: int, frame: Any) -> None:
        if next(asked):
            again()
        else:
            loop.call_soon_threadsafe(first)

    # What was ignored when we were started, as `nohup` does, stays ignored.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = [(number, signal.getsignal(number)) for number in heard]
    for number in heard:
        loop.add_signal_handler(number, woken)
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in before:
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
