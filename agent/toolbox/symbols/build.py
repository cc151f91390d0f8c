"""The build of an index in the background: a process of its own, at the lowest priority.

    python3 -I -S toolbox.zip index ROOT DATABASE GRAMMARS

One at a time per database. Parsing is done by workers of its own, which may loop or crash: the
kernel ends one that thinks too long about a file, the file is given up and another worker started.
What was parsed is committed every moment, so that an interrupted build has lost next to nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import resource
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from typing import Any, Dict, Generator, List, Optional, Tuple

from agent.toolbox.code import parsing, regexes
from agent.toolbox.code.trees import Trees
from agent.toolbox.files.paths import Answer, refusal
from agent.toolbox.programs import memory, own
from agent.toolbox.programs.confine import expendable
from agent.toolbox.programs.pipes import write_all
from agent.toolbox.search import tree
from agent.toolbox.symbols import rows, store
from agent.toolbox.symbols.index import AT_ONCE, Index, Missing, content
from agent.toolbox.symbols.store import Parsed

SECONDS = 900.0
FILE_CPU_SECONDS = 5.0
FILE_SECONDS = 120.0
WORKER_MEMORY_BYTES = 1_500_000_000
WORKERS = 2
BATCH = 16
PIPE_BYTES = 262_144
CACHE_KB = 4_096
COMMIT_FILES = 200
COMMIT_SECONDS = 0.7
ROUNDS = 5
DEAD_MIN = 5_000
RECENT_COMMITS = 300
LOG_SECONDS = 10.0
OLD_SECONDS = 30 * 86_400.0
_HEADER = struct.Struct("!I")
_SET_PIPE_SIZE = 1031
"""`fcntl.F_SETPIPE_SZ`, which Python has a name for from 3.10 on."""

Done = Tuple[Missing, str, Optional[Parsed]]


def start(index: Index) -> bool:
    """Begin a build unless one is under way; whether one was begun."""
    root, database = index.root, index.store.path
    with _alone(database) as free:
        if not free:
            return False
    process = subprocess.Popen(
        [*own.command("index"), root, database, parsing.grammars()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    expendable(process.pid)
    _started.append(process)
    _started[:] = [one for one in _started if one.poll() is None]
    return True


def started() -> List[Any]:
    """The builds that this process has begun and that may still run."""
    return list(_started)


_started: List[Any] = []


@contextlib.contextmanager
def opened(root: str) -> Generator[Index, None, None]:
    """The index of a tree as it is now; what it lacks is being built from here on."""
    index = Index(root)
    try:
        index.refresh()
        if wanted(index):
            start(index)
        yield index
    finally:
        index.close()


def begin(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Begin a build of the work directory's index, if something is missing."""
    try:
        index = Index(limits["workdir"])
        try:
            index.refresh()
            started = bool(index.missing()) and start(index)
            coverage = index.coverage()
        finally:
            index.close()
    except (OSError, sqlite3.Error) as error:
        return refusal("", "no_index", why=str(error))
    return {
        "ok": True,
        "started": started,
        "parsed": coverage.parsed,
        "code_files": coverage.files,
        "complete": coverage.whole,
    }


def wanted(index: Index) -> bool:
    """Whether so much is missing that it is the background's work."""
    return len(index.missing()) > AT_ONCE


