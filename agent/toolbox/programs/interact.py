"""Run a program whose streams the host holds while it runs: uncut, in order, never unbounded.

Without a terminal stdout goes as DATA and stderr as LIVE. With one the program gets a pseudo
terminal of its own as its controlling terminal, and all it shows goes as DATA.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from agent.toolbox.channel.jobs import Reply
from agent.toolbox.channel.streams import Stream
from agent.toolbox.programs.execute import ABSENT, NOT_EXECUTABLE, exit_descriptor
from agent.toolbox.programs.family import PIPE_BYTES, Family, signal_group

END_OF_INPUT = b"\x04"
# The first terminal that the leader of a session opens becomes its controlling one. A shell does
# that, so that no code of ours runs between fork and exec in a process with threads.
_IN_TERMINAL = 'tty=$1; shift; exec "$@" <>"$tty" >&0 2>&0'


class _Source:
    """A stream of the program that is read; `left` counts down once the program has ended."""

    def __init__(self, descriptor: int, send: Callable[[bytes], None]) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.send = send
        self.open = True
        self.left: Optional[int] = None

    def take(self, room: int) -> int:
        """Read and send once, at most `room` bytes; how many it was."""
        size = min(room, PIPE_BYTES if self.left is None else min(PIPE_BYTES, self.left))
        try:
            piece = os.read(self.descriptor, size)
        except BlockingIOError:
            return 0
        except OSError:  # a terminal whose other end is closed
            piece = b""
        if not piece:
            self.open = False
        elif self.left is not None:
            self.left -= len(piece)
        if piece:
            self.send(piece)
        return len(piece)

    def finish(self) -> None:
        """The program has ended: what waits now is the rest, whoever else goes on writing."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self.descriptor, termios.FIONREAD, waiting)
        self.left = waiting[0]

    @property
    def wanted(self) -> bool:
        return self.open and self.left != 0


