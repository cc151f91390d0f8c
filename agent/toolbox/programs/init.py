"""Process 1 of a sandbox: reaps what nobody waits for and ends all when the host is gone.

The toolbox ends by itself when its channel closes, unless a program of the same user has stopped
it. Process 1 cannot be stopped or killed from inside, so it watches the channel as well.
"""

from __future__ import annotations

import os
import select
import signal

from agent.toolbox.programs.confine import confine


def watch(channel: int = 0) -> None:
    """Go on as a child of a process that watches over it and `channel`; that one never returns."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    # Without a handler the kernel does not deliver signals from inside to process 1.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, _nothing)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(reading)
        os.close(writing)
        return
    confine()
    poll = select.poll()
    poll.register(channel, 0)  # only its end: what comes is for the toolbox
    poll.register(reading, select.POLLIN)
    while not any(descriptor == channel for descriptor, _ in poll.poll()):
        os.read(reading, 4096)
        if _reap(child):
            break
    # Whatever still runs in here ends with us.
    os._exit(0)


def _reap(child: int) -> bool:
    """Wait for all that has ended; whether `child` was among it."""
    seen = False
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return seen
        seen = seen or pid == child


def _nothing(*_: object) -> None:
    """The wakeup descriptor tells."""