@contextlib.contextmanager
def _alone(database: str) -> Generator[bool, None, None]:
    """Whether nobody else builds; nobody else does until it is left."""
    descriptor = os.open(database + ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def main(root: str, database: str, grammars: str) -> int:
    """Build until nothing is missing or the time is over; the exit code."""
    os.nice(19)
    try:
        with _alone(database) as free:
            if free:
                build(root, database, grammars)
        return 0
    except (OSError, sqlite3.Error) as error:
        sys.stderr.write("glovebox toolbox: no index: %s\n" % error)
        return 1


def build(
    root: str,
    database: str,
    grammars: str,
    seconds: float = SECONDS,
    workers: int = WORKERS,
) -> None:
    """Parse all that is missing, in rounds: the tree may change meanwhile."""
    until = time.monotonic() + seconds
    index = Index(root, database)
    # Writing in the order of the keys needs no more; it is memory for as long as the build runs.
    index.store.run("PRAGMA cache_size=-%d" % CACHE_KB)
    _forget_old(index.store.path)
    try:
        for _ in range(ROUNDS):
            index.refresh()
            _forget_dead(index)
            missing = _ordered(index)
            if not missing or time.monotonic() > until or index.store.full():
                return
            _Build(index, grammars, missing, until).run(min(workers, os.cpu_count() or 1))
    finally:
        index.close()


def _ordered(index: Index) -> List[Missing]:
    """What is asked for most likely first: what was changed lately; what others wrote last."""
    lately: Dict[str, int] = {}
    newest = ("log", "-%d" % RECENT_COMMITS, "-z", "--name-only", "--format=", "--relative")
    until = time.monotonic() + LOG_SECONDS
    said = tree.listing([*tree.GIT, *newest], index.root, tree.git_environment(), until)
    for number, path in enumerate(os.fsdecode(said.stdout).split("\0") if said else ()):
        lately.setdefault(path.strip("\n"), number)
    last = len(lately)
    return sorted(
        index.missing(),
        key=lambda one: (rows.vendored(one.path), lately.get(one.path, last), one.path),
    )


def _forget_dead(index: Index) -> None:
    """Take out what no tree holds any more, once it is the larger part."""
    with index.store.writing():
        for number, path in index.store.rows("SELECT id, path FROM root"):
            if not os.path.isdir(path):
                index.store.run("DELETE FROM file WHERE root=?", number)
                index.store.run("DELETE FROM root WHERE id=?", number)
    dead = index.store.rows(
        "SELECT id FROM blob WHERE NOT EXISTS (SELECT 1 FROM file WHERE file.blob = blob.id)"
    )
    (every,) = index.store.rows("SELECT count(*) FROM blob")[0]
    if len(dead) > DEAD_MIN and len(dead) * 2 > every:
        for at in range(0, len(dead), COMMIT_FILES):
            with index.store.writing():
                index.store.forget([blob for (blob,) in dead[at : at + COMMIT_FILES]])


def _forget_old(database: str) -> None:
    """Take away what other versions of ours have kept and nobody has used for long."""
    folder, long_ago = os.path.dirname(database), time.time() - OLD_SECONDS
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith("symbols-") and not path.startswith(database):
            with contextlib.suppress(OSError):
                if os.stat(path).st_mtime < long_ago:
                    os.unlink(path)


class _Build:
    """One round: hands files to workers and keeps what they make of them."""

    def __init__(self, index: Index, grammars: str, missing: List[Missing], until: float) -> None:
        self._index = index
        self._grammars = grammars
        self._waiting = list(reversed(missing))
        self._until = until
        self._done: List[Done] = []
        self._committed = time.monotonic()

    def run(self, count: int) -> None:
        workers = [_Worker(self._index, self._grammars) for _ in range(count)]
        try:
            while time.monotonic() < self._until:
                for worker in workers:
                    self._feed(worker)
                busy = [worker for worker in workers if worker.tasks]
                if not busy:
                    break
                self._hear(busy)
                self._commit(COMMIT_FILES)
        finally:
            for worker in workers:
                worker.end()
            self._commit(1)

    def _feed(self, worker: _Worker) -> None:
        # The next batch is there before one is through: we may be busy writing just then. Short
        # ones at the end, so that no worker is left with all of the rest.
        size = min(BATCH, len(self._waiting) // 4)
        if len(worker.tasks) <= size and self._waiting:
            several = min(max(1, size), len(self._waiting))
            worker.give([self._waiting.pop() for _ in range(several)])

    def _hear(self, busy: List[_Worker]) -> None:
        poll = select.poll()
        for worker in busy:
            poll.register(worker.hears, select.POLLIN)
            if worker.unsent:
                poll.register(worker.asks, select.POLLOUT)
        ready = {pipe for pipe, _ in poll.poll(1000)}
        for worker in busy:
            if worker.hears in ready:
                self._done.extend(worker.hear())
            elif worker.asks in ready:
                worker.send()
            elif worker.tasks and worker.silent():
                self._done.append(worker.give_up())

    def _commit(self, least: int) -> None:
        now = time.monotonic()
        if len(self._done) >= least or (self._done and now - self._committed > COMMIT_SECONDS):
            done, self._done = self._done, []
            self._index.record(done)
            self._committed = time.monotonic()


class _Worker:
    """A process that parses, as its parent sees it. `tasks` are what it still owes an answer to.

    Nobody waits for the other with both pipes full: what it does not take now is `unsent`.
    """

    def __init__(self, index: Index, grammars: str) -> None:
        self._index = index
        self._grammars = grammars
        self.tasks: List[Missing] = []
        self._start()

    def _start(self) -> None:
        asked, asking = os.pipe()
        heard, telling = os.pipe()
        with contextlib.suppress(OSError):  # we wait for each other a little more often then
            for pipe in (asking, telling):
                fcntl.fcntl(pipe, _SET_PIPE_SIZE, PIPE_BYTES)
        self._pid = os.fork()
        if not self._pid:
            os.close(asking)
            os.close(heard)
            _work(asked, telling, self._index, self._grammars)
        os.close(asked)
        os.close(telling)
        os.set_inheritable(asking, False)
        os.set_blocking(asking, False)
        self.hears, self.asks, self.unsent = heard, asking, b""
        self._data = b""
        self._heard = time.monotonic()

    def give(self, tasks: List[Missing]) -> None:
        self.tasks += tasks
        self._heard = time.monotonic()
        self.unsent += _framed([tuple(task) for task in tasks])
        self.send()

    def send(self) -> None:
        """Let it have what it takes now."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # its end is seen by hearing it
            self.unsent = self.unsent[os.write(self.asks, self.unsent) :]

    def hear(self) -> List[Done]:
        """What it has answered; one that has died has given its file up."""
        piece = os.read(self.hears, PIPE_BYTES)
        if not piece:
            return [self.give_up()]
        self._heard = time.monotonic()
        data, at = self._data + piece, 0
        done: List[Done] = []
        while len(data) >= at + _HEADER.size:
            (size,) = _HEADER.unpack_from(data, at)
            begin, end = at + _HEADER.size, at + _HEADER.size + size
            if len(data) < end:
                break
            oid, packed = marshal.loads(data[begin:end])
            done.append((self.tasks.pop(0), oid, packed and Parsed(*packed)))
            at = end
        self._data = data[at:]
        return done

    def silent(self) -> bool:
        return time.monotonic() - self._heard > FILE_SECONDS

    def give_up(self) -> Done:
        """End it, begin another with the rest of its tasks, and answer for the one it was at."""
        self.end()
        task, rest = self.tasks[0], self.tasks[1:]
        self._start()
        self.tasks = []
        if rest:
            self.give(rest)
        oid, data = content(self._index.root, task)
        return task, oid if data is not None else "unread " + task.token, Parsed(store.BROKEN)

    def end(self) -> None:
        os.close(self.asks)
        os.close(self.hears)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


# Inside a worker.


def _work(asked: int, telling: int, parent: Index, grammars: str) -> None:
    """Answer tasks until there are none; never returns."""
    code = 1
    try:
        # A fork begins with the address space that the process it is of has already.
        most = memory.of()[0] + WORKER_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        # A connection of its own: none may be used on both sides of a fork.
        index = Index(parent.root, parent.store.path)
        trees = Trees(grammars)
        with os.fdopen(asked, "rb") as stream:
            for task in _tasks(stream):
                # The kernel's own clock: it stops a loop in a grammar too, which Python cannot.
                signal.setitimer(signal.ITIMER_PROF, FILE_CPU_SECONDS)
                write_all(telling, _framed(_parsed(index, trees, task)))
        code = 0
    finally:
        os._exit(code)


def _tasks(stream: Any) -> Generator[Missing, None, None]:
    while True:
        header = stream.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        for task in marshal.loads(stream.read(_HEADER.unpack(header)[0])):
            yield Missing(*task)


def _parsed(index: Index, trees: Trees, task: Missing) -> Tuple[str, Optional[Tuple[Any, ...]]]:
    oid, data = content(index.root, task)
    if data is None:
        return oid, tuple(Parsed(store.BROKEN))
    if rows.only_listed(data):
        return oid, tuple(Parsed(store.LISTED))
    if oid != task.oid and index.known(oid, task.language):
        return oid, None
    grammar = trees.grammar(task.language)
    if grammar is not None:
        outline = grammar.outline(data)
    else:
        outline = regexes.outline(task.language, data.decode("utf-8", "replace"))
    return oid, tuple(rows.parsed(outline, data))


def _framed(value: Any) -> bytes:
    data = marshal.dumps(value)
    return _HEADER.pack(len(data)) + data
