"""Long-lived children that must die with this process, and do not share its kernel keyring.

They are started from one thread of their own. The kernel ties both things to a thread: a child's
"die with parent" fires when the *thread* that started it ends, so it must live as long as the
process; and a new session keyring is joined for one thread, so the rest of the program keeps the
user's (Kerberos tickets may be in it).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import platform
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from agent.host.process import kill_group

_KEYCTL = {"x86_64": 250, "aarch64": 219}
_JOIN_SESSION_KEYRING = 1

_T = TypeVar("_T")

STDERR_KEPT_BYTES = 16_384


def _join_empty_keyring() -> None:
    number = _KEYCTL.get(platform.machine())
    if number is not None:
        # Fails where a container forbids the call; then the sandbox's own filter still forbids
        # every use of a keyring inside.
        ctypes.CDLL(None).syscall(number, _JOIN_SESSION_KEYRING, None)


_thread = ThreadPoolExecutor(1, "launch", initializer=_join_empty_keyring)


class Child:
    """A running program whose stderr is read, bounded, so that it can never block on it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._stderr = bytearray()
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        assert process.stderr is not None
        self._pipe = process.stderr
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read)
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._reap)
        self._inner = -1

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """The beginning of what it said on stderr."""
        return self._stderr.decode("utf-8", "replace").strip()

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        await self._ended.wait()
        return self._process.returncode

    def adopt(self, pid: int) -> None:
        """Know of the process `pid`, which it started and which must not outlive it."""
        with contextlib.suppress(ProcessLookupError):
            self._inner = os.pidfd_open(pid)

    def kill(self) -> None:
        """SIGKILL, if it has not ended; only the adopted process if there is one.

        A parent that waits for its child ends after it, so then all is over when `wait` returns.
        Without one the group it leads is killed: what it has just started would wait for it.
        """
        if self._process.returncode is not None:
            return
        if self._inner < 0:
            kill_group(self._process.pid)
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._inner, signal.SIGKILL)

    def _read(self) -> None:
        try:
            data = os.read(self._pipe.fileno(), 65_536)
        except BlockingIOError:
            return
        self._stderr += data[: STDERR_KEPT_BYTES - len(self._stderr)]
        if not data:
            self._loop.remove_reader(self._pipe.fileno())

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._process.wait()
        self._read_rest()
        os.close(self._pidfd)
        if self._inner >= 0:
            os.close(self._inner)
        self._ended.set()

    def _read_rest(self) -> None:
        self._read()
        self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()


async def launch(
    argv: Sequence[str],
    *,
    pass_fds: Sequence[int],
    env: Mapping[str, str],
    user: int | None = None,
    channel: int = subprocess.DEVNULL,
) -> Child:
    """Start `argv` in a session of its own with exactly `env`, `pass_fds`, no stdin and no stdout.

    `channel` is a descriptor to be both of them instead. `user` (root only) is the user and group
    id it runs with, without supplementary groups.
    """

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            argv,
            env=dict(env),
            pass_fds=tuple(pass_fds),
            cwd="/",
            stdin=channel,
            stdout=channel,
            stderr=subprocess.PIPE,
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )

    # Until the program has started it may still take the descriptors: they must stay open.
    started = asyncio.wrap_future(_thread.submit(start))
    cancelled = await settled(started)
    child = Child(started.result())
    if cancelled:
        # The group it leads, not it alone: it may have started something already.
        kill_group(started.result().pid)
        await settled(asyncio.ensure_future(child.wait()))
        raise asyncio.CancelledError
    return child


async def in_launcher(work: Callable[[], _T]) -> _T:
    """What `work` returns, done to the end in the thread that starts everything here."""
    working = asyncio.wrap_future(_thread.submit(work))
    if await settled(working):
        raise asyncio.CancelledError
    return working.result()


async def settled(future: asyncio.Future[Any]) -> bool:
    """Wait until `future` is done, whatever happens; True when we were cancelled meanwhile.

    For what must not be left half done. A caller that gets True raises CancelledError in the end.
    """
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    return cancelled
