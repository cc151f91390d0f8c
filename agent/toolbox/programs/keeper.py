"""One background program and the process that keeps it: `python3 -I -S toolbox.zip job FOLDER`.

The keeper holds the program's terminal, writes down what it prints, takes its input and ends it. It
belongs to nobody: not to the call that started it, nor to the toolbox, so it lives until the
program has ended or the sandbox has. All that others know of it lies in FOLDER:

    job.json     name, command, directory, when it was started
    out.N        what it printed, see `joblog`
    control      a socket: one JSON request a connection, as long as the keeper lives
    ended.json   how the program ended; without it and without a keeper nobody knows

The program gets a terminal, because most programs keep their output back when they write to
something else, and whoever waits for a line of it would wait for ever.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
from typing import Any, Dict, Generator, List, Optional

from agent.toolbox.programs.confine import expendable
from agent.toolbox.programs.execute import ABSENT, exit_descriptor
from agent.toolbox.programs.joblog import Writer

JOB, ENDED, CONTROL = "job.json", "ended.json", "control"
PIECE_BYTES = 65_536
INPUT_MAX_BYTES = 1_000_000
ROWS, COLUMNS = 50, 200
TALK_SECONDS = 5.0
END_OF_INPUT = "\x04"
ENVIRONMENT = {"TERM": "dumb", "PAGER": "cat", "GIT_PAGER": "cat"}


def keep(folder: str) -> None:
    """Become the keeper of the job in `folder`; returns in the parent once the program runs."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        os.read(reading, 1)
        return
    os.close(reading)
    os.setsid()
    Keeper(folder).keep(writing)
    os._exit(0)


