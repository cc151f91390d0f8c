"""The one list of a repository's files, for everything that searches or indexes them.

What `git ls-files -co --exclude-standard` says where git works: everything that is tracked or not
ignored, also what is tracked and ignored. Elsewhere a walk of ours with the same rules.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from typing import Any, Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from agent.toolbox.search.walk import OWN_FOLDERS, walk

FILES_MAX = 200_000
SECONDS = 20.0
NESTED_MAX = 200

GIT = (
    "git",
    "--no-optional-locks",
    *("-c", "core.fsmonitor=false", "-c", "core.quotepath=false", "-c", "safe.directory=*"),
)


class Tree(NamedTuple):
    """The files below a folder, as paths from there, sorted.

    `links` are those that are symbolic links, wherever they lead; `loose` those that git does not
    track, `nested` those of repositories in the repository. `complete` is False when there are more
    than may be listed, or listing took too long.
    """

    paths: List[str]
    links: FrozenSet[str]
    loose: FrozenSet[str]
    nested: FrozenSet[str]
    by_git: bool
    complete: bool


def listed(root: str, *, hidden: bool = True, ignored: bool = False) -> Iterator[str]:
    """The paths of the files of a repository, from `root`, sorted; links are not followed.

    `hidden` are those with a dot before any part of their path, `ignored` those that ignore files
    leave out. What version control keeps for itself is never among them.
    """
    return iter(scan(root, hidden=hidden, ignored=ignored).paths)


def scan(
    root: str,
    *,
    hidden: bool = True,
    ignored: bool = False,
    most: int = FILES_MAX,
    seconds: float = SECONDS,
) -> Tree:
    """The same with what is known about the paths, at most `most` of them."""
    until = time.monotonic() + seconds
    names = _Names(hidden, most)
    if not ignored and names.by_git(root, "", until, NESTED_MAX):
        return names.tree(by_git=True)
    names = _Names(hidden, most)
    names.walk(root, ignored, until)
    return names.tree(by_git=False)


class _Names:
    """Paths while they are collected, up to a number."""

    def __init__(self, hidden: bool, most: int) -> None:
        self._hidden = hidden
        self._most = most
        self._seen: Dict[str, None] = {}
        self._links: Set[str] = set()
        self._loose: Set[str] = set()
        self._nested_ones: Set[str] = set()
        self._complete = True

    def tree(self, *, by_git: bool) -> Tree:
        paths = sorted(self._seen)
        loose, nested = frozenset(self._loose), frozenset(self._nested_ones)
        return Tree(paths, frozenset(self._links), loose, nested, by_git, self._complete)

    def walk(self, root: str, everything: bool, until: float) -> None:
        try:
            for found in walk(root, hidden=self._hidden, everything=everything, until=until):
                if not self._room():
                    return
                self._add(found.path, found.link, loose=True)
        except TimeoutError:
            self._complete = False

    def by_git(self, root: str, below: str, until: float, nested: int) -> bool:
        """Take what git says about the folder `below` the root; False when it says nothing."""
        answer = _ask_git(os.path.join(root, below), until)
        if answer is None:
            return False
        for tag, name in answer:
            path = below + name
            if not self._room():
                return True
            kind = self._kind(root, path)
            if kind == "folder":
                # A repository in the repository: its own git knows its files.
                inner = path.rstrip("/") + "/"
                if nested > 0 and not self._skipped(inner) and inner not in self._seen:
                    self._nested(root, inner, until, nested - 1)
            elif kind:
                self._add(path, kind == "link", loose=tag == "?")
                if below:
                    self._nested_ones.add(path)
        return True

    def _nested(self, root: str, inner: str, until: float, nested: int) -> None:
        if os.path.lexists(os.path.join(root, inner, ".git")):
            self.by_git(root, inner, until, nested)

    def _add(self, path: str, link: bool, *, loose: bool) -> None:
        self._seen[path] = None
        if link:
            self._links.add(path)
        if loose:
            self._loose.add(path)

    def _room(self) -> bool:
        if len(self._seen) < self._most:
            return True
        self._complete = False
        return False

    def _skipped(self, path: str) -> bool:
        if not self._hidden and (path.startswith(".") or "/." in path):
            return True
        return any(part in OWN_FOLDERS for part in path.split("/"))

    def _kind(self, root: str, path: str) -> str:
        if not self._hidden and (path.startswith(".") or "/." in path):
            return ""
        try:
            mode = os.lstat(os.path.join(root, path)).st_mode
        except OSError:
            return ""  # tracked, and deleted since
        if stat.S_ISREG(mode):
            return "file"
        if stat.S_ISLNK(mode):
            return "link"
        return "folder" if stat.S_ISDIR(mode) else ""


def _ask_git(folder: str, until: float) -> Optional[List[Tuple[str, str]]]:
    """What git lists in `folder`: a tag, `?` for what it does not track, and the path from there.

    None where git is not there, is no help, or takes too long.
    """
    if shutil.which("git") is None:
        return None
    command = [*GIT, "ls-files", "-z", "-t", "-c", "-o", "--exclude-standard"]
    done = listing(command, folder, git_environment(), until)
    if done is None or done.returncode:
        return None
    names = os.fsdecode(done.stdout).split("\0")
    return [(name[0], name[2:]) for name in names if name]


def listing(
    command: Sequence[Any], folder: str, environment: Dict[str, str], until: float
) -> Optional["subprocess.CompletedProcess[bytes]"]:
    """A program that lists something, once it has ended; None where it cannot or is too slow."""
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=max(0.1, until - time.monotonic()),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def git_environment() -> Dict[str, str]:
    """The environment without what would send git elsewhere than to the folder it starts in."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
