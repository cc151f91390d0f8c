"""Outlines and syntax errors for everybody else in here: thread-safe, bounded, never a crash.

What parses are processes of their own (`parse`), at most one a processor, started when they are
needed, warm between calls, gone when nobody asks for a while. One that does not answer in time is
killed; a text that used up its processor time or killed its worker twice is not tried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from typing import Any, Dict, Generator, List, Optional, Set, Tuple

from agent.toolbox.code.languages import MODULES, language_of
from agent.toolbox.code.outline import Outline, unpacked
from agent.toolbox.code.tables import TABLES
from agent.toolbox.code.worker import Died, Worker
from agent.toolbox.programs import own

FILE_MAX_BYTES = 2_000_000
FILE_CPU_SECONDS = 3.0
WORKERS_MAX = 4
SPREAD_BYTES = 400_000
SKIPPED_MAX = 10_000
HEAD_BYTES = 8_000

_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def outlines(files: Dict[str, bytes], seconds: float) -> Dict[str, Outline]:
    """The outlines of files by path; unknown, binary, huge, slow and hanging ones are absent."""
    until = time.monotonic() + seconds
    waiting: List[Tuple[str, str, bytes]] = []
    for path, data in files.items():
        language = language_of(path, data[:HEAD_BYTES])
        text = _readable(data) if language else None
        if text is not None:
            waiting.append((path, language, text))
    waiting.reverse()
    found: Dict[str, Outline] = {}

    def work() -> None:
        while time.monotonic() < until:
            try:
                path, language, text = waiting.pop()
            except IndexError:
                return
            answer = _ask("outline", language, text, until)
            if answer is not None:
                found[path] = unpacked(answer)

    spread = sum(len(text) for _, _, text in waiting) // SPREAD_BYTES
    others = [
        threading.Thread(target=work, daemon=True) for _ in range(min(spread, _workers_max() - 1))
    ]
    for thread in others:
        thread.start()
    work()
    for thread in others:
        thread.join()
    return found


def new_errors(
    path: str, before: Optional[bytes], after: bytes, seconds: float = 1.0
) -> List[Tuple[int, str]]:
    """The syntax errors (line, what) of `after` that `before` did not have; none when unsure."""
    until = time.monotonic() + seconds
    language = language_of(path, after[:HEAD_BYTES])
    text = _readable(after) if language else None
    if text is None:
        return []
    found = _errors(language, text, until)
    if not found or not before:
        return found or []
    old = _readable(before)
    had = _errors(language, old, until) if old is not None else None
    if had is None:
        return []  # it cannot be said what is new
    known = [what for _, what in had]
    new: List[Tuple[int, str]] = []
    for line, what in found:
        if what in known:
            known.remove(what)
        else:
            new.append((line, what))
    return new


def able(language: str, seconds: float = 2.0) -> bool:
    """Whether tree-sitter does this language here; otherwise regular expressions do."""
    return bool(_ask("able", language, b"", time.monotonic() + seconds))


def idle() -> List[int]:
    """The process ids of the workers that wait for work."""
    with _lock:
        return [worker.pid for worker in _idle]


def started() -> int:
    """How many workers have been started so far."""
    return _started


def forget() -> None:
    """Forget which texts are not worth trying."""
    with _lock:
        _skipped.clear()


def use_grammars(folder: str) -> None:
    """Where the grammars lie; told by the host."""
    global _grammars
    with _lock:
        _grammars = folder
        idle, _idle[:] = list(_idle), []
    for worker in idle:
        worker.end()


def grammars() -> str:
    """Where they lie, for processes that parse on their own; "" for nowhere."""
    return _grammars


def edition() -> str:
    """A word that changes when the same text may get another outline: keep outlines under it."""
    told = hashlib.sha1("\0".join(TABLES).encode("utf-8"))
    for module in ["tree_sitter", *MODULES] if _grammars else ():
        folder = os.path.join(_grammars, module)
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(folder)):
                if name.startswith("_binding."):
                    size = os.stat(os.path.join(folder, name)).st_size
                    told.update(("%s/%s %d\0" % (module, name, size)).encode("utf-8"))
    return told.hexdigest()[:12]


def _errors(language: str, text: bytes, until: float) -> Optional[List[Tuple[int, str]]]:
    answer = _ask("errors", language, text, until)
    return None if answer is None else [(int(line), str(what)) for line, what in answer]


def _readable(data: bytes) -> Optional[bytes]:
    """The text in UTF-8, as far as it is text; None for what is not worth parsing."""
    if len(data) > FILE_MAX_BYTES:
        return None
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace").encode("utf-8", "replace")
    return None if b"\0" in data[:HEAD_BYTES] else data


# Workers.

_grammars = ""
_lock = threading.Lock()
_idle: List[Worker] = []
_skipped: Set[bytes] = set()
_started = 0


def _ask(op: str, language: str, text: bytes, until: float) -> Any:
    """A worker's answer; None when there is none in time."""
    key = hashlib.sha1(language.encode("ascii") + b"\0" + text).digest()
    if key in _skipped:
        return None
    ask = {"op": op, "language": language, "cpu": FILE_CPU_SECONDS}
    blamed = 0
    while time.monotonic() < until:
        try:
            with _worker() as worker:
                return worker.ask(ask, text, until)
        except TimeoutError:
            return None
        except Died as died:
            blamed += died.blame
            if died.sure or blamed > 1:
                _skip(key)
                return None
        except OSError:
            return None  # no process to be had, or no memory: without outlines then
    return None


def _skip(key: bytes) -> None:
    with _lock:
        if len(_skipped) >= SKIPPED_MAX:
            _skipped.clear()
        _skipped.add(key)


@contextlib.contextmanager
def _worker() -> Generator[Worker, None, None]:
    """A worker for one question. It is kept when it has answered, and killed otherwise."""
    global _started
    with _lock:
        worker = _idle.pop() if _idle else None
        folder = _grammars
        _started += worker is None
    if worker is None:
        worker = Worker(own.command("parse"), folder)
    try:
        yield worker
    except BaseException:
        worker.end()
        raise
    with _lock:
        kept = len(_idle) < WORKERS_MAX and worker.folder == _grammars
        if kept:
            _idle.append(worker)
    if not kept:
        worker.end()


def _workers_max() -> int:
    return max(1, min(WORKERS_MAX, len(os.sched_getaffinity(0))))
