"""Run a program: output merged and bounded, ended with its whole group at the deadline or a cancel.

The pipe is read here, not by the program's parent shell; what a command leaves running keeps a
reader for as long as it lives, see `family`.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import math
import os
import select
import signal
import subprocess
import tempfile
import termios
import threading
import time
from typing import IO, Any, Dict, Optional, Tuple

from agent.toolbox.channel.jobs import Job, Reply
from agent.toolbox.programs.family import PIPE_BYTES, Family, signal_group
from agent.toolbox.programs.output import FLUSH_SECONDS, Kept, Live

LONGEST_POLL_SECONDS = 3600.0
ABSENT, NOT_EXECUTABLE = 127, 126


class Execution(Job):
    """One run of one program."""

    def __init__(
        self,
        reply: Reply,
        arguments: Dict[str, Any],
        limits: Dict[str, Any],
        family: Family,
    ) -> None:
        super().__init__(reply, arguments, limits)
        self._family = family
        self._stdin: Optional[IO[bytes]] = None
        self._stdin_problem = ""
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._wake_read, self._wake_write = os.pipe()
        self._lock = threading.RLock()  # a signal may cancel, too
        head, tail = limits["output_head"], limits["output_tail"]
        self._kept = Kept(head, tail, self._path(arguments["log"]), limits["log_max"])
        self._live = Live(reply.live, limits["live_max"] if arguments["live"] else 0)
        self._closed = False

    def _path(self, path: str) -> str:
        return os.path.join(self.limits["workdir"], path) if path else ""

    def data(self, piece: bytes) -> None:
        # A file rather than a pipe: a program that does not read must not hold up anybody.
        try:
            if self._stdin is None:
                self._stdin = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the run
            self._stdin.write(piece)
        except OSError as error:
            self._stdin_problem = (
                self._stdin_problem or "cannot keep its input: %s" % error.strerror
            )

    def cancel(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._wake_write >= 0:  # else it has ended, and the number may be another's by now
                os.write(self._wake_write, b"x")

    def run(self) -> None:
        started = time.monotonic()
        try:
            reading, exited = self._launch()
        except (OSError, ValueError) as error:
            self._kept.add(self._why(error).encode("utf-8", "replace"))
            absent = isinstance(error, FileNotFoundError) and self._enterable()
            code = ABSENT if absent else NOT_EXECUTABLE
            self._finish(code, "exit", started)
        else:
            try:
                how = self._follow(reading, exited, started + self.arguments["seconds"])
            finally:
                os.close(exited)
            self._finish(self._code(), how, started)
        finally:
            self.drop()

    def drop(self) -> None:
        with self._lock:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1
        if self._stdin is not None:
            self._stdin.close()

    # Starting.

    def _launch(self) -> Tuple[int, int]:
        """Start the program; the read end of its output and a descriptor that tells its end."""
        if self._stdin_problem:
            raise OSError(0, self._stdin_problem)
        if self._stdin is not None:
            self._stdin.seek(0)
        cwd = self._cwd()
        reading, writing = os.pipe()
        try:
            os.set_blocking(reading, False)
            self._process = self._family.start(
                self.arguments["argv"],
                stdin=subprocess.DEVNULL if self._stdin is None else self._stdin,
                stdout=writing,
                stderr=writing,
                cwd=cwd,
                env=self.arguments["env"],
            )
            return reading, exit_descriptor(self._process.pid)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)

    def _cwd(self) -> str:
        return os.path.normpath(self._path(self.arguments["cwd"] or "."))

    def _enterable(self) -> bool:
        return os.path.isdir(self._cwd())

    def _why(self, error: Exception) -> str:
        argv = self.arguments["argv"]
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if not self._enterable():
            return "cannot start in `%s`: %s\n" % (self.arguments["cwd"], reason)
        return "cannot start `%s`: %s\n" % (argv[0] if argv else "", reason)

    # Following.

    def _follow(self, reading: int, exited: int, deadline: float) -> str:
        """Read until the program ends; "exit", "late" or "cancel" says why it ended."""
        assert self._process is not None
        how = self._pump(reading, exited, deadline, self._wake_read)
        if how != "exit":
            self._terminate(reading, exited)
        self._process.wait()
        self._rest(reading)
        if self._closed:
            os.close(reading)
        else:
            self._family.leave(reading)
        return how

    def _pump(self, reading: int, exited: int, until: float, wake: int) -> str:
        poll = select.poll()
        for descriptor in (exited, wake) if wake >= 0 else (exited,):
            poll.register(descriptor, select.POLLIN)
        if not self._closed:
            poll.register(reading, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._patience(until))}
            if reading in ready and not self._take(reading, PIPE_BYTES):
                poll.unregister(reading)
            if exited in ready:
                return "exit"
            if wake in ready:
                return "cancel"
            if time.monotonic() >= until:
                return "late"
            if not ready:
                self._live.flush()

    def _patience(self, until: float) -> int:
        """How long to sit still, in milliseconds."""
        left = min(max(0.0, until - time.monotonic()), LONGEST_POLL_SECONDS)
        return math.ceil(1000 * (min(left, FLUSH_SECONDS) if self._live.waits else left))

    def _take(self, reading: int, size: int) -> bool:
        """Read once; False when there will never be more."""
        try:
            piece = os.read(reading, size)
        except BlockingIOError:
            return True
        self._closed = not piece
        self._kept.add(piece)
        self._live.add(piece)
        return bool(piece)

    def _rest(self, reading: int) -> None:
        """What is in the pipe now, and no more: a background program may be filling it for ever."""
        waiting = array.array("i", [0])
        fcntl.ioctl(reading, termios.FIONREAD, waiting)
        left = waiting[0]
        while left > 0 and not self._closed:
            before = min(left, PIPE_BYTES)
            self._take(reading, before)
            left -= before
        if not self._closed:
            self._probe(reading)

    def _probe(self, reading: int) -> None:
        # Nothing waits: a readable pipe is one that nobody holds open any more.
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        events = dict(poll.poll(0)).get(reading, 0)
        if events & select.POLLHUP and not events & select.POLLIN:
            self._closed = True

    def _terminate(self, reading: int, exited: int) -> None:
        assert self._process is not None
        group = self._process.pid
        until = time.monotonic() + self.limits["kill_grace"]
        signal_group(group, signal.SIGTERM)
        if self._pump(reading, exited, until, -1) == "exit":
            # Reap the leader, so that what answers now is the rest of the group.
            self._process.wait()
            while signal_group(group, 0) and time.monotonic() < until:
                time.sleep(0.02)
        signal_group(group, signal.SIGKILL)
        self._pump(reading, exited, math.inf, -1)

    # Ending.

    def _code(self) -> int:
        assert self._process is not None
        return self._process.returncode

    def _finish(self, code: int, how: str, started: float) -> None:
        self._live.flush()
        output = self._kept.finish()
        if output:
            self.reply.data(output)
        self.reply.answer(
            {
                "exit_code": None if how == "late" else code,
                "timed_out": how == "late",
                "dropped": self._kept.dropped,
                "log": self._kept.log,
                "seconds": time.monotonic() - started,
            }
        )


def exit_descriptor(pid: int) -> int:
    """A descriptor that becomes readable when the child `pid` ends; it is not reaped."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):  # Python 3.8, old kernels, other seccomp filters
        reading, writing = os.pipe()
        threading.Thread(target=_tell_exit, args=(pid, writing), daemon=True).start()
        return reading


def _tell_exit(pid: int, writing: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    os.close(writing)
