"""Signals that are heard wherever the process is."""

from __future__ import annotations

import asyncio
import signal
import threading

from agent.cli.stopping import SIGNALS, stopping


def strike(go: threading.Event, number: int) -> None:
    """As when it comes just before the loop waits: no wait of the main thread is broken off."""
    go.wait()
    signal.pthread_kill(threading.get_ident(), number)


async def test_one_is_heard_also_by_a_loop_that_goes_on_waiting() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    for number in SIGNALS:
        first, again, go = asyncio.Event(), threading.Event(), threading.Event()
        with stopping(first.set, again.set):
            thread = threading.Thread(target=strike, args=(go, number))
            thread.start()
            asyncio.get_running_loop().call_soon(go.set)
            await first.wait()
            thread.join()
            signal.raise_signal(number)
        assert again.is_set()
    assert [signal.getsignal(number) for number in SIGNALS] == before
