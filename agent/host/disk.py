"""Small truths about files, for rooms that may not look themselves: kind, size, exact copies."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.core.errors import UserError
from agent.host.files import written_beside
from agent.host.trouble import told

Kind = Literal["file", "link", "dir", "other", "absent"]
PIECE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """What lies at a path, links not followed. `readable` asks for this process."""

    kind: Kind
    size: int = 0
    readable: bool = True


def look(root: Path, name: bytes) -> Found:
    """What lies at `name` (bytes as the file system has them) below `root`."""
    path = os.path.join(os.fsencode(root), name)
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return Found("absent")
    if stat.S_ISLNK(found.st_mode):
        return Found("link", found.st_size)
    if stat.S_ISDIR(found.st_mode):
        return Found("dir")
    if stat.S_ISREG(found.st_mode):
        return Found("file", found.st_size, os.access(path, os.R_OK))
    return Found("other")


def is_dir(path: Path) -> bool:
    """Whether `path` is a directory, links followed."""
    return path.is_dir()


def names_in(path: Path) -> tuple[str, ...]:
    """The names in a directory, sorted; none when there is no such directory."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return tuple(sorted(os.listdir(path)))
    return ()


def copy_exactly(source: Path, target: Path) -> bool:
    """Copy a file with its time stamps to the nanosecond; False when there is none.

    Content and times are those of one moment, also when somebody replaces `source` meanwhile.
    """
    try:
        with told(target), open(source, "rb") as old, open(target, "wb") as new:
            shutil.copyfileobj(old, new)
            new.flush()
            times = os.fstat(old.fileno())
            os.utime(new.fileno(), ns=(times.st_atime_ns, times.st_mtime_ns))
    except FileNotFoundError:
        return False
    return True


def copy_regular(source: Path, target: Path, limit: int) -> None:
    """Copy a regular file of at most `limit` bytes, never a link, a pipe or a device.

    Raises `UserError` naming the path and the reason.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise UserError(f"cannot read `{source}`: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as old, open(target, "wb") as new:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"`{source}` is not a regular file")
        left = limit
        while piece := old.read(min(PIECE_BYTES, left + 1)):
            left -= len(piece)
            if left < 0:
                raise UserError(f"`{source}` is larger than {limit} bytes")
            new.write(piece)


def pieces(path: Path) -> Iterator[bytes]:
    """The content of a file, a megabyte at a time."""
    with open(path, "rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def head(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file."""
    with open(path, "rb") as file:
        return file.read(limit)


@contextlib.contextmanager
def reading(path: Path, offset: int = 0) -> Generator[int]:
    """A descriptor for reading that stands at `offset`; closed afterwards."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.lseek(descriptor, offset, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def write_once(path: Path, data: bytes) -> bool:
    """Make `path` with `data` unless it exists; True for the one process that made it.

    Whoever finds it finds all of it.
    """
    try:
        with written_beside(path, data) as temporary:
            os.link(temporary, path)
    except FileExistsError:
        return False
    return True
