"""Paths as the model writes them, and the one way in which files are replaced."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from typing import IO, Any, Dict

Answer = Dict[str, Any]

NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_THERE = {errno.ENOENT, errno.ENOTDIR}


def absolute(path: str, workdir: str) -> str:
    """`path` as an absolute, lexically normalised path; `~/` is the home inside."""
    home = path if "\0" in path else os.path.expanduser(path)  # which takes no such path
    return os.path.normpath(os.path.join(workdir, home))


def refusal(path: str, reason: str, **more: Any) -> Answer:
    """The answer to a request that cannot be done as asked."""
    return dict({"ok": False, "reason": reason, "path": path}, **more)


def refused(path: str, error: OSError) -> Answer:
    """A failed system call as a refusal."""
    if error.errno in NO_SPACE:
        return refusal(path, "no_space", why=error.strerror)
    if error.errno == errno.EISDIR:
        return refusal(path, "directory")
    return refusal(path, "denied", why=error.strerror)


def kind_of(mode: int) -> str:
    """A word for a file that is neither regular nor a directory."""
    names = ((stat.S_ISFIFO, "fifo"), (stat.S_ISSOCK, "socket"), (stat.S_ISBLK, "device"))
    return next((name for test, name in names if test(mode)), "device")


def possible(path: str) -> str:
    """`path`; raises OSError for one that no file has: with a NUL, or with half a character."""
    try:
        if b"\0" not in os.fsencode(path):
            return path
    except UnicodeEncodeError:
        pass
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def stat_of(path: str) -> Any:
    """The status of what `path` leads to, or None when there is nothing."""
    try:
        return os.stat(path)
    except ValueError:
        return None
    except OSError as error:
        if error.errno in NOT_THERE:
            return None
        raise


class Replacement:
    """A new content for a file, complete before anybody sees it.

    Links are followed to the file they lead to, directories on the way made, the mode of a file
    that exists kept. Until `commit` nothing has changed; `discard` leaves nothing behind.
    """

    def __init__(self, path: str) -> None:
        self._target = os.path.realpath(possible(path))
        folder = os.path.dirname(self._target)
        os.makedirs(folder, exist_ok=True)
        descriptor, self._temporary = tempfile.mkstemp(prefix=".glovebox-", dir=folder)
        self.file: IO[bytes] = os.fdopen(descriptor, "wb")

    def commit(self, mode: int = -1) -> None:
        """Put the new content in place; `mode` is for a file given one on purpose."""
        self.file.close()
        os.chmod(self._temporary, self._mode() if mode < 0 else mode)
        os.replace(self._temporary, self._target)

    def discard(self) -> None:
        """Forget it."""
        with contextlib.suppress(OSError):
            self.file.close()
        with contextlib.suppress(OSError):
            os.unlink(self._temporary)

    def _mode(self) -> int:
        try:
            return stat.S_IMODE(os.stat(self._target).st_mode)
        except FileNotFoundError:
            return 0o644


def replace(path: str, data: bytes) -> None:
    """Make `data` the content of the file at `path`, whole or not at all. Raises OSError."""
    replacement = Replacement(path)
    try:
        replacement.file.write(data)
        replacement.commit()
    except BaseException:
        replacement.discard()
        raise
