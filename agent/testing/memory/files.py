"""The files of a machine in memory: a dictionary from absolute path to what is there."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

WORKDIR = "/workspace"
HOME = "/home/agent"
PROGRAMS = "/usr/bin"
NATIVE = b"\x7fMEM"
"""Starts a file that is a program of this machine; the program's name follows."""

_OWN = (WORKDIR, HOME, "/tmp", "/var/tmp", "/dev/shm")
_SYSTEM = ("/", "/dev", "/etc", "/home", "/proc", "/usr", PROGRAMS, "/var")
_LINKS_MAX = 40
_WORDS = {
    errno.EACCES: "Permission denied",
    errno.EEXIST: "File exists",
    errno.EINVAL: "Not a regular file",
    errno.EISDIR: "Is a directory",
    errno.ELOOP: "Too many levels of symbolic links",
    errno.ENOENT: "No such file or directory",
    errno.ENOTDIR: "Not a directory",
    errno.EROFS: "Read-only file system",
}

Kind = Literal["file", "folder", "link", "fifo", "device"]


@dataclass(slots=True)
class Node:
    """What is at a path: `data` is a file's content or where a link leads, `hole` how many zeros
    follow the content without taking room."""

    kind: Kind
    mode: int = 0o644
    data: bytes = b""
    hole: int = 0

    @property
    def size(self) -> int:
        return len(self.data) + self.hole


class Files:
    """Every method takes absolute paths and raises OSError as a kernel would."""

    def __init__(self, programs: Iterable[str]) -> None:
        self._nodes = {path: Node("folder", 0o755) for path in (*_SYSTEM, *_OWN)}
        self._nodes["/bin"] = Node("link", data=PROGRAMS.encode())
        self._nodes["/dev/zero"] = Node("device")
        for name in programs:
            self._nodes[f"{PROGRAMS}/{name}"] = Node("file", 0o755, NATIVE + name.encode())

    # Looking.

    def resolve(self, path: str, *, follow: bool = True) -> str:
        """`path` without links. What it names may be absent, what that is in may not."""
        at, left, links = "/", path.split("/"), 0
        while left:
            part = left.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                at = posixpath.dirname(at)
                continue
            self._enter(at)
            here = posixpath.join(at, part)
            node = self._nodes.get(here)
            if node is None or node.kind != "link" or not (left or follow):
                at = here
                continue
            links += 1
            if links > _LINKS_MAX:
                raise _error(errno.ELOOP, path)
            target = node.data.decode()
            left = target.split("/") + left
            at = "/" if target.startswith("/") else at
        return at

    def _enter(self, folder: str) -> None:
        node = self._at(folder)
        if node.kind != "folder":
            raise _error(errno.ENOTDIR, folder)
        if not node.mode & 0o100:
            raise _error(errno.EACCES, folder)

    def _at(self, path: str) -> Node:
        if path not in self._nodes:
            raise _error(errno.ENOENT, path)
        return self._nodes[path]

    def node(self, path: str) -> Node:
        """What is at `path`, links followed."""
        return self._at(self.resolve(path))

    def folder(self, path: str) -> str:
        """`path` without links, which must be a folder that can be entered."""
        at = self.resolve(path)
        self._enter(at)
        return at

    def read(self, path: str, limit: int | None = None) -> bytes:
        """A regular file of at most `limit` bytes."""
        node = self.node(path)
        if node.kind != "file":
            raise _error(errno.EISDIR if node.kind == "folder" else errno.EINVAL, path)
        if not node.mode & 0o400:
            raise _error(errno.EACCES, path)
        if limit is not None and node.size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes", path)
        return node.data + bytes(node.hole)

    def names(self, path: str) -> list[str]:
        """What is in a folder."""
        folder = self.folder(path)
        return sorted(posixpath.basename(p) for p in self._nodes if _parent(p) == folder)

    # Changing.

    def write(self, path: str, data: bytes, mode: int | None = None) -> None:
        """Make a regular file or replace what is in one; without `mode` its own stays."""
        at = self.resolve(path)
        old = self._nodes.get(at, Node("file"))
        if old.kind != "file":
            raise _error(errno.EISDIR if old.kind == "folder" else errno.EINVAL, path)
        self._own(at)
        self._enter(posixpath.dirname(at))
        self._nodes[at] = Node("file", old.mode if mode is None else mode, data)

    def make(self, path: str, node: Node) -> None:
        """Make anything where nothing is yet."""
        at = self.resolve(path, follow=False)
        if at in self._nodes:
            raise _error(errno.EEXIST, path)
        self._own(at)
        self._enter(posixpath.dirname(at))
        self._nodes[at] = node

    def make_folders(self, path: str) -> None:
        """Make a folder with those it is in, as far as they are not there."""
        at = "/"
        for part in path.strip("/").split("/"):
            at = self.resolve(posixpath.join(at, part))
            if at not in self._nodes:
                self.make(at, Node("folder", 0o755))
        self._enter(at)

    def set_mode(self, path: str, mode: int) -> None:
        at = self.resolve(path)
        self._own(at)
        self._at(at).mode = mode

    def remove(self, path: str) -> None:
        """Remove what is there, with everything in it; nothing there is fine."""
        at = self.resolve(path, follow=False)
        self._own(at)
        for below in [p for p in self._nodes if p == at or p.startswith(at + "/")]:
            del self._nodes[below]

    def _own(self, path: str) -> None:
        if not any(path == own or path.startswith(own + "/") for own in _OWN):
            raise _error(errno.EROFS, path)


def _parent(path: str) -> str:
    return "" if path == "/" else posixpath.dirname(path)


def _error(number: int, path: str) -> OSError:
    return OSError(number, _WORDS[number], path)
