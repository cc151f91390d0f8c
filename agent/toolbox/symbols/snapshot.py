"""What is in a work tree right now: each file of code with a token that changes when it does.

Where git works, the token of an unchanged file is the id of its blob, which costs nothing; of any
other file it is size, time and number. No content is read here.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set

from agent.toolbox.code.languages import LANGUAGES, language_of
from agent.toolbox.search import tree

SECONDS = 20.0
FILES_MAX = 200_000
SHEBANG_BYTES = 128

_LISTINGS = (
    ("ls-files", "-z", "-s"),
    ("diff-files", "-z", "--name-only", "--relative", "--ignore-submodules=all"),
    ("ls-files", "-z", "-o", "--exclude-standard"),
)
_MODULE, _LINK, _PROGRAM = "160000", "120000", "100755"


class Entry(NamedTuple):
    """A file of a language that is indexed. `oid` is its blob's id where git said it."""

    token: str
    language: str
    oid: str


class Snapshot(NamedTuple):
    """The files by path; `state` is equal for equal trees. `complete` is False for a cut one."""

    files: Dict[str, Entry]
    state: str
    complete: bool


def indexed(language: str) -> bool:
    """Whether files of a language have names that other files use."""
    known = LANGUAGES.get(language)
    return known is not None and bool(known.identifiers)


def take(root: str) -> Snapshot:
    """The tree below `root`."""
    until = time.monotonic() + SECONDS
    said = _ask(root, until)
    files = _Files(root)
    if said is None:
        found = tree.scan(root, most=FILES_MAX)
        files.loose(path for path in found.paths if path not in found.links)
        return files.snapshot(found.complete)
    staged, changed, others = said
    files.tracked(staged, set(changed))
    files.loose(path for path in others if not path.endswith("/"))
    for inner in [path for path in others if path.endswith("/")] + files.modules:
        files.nested(inner.rstrip("/"))
    return files.snapshot(complete=True)


class _Files:
    def __init__(self, root: str) -> None:
        self._root = root
        self._found: Dict[str, Entry] = {}
        self._full = False
        self.modules: List[str] = []

    def snapshot(self, complete: bool) -> Snapshot:
        digest = hashlib.blake2b(digest_size=16)
        for path in sorted(self._found):
            line = "%s\0%s\0" % (path, self._found[path].token)
            digest.update(os.fsencode(line))
        return Snapshot(self._found, digest.hexdigest(), complete and not self._full)

    def tracked(self, staged: Iterable[str], changed: Set[str]) -> None:
        for line in staged:
            about, _, path = line.partition("\t")
            mode, oid, _ = about.split(" ")
            if mode == _MODULE:
                self.modules.append(path)
            elif mode == _LINK:
                continue
            elif path in changed:
                self._stat(path)
            else:
                language = self._language(path, mode == _PROGRAM)
                if language and self._room():
                    self._found[path] = Entry(oid, language, oid)

    def loose(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._stat(path)

    def nested(self, inner: str) -> None:
        """A repository in the repository: its files are told by size and time."""
        found = tree.scan(os.path.join(self._root, inner), most=FILES_MAX)
        self.loose(inner + "/" + path for path in found.paths if path not in found.links)

    def _stat(self, path: str) -> None:
        if not self._room():
            return
        try:
            status = os.lstat(os.path.join(self._root, path))
        except OSError:
            return
        program = bool(status.st_mode & 0o100)
        if stat.S_ISREG(status.st_mode):
            language = self._language(path, program)
            if language:
                token = "%d %d %d" % (status.st_size, status.st_mtime_ns, status.st_ino)
                self._found[path] = Entry(token, language, "")

    def _language(self, path: str, program: bool) -> str:
        language = language_of(path)
        if not language and program and "." not in path.rsplit("/", 1)[-1]:
            language = language_of(path, _head(os.path.join(self._root, path)))
        return language if indexed(language) else ""

    def _room(self) -> bool:
        self._full = self._full or len(self._found) >= FILES_MAX
        return not self._full


def _head(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        status = os.fstat(descriptor)
        return os.read(descriptor, SHEBANG_BYTES) if stat.S_ISREG(status.st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _ask(root: str, until: float) -> Optional[List[List[str]]]:
    """The three listings, made side by side; None where git is no help."""
    running: List[subprocess.Popen[bytes]] = []
    try:
        running.extend(_started(root, listing) for listing in _LISTINGS)
        # Each may fill its pipe while another is read: none waits for another of them.
        answers = [_answer(process, until) for process in running]
    except (OSError, subprocess.SubprocessError):
        return None
    finally:
        for process in running:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    return None if None in answers else [_names(answer) for answer in answers if answer is not None]


def _started(root: str, listing: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*tree.GIT, *listing],
        cwd=root,
        env=tree.git_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _answer(process: subprocess.Popen[bytes], until: float) -> Optional[bytes]:
    out, _ = process.communicate(timeout=max(0.1, until - time.monotonic()))
    return None if process.returncode else out


def _names(answer: bytes) -> List[str]:
    return [name for name in os.fsdecode(answer).split("\0") if name]
