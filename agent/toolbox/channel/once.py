"""One request per process, for backends that can start programs but cannot hold a channel open.

    python3 -I -S toolbox.zip once WORD     the request: JSON in base64; `@PATH`: in that file
    python3 -I -S toolbox.zip once -        the same on stdin

What the resident toolbox sends as frames goes to stdout as lines: `@ID NUMBER KIND PAYLOAD`, the
payload in base64, numbered from 0, so that a reader who lost the stream can start again. While a
program runs, a line `cancel` on stdin or SIGTERM ends it as a cancel does.

A request that changes something has a `claim`, a path: it is done at most once, however often it
is sent. Whoever sends it again gets the lines of the first time, or waits for them.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any, Dict, Generator, List

from agent.toolbox.channel import frames
from agent.toolbox.channel.jobs import Reply
from agent.toolbox.channel.later import end_servers
from agent.toolbox.channel.server import OPERATIONS, WAITING
from agent.toolbox.code import parsing
from agent.toolbox.files import paths, transfer
from agent.toolbox.programs import confine
from agent.toolbox.programs.execute import Execution
from agent.toolbox.programs.family import Family

CLAIMS_KEPT_SECONDS = 3600.0
SETTLE_SECONDS = 60.0
PIECE_BYTES = 262_144
DONE = ".done"


class Lines(frames.Outgoing):
    """The sending half: frames as lines of text, and a record of all but live output."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor)
        self._name = name
        self._number = 0
        self.record: List[bytes] = []

    def send(self, kind: int, request: int, payload: bytes = b"") -> None:
        with self._lock:
            data = base64.b64encode(payload).decode("ascii")
            line = ("@%s %d %d %s\n" % (self._name, self._number, kind, data)).encode("ascii")
            self._number += 1
            if kind != frames.LIVE:
                self.record.append(payload_line(kind, data))
            self._write(line)

    def again(self, record: bytes) -> None:
        """Send what another process of this request recorded."""
        for kind, data in (line.split(b" ") for line in record.splitlines()):
            self.send(int(kind), 0, base64.b64decode(data))


def payload_line(kind: int, data: str) -> bytes:
    """One line of a record."""
    return ("%d %s" % (kind, data)).encode("ascii")


class Orphaned(Family):
    """What a command left running keeps a reader of its own, which belongs to nobody.

    It is there before the answer is: whoever has that may end the session that we run in, with all
    that descends from us. Without a reader the programs would end by SIGPIPE.
    """

    def leave(self, reading: int) -> None:
        between = os.fork()
        if between == 0:
            try:
                os.setsid()
                if os.fork() == 0:
                    _drain(_alone_with(reading))
            finally:
                os._exit(0)
        os.waitpid(between, 0)
        os.close(reading)


def _alone_with(descriptor: int) -> int:
    """Keep no other descriptor, no folder and no way of ours to end; the one that is kept."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    kept = os.dup2(descriptor, 3)
    os.closerange(4, os.sysconf("SC_OPEN_MAX"))
    os.chdir("/")
    return kept


def once(word: str) -> int:
    """Answer the request in `word`; the exit code."""
    ask = json.loads(_request(word).decode("utf-8"))
    lines = Lines(own_stdout(), ask["id"])
    claim = ask.get("claim", "")
    if claim and not _claimed(claim):
        return _first_answer(lines, claim, ask)
    confine.confine()
    os.environ.clear()
    os.environ.update(ask["environment"])
    if ask.get("bounds"):
        confine.bound(ask["bounds"])
    parsing.use_grammars(ask.get("grammars", ""))
    _serve(ask, Reply(lines, 0, {}))
    end_servers()
    if claim:
        _keep(claim + DONE, b"\n".join(lines.record))
    return 0


def _request(word: str) -> bytes:
    if word == "-":
        return base64.b64decode(sys.stdin.buffer.read())
    if word.startswith("@"):
        with open(word[1:], "rb") as file:
            data = file.read()
        os.unlink(word[1:])
        return base64.b64decode(data)
    return base64.b64decode(word)


def own_stdout() -> int:
    """Our stdout, moved where no program that we start can inherit it."""
    out = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return out


def _serve(ask: Dict[str, Any], reply: Reply) -> None:
    op, arguments = ask["op"], ask["arguments"]
    limits = dict(ask["limits"], cancelled=lambda: False)
    try:
        os.chdir(limits["workdir"])
        if op == "exec":
            _execute(arguments, limits, reply)
        elif op == "put":
            reply.answer(_put(arguments, limits))
        elif op == "get":
            reply.answer(_get(arguments, limits))
        elif op == "reach":
            reply.answer(_reach(arguments))
        elif op in OPERATIONS:
            with contextlib.ExitStack() as held_back:
                if op not in WAITING:
                    held_back.enter_context(_alone(limits["changing"]))
                reply.answer(OPERATIONS[op](arguments, limits))
        else:
            reply.fail("unknown operation `%s`" % op)
    except (KeyError, TypeError, ValueError) as error:
        reply.fail("bad arguments: %r" % (error,))
    except OSError as error:
        reply.fail("cannot work inside: %s" % error)


@contextlib.contextmanager
def _alone(path: str) -> Generator[None, None, None]:
    """Between processes what `files.changing` is between threads: no edit of a file gets lost."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# What runs at most once.


