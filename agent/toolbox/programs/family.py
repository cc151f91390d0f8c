"""The programs of one toolbox: none starts unseen, and when the host has gone they all end."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import subprocess
import threading
from typing import IO, Mapping, Sequence, Set, Union

from agent.toolbox.programs.confine import expendable

PIPE_BYTES = 65_536

Stream = Union[int, IO[bytes]]


class Family:
    """Every group of programs that was started here and of which somebody may still run.

    A group outlives the program that led it when a command leaves something running. Its output is
    read here and forgotten, so that it is never killed by SIGPIPE.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: Set[int] = set()
        self._over = False
        self._poll = select.epoll()
        self._read = False

    def start(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        stdin: Stream,
        stdout: Stream,
        stderr: Stream,
    ) -> subprocess.Popen[bytes]:
        """Start a program that leads a group. Raises OSError when all are to end.

        Under the lock from the first to the last: a program that runs already while its number is
        not yet known would be missed by `kill`.
        """
        with self._lock:
            if self._over:
                raise OSError(errno.ESHUTDOWN, os.strerror(errno.ESHUTDOWN))
            process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env=dict(os.environ, PWD=cwd, **env),
                start_new_session=True,
            )
            self._groups = {group for group in self._groups if signal_group(group, 0)}
            self._groups.add(process.pid)
        expendable(process.pid)
        return process

    def leave(self, reading: int) -> None:
        """Own the read end of a pipe that programs hold whose command has ended."""
        with self._lock:
            self._poll.register(reading, select.EPOLLIN)
            if not self._read:
                # Without a thread to spare they wait until the next one is left.
                with contextlib.suppress(RuntimeError):
                    threading.Thread(target=self._drain, daemon=True).start()
                    self._read = True

    def kill(self) -> None:
        """End all groups, whether or not their command has ended; none starts from here on."""
        with self._lock:
            self._over = True
            for group in self._groups:
                signal_group(group, signal.SIGKILL)

    def _drain(self) -> None:
        while True:
            for reading, _ in self._poll.poll():
                with contextlib.suppress(BlockingIOError):
                    if not os.read(reading, PIPE_BYTES):
                        self._poll.unregister(reading)
                        os.close(reading)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False when nobody is left in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
