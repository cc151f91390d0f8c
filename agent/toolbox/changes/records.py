"""What a change of files has under way, for whoever comes after us if we are killed.

A record is written before the first step and closed after the last, and locked while its writer
lives. One that is there and not locked is of a dead writer: an open one is undone, a closed one
only tidied up after.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from typing import Any, Dict, List, Sequence

from agent.toolbox.files import transfer

PLACE = "/tmp/.glovebox-changes"
CLOSED = "closed"

Step = Dict[str, Any]
"""One file: `path`; `new` and `old`, the names of what is only there on the way; `created`; the
`identity` of the new content once it is `made`; `folders` to be made for it."""


def restored(step: Step) -> bool:
    """Put back what one recorded step replaced, made or took away; whether it is as before.

    What somebody else has put there since stays.
    """
    path, old = step["path"], step["old"]
    try:
        found = os.lstat(path)
        ours = identity(found) == step["made"]
    except OSError:
        found, ours = None, False
    try:
        if step["created"]:
            if ours:
                os.unlink(path)
        elif os.path.lexists(old) and (ours or (found is None and not step["new"])):
            os.replace(old, path)
    except OSError:
        return False
    return True


def identity(status: os.stat_result) -> List[int]:
    """By which a file is known to be the one that was made, and not written to since."""
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]


def unlinked(name: str) -> bool:
    """Whether nothing is at `name` any more."""
    try:
        if name:
            os.unlink(name)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True


def remove_folders(folders: Sequence[str]) -> None:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


class Record:
    """What is under way, for whoever comes after us if we are killed. Locked while we live."""

    def __init__(self, workdir: str) -> None:
        self._path = os.path.join(folder_of(workdir), secrets.token_hex(8))
        self._descriptor = -1
        # Without a place for it the change is made all the same, with one promise less.
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def write(self, steps: List[Step]) -> None:
        """Note the steps: of several times the last one counts."""
        self._append(steps)

    def close(self) -> None:
        """All is done; only second names are left to clear away."""
        self._append(CLOSED)

    def _append(self, what: Any) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, json.dumps(what).encode("ascii") + b"\n")

    def remove(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            _leave(os.path.dirname(self._path))
        self.release()

    def release(self) -> None:
        """Let go of the record; whoever comes next may take it up."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def folder_of(workdir: str) -> str:
    """Where the records of changes in `workdir` are."""
    name = hashlib.sha256(os.fsencode(workdir)).hexdigest()[:16]
    return "%s-%d/%s" % (PLACE, os.getuid(), name)


def _leave(folder: str) -> None:
    """Remove the directory of records when it is empty. The one above is for others too."""
    remove_folders([folder])


def recover(workdir: str) -> None:
    """Undo what somebody who was killed left half done. Nobody else may be changing files."""
    folder = folder_of(workdir)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError), os.fdopen(transfer.open_regular(path), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                done = _recovered(file.read())
            except (AttributeError, ValueError, KeyError, TypeError):
                done = True  # not ours
            if done:
                os.unlink(path)
    _leave(folder)


def _recovered(data: bytes) -> bool:
    """Undo what `data` records, or tidy up after what was done; whether nothing is left to do."""
    lines = [json.loads(line.decode("ascii")) for line in data.split(b"\n")[:-1]]
    closed = lines[-1:] == [CLOSED]
    noted: List[List[Step]] = [[], *lines[: -1 if closed else None]]
    steps = noted[-1][::-1]
    if not closed and not all(list(map(restored, steps))):
        return False
    gone = [unlinked(name) for step in steps for name in (step["new"], step["old"])]
    for step in [] if closed else steps:
        remove_folders(step["folders"])
    return all(gone)