def _claimed(claim: str) -> bool:
    """Whether the request is ours to do; nobody else will do it then."""
    _forget_old(os.path.dirname(claim))
    try:
        os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def _first_answer(lines: Lines, claim: str, ask: Dict[str, Any]) -> int:
    until = time.monotonic() + ask["arguments"].get("seconds", 0.0) + SETTLE_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError), open(claim + DONE, "rb") as file:
            lines.again(file.read())
            return 0
        time.sleep(0.05)
    Reply(lines, 0, {}).fail("this was asked before and has not ended")
    return 1


def _keep(path: str, data: bytes) -> None:
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.replace(path + ".new", path)


def _forget_old(folder: str) -> None:
    now = time.time()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if now - entry.stat().st_mtime > CLAIMS_KEPT_SECONDS:
                os.unlink(entry.path)


# Programs.


def _execute(arguments: Dict[str, Any], limits: Dict[str, Any], reply: Reply) -> None:
    execution = Execution(reply, arguments, limits, Orphaned())

    def told(number: int, frame: Any) -> None:
        execution.cancel()

    signal.signal(signal.SIGTERM, told)
    if arguments.get("stdin_path"):
        with open(arguments["stdin_path"], "rb") as file:
            for piece in iter(lambda: file.read(PIECE_BYTES), b""):
                execution.data(piece)
        os.unlink(arguments["stdin_path"])
    elif arguments.get("stdin"):
        execution.data(base64.b64decode(arguments["stdin"]))
    threading.Thread(target=_watch, args=(execution,), daemon=True).start()
    execution.run()


def _watch(execution: Execution) -> None:
    told = b""
    while True:
        piece = os.read(0, 1024)
        if not piece:
            return  # the other end may have closed it without wanting an end
        told = (told + piece)[-64:]
        if b"cancel\n" in told:
            execution.cancel()
            return


def _drain(pipe: int) -> None:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while True:
        poll.poll()
        with contextlib.suppress(BlockingIOError):
            if not os.read(pipe, PIECE_BYTES):
                return


# Files: small ones travel in the request or the answer, others by a file beside the toolbox.


def _put(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Dict[str, Any]:
    path = paths.absolute(arguments["path"], limits["workdir"])
    staged = arguments.get("staged", "")
    try:
        transfer.require_replaceable(path)
        new = paths.Replacement(path)
        try:
            if staged:
                with open(staged, "rb") as file:
                    for piece in iter(lambda: file.read(PIECE_BYTES), b""):
                        new.file.write(piece)
            else:
                new.file.write(base64.b64decode(arguments["data"]))
            new.commit(arguments["mode"] & 0o777)
        except BaseException:
            new.discard()
            raise
    except OSError as error:
        return paths.refused(path, error)
    finally:
        if staged:
            with contextlib.suppress(OSError):
                os.unlink(staged)
    return {"ok": True, "path": path}


def _get(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Dict[str, Any]:
    path = paths.absolute(arguments["path"], limits["workdir"])
    try:
        descriptor = transfer.open_regular(path)
    except FileNotFoundError:
        return paths.refusal(path, "absent")
    except OSError as error:
        return paths.refused(path, error)
    with os.fdopen(descriptor, "rb") as file:
        size, limit = os.fstat(descriptor).st_size, arguments["limit"]
        if size > limit:
            return paths.refusal(path, "too_large", size=size)
        data = file.read(arguments["inline"] + 1)
        if len(data) <= arguments["inline"]:
            if len(data) > limit:
                return paths.refusal(path, "too_large", size=len(data))
            text = base64.b64encode(data).decode("ascii")
            return {"ok": True, "path": path, "size": len(data), "data": text}
        return _stage(path, arguments["staged"], data, file, limit)


def _stage(path: str, staged: str, data: bytes, file: Any, limit: int) -> Dict[str, Any]:
    size = 0
    try:
        with open(staged, "wb") as copy:
            while data:
                size += len(data)
                if size > limit:
                    return paths.refusal(path, "too_large", size=size)
                copy.write(data)
                data = file.read(PIECE_BYTES)
    except OSError as error:
        return paths.refused(path, error)
    return {"ok": True, "path": path, "size": size, "data": None}


# The network, seen from in here.


def _reach(arguments: Dict[str, Any]) -> Dict[str, Any]:
    reached: List[str] = []
    threads = [
        threading.Thread(target=_knock, args=(host, port, arguments["seconds"], reached))
        for host, port in arguments["targets"]
    ]
    for thread in threads:
        thread.daemon = True
        thread.start()
    until = time.monotonic() + arguments["seconds"] + 1
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return {"ok": True, "reached": sorted(reached)}


def _knock(host: str, port: int, seconds: float, reached: List[str]) -> None:
    with contextlib.suppress(OSError), socket.create_connection((host, port), seconds):
        reached.append("%s:%d" % (host, port))