class Keeper:
    """See the module."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._log = Writer(folder)
        self._input = bytearray()
        self._kill_at = 0.0
        self._program: Optional[subprocess.Popen[bytes]] = None
        self._master = -1
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def keep(self, tell: int) -> None:
        """Run the program to its end; `tell` is closed when it has begun, or could not."""
        with open(os.path.join(self._folder, JOB), encoding="ascii") as file:
            job = json.load(file)
        with at(self._folder) as place:
            self._listener.bind(place)
        self._listener.listen(64)
        try:
            exited = self._start(job)
        except OSError as error:
            self._log.add(("cannot start: %s\n" % error.strerror).encode("utf-8", "replace"))
            self._end(ABSENT)
            os.close(tell)
            return
        os.close(tell)
        self._follow(exited)
        assert self._program is not None
        while self._take():
            pass
        self._end(self._program.wait())

    def _start(self, job: Dict[str, Any]) -> int:
        self._master, slave = os.openpty()
        settings = termios.tcgetattr(slave)
        settings[1] &= ~termios.ONLCR
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.set_blocking(self._master, False)
        try:
            self._program = subprocess.Popen(
                [shutil.which("bash") or "sh", "-c", job["command"]],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=job["cwd"],
                env=dict(os.environ, PWD=job["cwd"], **ENVIRONMENT),
                start_new_session=True,
                preexec_fn=_take_terminal,  # safe: there are no threads here
            )
        finally:
            os.close(slave)
        expendable(self._program.pid)
        return exit_descriptor(self._program.pid)

    def _follow(self, exited: int) -> None:
        """Until the program has ended; and when it was to be killed, all that belongs to it."""
        assert self._program is not None
        over = False
        while not over or (self._kill_at and members(self._program.pid)):
            ready = self._poll(-1 if over else exited)
            if self._master in ready:
                self._take()
                self._feed()
            if self._listener.fileno() in ready:
                self._talk()
            if self._kill_at and time.monotonic() >= self._kill_at:
                self._signal(signal.SIGKILL)
                self._kill_at = 0.0
            if exited in ready:
                over = True
                self._program.wait()

    def _poll(self, exited: int) -> Dict[int, int]:
        """What is ready; `exited` is negative when only the rest of a family is waited for."""
        poll = select.poll()
        if exited >= 0:
            poll.register(exited, select.POLLIN)
        poll.register(self._listener, select.POLLIN)
        if self._master >= 0:
            poll.register(self._master, select.POLLIN | (select.POLLOUT if self._input else 0))
        if exited < 0:
            return dict(poll.poll(20))
        left = max(0.0, self._kill_at - time.monotonic()) if self._kill_at else None
        return dict(poll.poll(None if left is None else 1000 * left + 1))

    def _take(self) -> bool:
        """Read once; whether there may be more."""
        if self._master < 0:
            return False
        try:
            piece = os.read(self._master, PIECE_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # nobody has the other end open
            piece = b""
        if not piece:
            os.close(self._master)
            self._master = -1
        self._log.add(piece)
        return bool(piece)

    def _feed(self) -> None:
        if not self._input or self._master < 0:
            return
        with contextlib.suppress(BlockingIOError):
            del self._input[: os.write(self._master, bytes(self._input[:1024]))]

    # What is asked of it.

    def _talk(self) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            line, _ = self._listener.accept()
            with line:
                line.settimeout(TALK_SECONDS)
                request = json.loads(received(line).decode("ascii"))
                line.sendall(json.dumps(self._answer(request)).encode("ascii"))

    def _answer(self, request: Dict[str, Any]) -> Dict[str, Any]:
        if request.get("kill"):
            self._signal(signal.SIGTERM)
            # A program that was stopped would not notice.
            self._signal(signal.SIGCONT)
            self._kill_at = time.monotonic() + float(request["grace"])
            return {"ok": True}
        data = str(request["send"]).encode("utf-8", "surrogateescape")
        if self._master < 0 or len(self._input) + len(data) > INPUT_MAX_BYTES:
            return {"ok": False, "reason": "deaf"}
        self._input += data
        self._feed()
        return {"ok": True}

    def _signal(self, number: int) -> None:
        """To everything that belongs to the program's terminal session."""
        assert self._program is not None
        leader = self._program.pid
        for pid in members(leader) or [leader]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _end(self, code: int) -> None:
        self._log.close()
        path = os.path.join(self._folder, ENDED)
        with contextlib.suppress(OSError):
            with open(path + ".new", "w", encoding="ascii") as file:
                json.dump({"exit_code": code, "at": time.time()}, file)
            os.replace(path + ".new", path)
        self._listener.close()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def members(session: int) -> List[int]:
    """The processes of a session that run."""
    found: List[int] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open("/proc/%s/stat" % name, "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                if int(fields[3]) == session and fields[0] != b"Z":
                    found.append(int(name))
    return found


@contextlib.contextmanager
def at(folder: str) -> Generator[str, None, None]:
    """A name for the socket in `folder` that is short, however deep the folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield "/proc/self/fd/%d/%s" % (descriptor, CONTROL)
    finally:
        os.close(descriptor)


def received(line: socket.socket) -> bytes:
    """All that the other end says until it has ended its half."""
    data = bytearray()
    while True:
        piece = line.recv(PIECE_BYTES)
        if not piece:
            return bytes(data)
        data += piece
        if len(data) > 4 * INPUT_MAX_BYTES:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))


def ask(folder: str, **request: Any) -> Optional[Dict[str, Any]]:
    """What the keeper of `folder` answers; None when there is none any more."""
    with contextlib.suppress(OSError, ValueError), _connected(folder) as line:
        line.sendall(json.dumps(request).encode("ascii"))
        line.shutdown(socket.SHUT_WR)
        answer: Dict[str, Any] = json.loads(received(line).decode("ascii"))
        return answer
    return None


def alive(folder: str) -> bool:
    """Whether there is a keeper."""
    with contextlib.suppress(OSError), _connected(folder):
        return True
    return False


@contextlib.contextmanager
def _connected(folder: str) -> Generator[socket.socket, None, None]:
    with at(folder) as place, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(TALK_SECONDS)
        line.connect(place)
        yield line
