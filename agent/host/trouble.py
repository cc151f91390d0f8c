"""What this computer refuses: said with the place it is about, the cause and the next step."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path

from agent.core.errors import HostError

_NO_THREAD = "can't start new thread"
_OWNER = "see with `ls -ld` whose it is and who may write there, or name another place"
_NEXT = {
    errno.ENOSPC: "free some space there, then go on",
    errno.EDQUOT: "free some space there or have your quota raised, then go on",
    errno.EROFS: "make it writable, or name another place; `glovebox paths` lists ours",
    errno.EACCES: _OWNER,
    errno.EPERM: _OWNER,
    errno.EMFILE: "raise the limit of open files: `ulimit -n 4096`",
    errno.ENFILE: "end some programs: all of this computer's open files are in use",
    errno.EAGAIN: "end some programs, or raise the limit of processes: `ulimit -u`",
    errno.ENOMEM: "end some programs: the memory of this computer is used up",
    errno.EFBIG: "raise the limit of a file's size: `ulimit -f unlimited`",
    errno.EIO: "look after that disk: it fails",
    errno.ESTALE: "mount it again: the file system is gone",
    errno.ENOTDIR: "move away what is there and is no directory",
    errno.EISDIR: "move away the directory that is there",
    errno.ELOOP: "move away the link that is there",
    errno.ENAMETOOLONG: "name a shorter place",
}


def named(error: Exception, place: str | Path = "") -> HostError | None:
    """What is to be said of `error`, about `place`; None when it may be a mistake of ours."""
    if isinstance(error, HostError):
        return error
    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    elif isinstance(error, RuntimeError) and _NO_THREAD in str(error):  # all that Python says
        error = OSError(errno.EAGAIN, "no other thread can be started")
    if not isinstance(error, OSError) or error.errno not in _NEXT:
        return None
    place = place or error.filename or ""
    where = f"`{place}`: " if place else ""
    return HostError(error.errno, f"{where}{error.strerror}", _NEXT[error.errno])


@contextlib.contextmanager
def told(place: str | Path) -> Generator[None]:
    """Raise what this computer refuses within as `HostError`, which names `place`."""
    try:
        yield
    except OSError as error:
        refused = named(error, place)
        if refused is None or refused is error:
            raise
        raise refused from error