class Interaction(Stream):
    """One program and its streams."""

    def __init__(
        self,
        reply: Reply,
        arguments: Dict[str, Any],
        limits: Dict[str, Any],
        family: Family,
    ) -> None:
        super().__init__(reply, arguments, limits)
        self._family = family
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._sources: List[_Source] = []
        self._writing = -1
        self._slave = -1
        self._master = -1
        self.start()

    # In the server's loop.

    def tune(self, change: Dict[str, Any]) -> None:
        with self._lock:
            if "size" in change and self._master >= 0:
                _resize(self._master, change["size"])
        if "signal" in change and self._process is not None and self._process.returncode is None:
            signal_group(self._process.pid, int(change["signal"]))

    # In its own thread.

    def run(self) -> None:
        try:
            self._launch()
        except (OSError, ValueError) as error:
            self.reply.live(self._why(error).encode("utf-8", "replace"))
            absent = isinstance(error, FileNotFoundError) and os.path.isdir(self._cwd())
            self._close()
            self.reply.answer({"exit_code": ABSENT if absent else NOT_EXECUTABLE})
            return
        assert self._process is not None
        exited = exit_descriptor(self._process.pid)
        try:
            self._follow(exited)
            code = self._process.wait()
        finally:
            os.close(exited)
            self._close()
        self.reply.answer({"exit_code": code})

    def _cwd(self) -> str:
        return os.path.normpath(os.path.join(self.limits["workdir"], self.arguments["cwd"] or "."))

    def _why(self, error: Exception) -> str:
        argv = self.arguments["argv"]
        reason = error.strerror if isinstance(error, OSError) else str(error)
        what = self._cwd() if not os.path.isdir(self._cwd()) else (argv[0] if argv else "")
        return "cannot start `%s`: %s\n" % (what, reason)

    def _launch(self) -> None:
        if self.arguments["terminal"] is None:
            self._launch_with_pipes(self.arguments["argv"])
        else:
            self._launch_in_terminal(self.arguments["argv"])

    def _launch_with_pipes(self, argv: Sequence[str]) -> None:
        reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        theirs = [reading]
        for send in (self.reply.data, self.reply.live):
            ours, writing = os.pipe()
            theirs.append(writing)
            self._sources.append(_Source(ours, send))
        try:
            self._start(argv, *theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)

    def _launch_in_terminal(self, argv: Sequence[str]) -> None:
        self._master, self._slave = os.openpty()
        _resize(self._slave, self.arguments["terminal"])
        self._sources.append(_Source(self._master, self.reply.data))
        self._writing = self._master
        name = os.ttyname(self._slave)
        null = subprocess.DEVNULL
        self._start(["/bin/sh", "-c", _IN_TERMINAL, "sh", name, *argv], null, null, null)

    def _start(self, argv: Sequence[str], stdin: int, stdout: int, stderr: int) -> None:
        cwd = self._cwd()
        self._process = self._family.start(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=self.arguments["env"],
        )

    def _follow(self, exited: int) -> None:
        """Move bytes both ways until the program has ended and its output is out."""
        over = False
        while not self._cancelled and not (over and not any(s.wanted for s in self._sources)):
            ready = self._poll(exited, over)
            if self._wake_read in ready:
                os.read(self._wake_read, PIPE_BYTES)
            for source in self._sources:
                if source.descriptor in ready:
                    self._take(source)
            if self._writing >= 0:
                self._feed()
            if exited in ready and not over:
                over = True
                self._ended()
        if self._cancelled:
            self._terminate(exited)

    def _poll(self, exited: int, over: bool) -> Dict[int, int]:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if not over:
            poll.register(exited, select.POLLIN)
        wanted: Dict[int, int] = {}
        if self._room > 0:
            wanted = {s.descriptor: select.POLLIN for s in self._sources if s.wanted}
        if self._input and self._writing >= 0:
            wanted[self._writing] = wanted.get(self._writing, 0) | select.POLLOUT
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        return dict(poll.poll())

    def _take(self, source: _Source) -> None:
        if self._room > 0 and source.wanted:
            taken = source.take(self._room)
            with self._lock:
                self._room -= taken

    def _feed(self) -> None:
        with self._lock:
            piece = bytes(self._input[:PIPE_BYTES])
        try:
            count = os.write(self._writing, piece) if piece else 0
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more: forget what comes, so that nobody waits
            count = len(piece)
        with self._lock:
            del self._input[:count]
            over = self._input_over and not self._input
        if count:
            self.reply.credit(count)
        if over:
            self._end_input()

    def _end_input(self) -> None:
        self._input_over = False
        if self._writing == self._master:
            with contextlib.suppress(OSError):
                os.write(self._master, END_OF_INPUT)
        else:
            os.close(self._writing)
            self._writing = -1

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._slave >= 0:
            # The kernel has hung up the terminal of a leader that ended: reading it will end too.
            os.close(self._slave)
            self._slave = -1
            return
        for source in self._sources:
            source.finish()

    def _terminate(self, exited: int) -> None:
        assert self._process is not None
        group = self._process.pid
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal_group(group, number)
        poll = select.poll()
        poll.register(exited, select.POLLIN)
        until = time.monotonic() + self.limits["kill_grace"]
        if poll.poll(1000 * self.limits["kill_grace"]):
            self._process.wait()
            while signal_group(group, 0) and time.monotonic() < until:
                time.sleep(0.02)
        signal_group(group, signal.SIGKILL)

    def _close(self) -> None:
        with self._lock:
            self._close_all()
            self._close_wake()
            self._master = -1

    def _close_all(self) -> None:
        for source in self._sources:
            if source.open and source.descriptor != self._master and self._process is not None:
                self._family.leave(source.descriptor)
            else:
                os.close(source.descriptor)
        if self._slave >= 0:
            os.close(self._slave)
        if self._writing not in (-1, self._master):
            os.close(self._writing)


def _resize(terminal: int, size: Sequence[int]) -> None:
    rows, columns = size
    with contextlib.suppress(OSError, struct.error):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
