"""Changes of several files, made all or not at all.

First every new content is written beside its file; then each takes its place with one rename, so
that a reader finds the old file or the new one and never a half. When a rename fails, those before
it are undone. When this process is killed in between, some files are new and others old, until
the next change (or the next start) finds what it left, see `records`. Other programs that write
to the same files in these moments are noticed up to just before the rename. Power cuts are not
thought of.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import Any, Dict, List, Optional, Sequence

from agent.toolbox.changes.records import Record, identity, remove_folders, restored, unlinked

PREFIX = ".glovebox-"
NEW_MODE = 0o644


class Change:
    """What the file at `path` is to become. `before` is what it has: None when it is not there;
    `after` None takes it away. `mode` is for a file that is given one on purpose."""

    def __init__(
        self, path: str, before: Optional[bytes], after: Optional[bytes], mode: int = -1
    ) -> None:
        self.path = path
        self.before = before
        self.after = after
        self.mode = mode


class Interfered(Exception):
    """Somebody else changed the file at `path` in the last moment. Nothing was changed."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Failed(Exception):
    """The change of `path` is not possible. Nothing was changed."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(path)
        self.path = path
        self.error = error


class Torn(Exception):
    """A change failed, and so did undoing those before it: `paths` are as they were to be."""

    def __init__(self, paths: List[str]) -> None:
        super().__init__(paths)
        self.paths = paths


def swap(changes: Sequence[Change], workdir: str) -> None:
    """Make all `changes`, or none. Raises `Interfered`, `Failed`, `Torn`."""
    steps = [_Step(change, alone=len(changes) == 1) for change in changes]
    record = Record(workdir)
    try:
        record.write([step.record() for step in steps])
        for step in steps:
            step.attempt(step.stage)
        record.write([step.record() for step in steps])
        for step in steps:
            step.attempt(step.check)
        _make(steps)
        record.close()
    except Torn:
        record.release()
        raise
    except BaseException:
        _tidy(steps, record, undone=True)
        raise
    _tidy(steps, record, undone=False)


def _tidy(steps: List[_Step], record: Record, *, undone: bool) -> None:
    """Remove what was only there on the way. What cannot be now is left to the next change."""
    gone = [step.clear() for step in steps]
    if undone:
        for step in reversed(steps):
            step.forget_folders()
    if all(gone):
        record.remove()
    else:
        record.release()


def _make(steps: List[_Step]) -> None:
    made: List[_Step] = []
    try:
        for step in steps:
            made.append(step)
            step.attempt(step.make)
    except BaseException as error:
        left = [step.path for step in reversed(made) if not step.undo()]
        if left:
            raise Torn(left[::-1]) from error
        raise


class _Step:
    """One file: the new content beside it, and a second name for the old one until all is done."""

    def __init__(self, change: Change, *, alone: bool) -> None:
        name = os.path.join(os.path.dirname(change.path), PREFIX + secrets.token_hex(8))
        self.path = change.path
        self.folders = _missing(change)
        self._change = change
        self._alone = alone
        self._new = name + ".new" if change.after is not None else ""
        self._old = name + ".old"
        self._made: List[int] = []

    def record(self) -> Dict[str, Any]:
        return {
            "path": self.path,
            "new": self._new,
            "old": self._old,
            "created": self._change.before is None,
            "folders": self.folders,
            "made": self._made,
        }

    def attempt(self, action: Any) -> None:
        try:
            action()
        except OSError as error:
            raise Failed(self.path, error) from error

    def stage(self) -> None:
        """Write the new content beside the file, with the owner and the mode it is to have."""
        if self._change.after is None:
            return
        for folder in self.folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._new, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._change.after)
            file.flush()
            status = self._status()
            if status is not None:
                with contextlib.suppress(OSError):
                    os.fchown(descriptor, status.st_uid, status.st_gid)
            old_mode = NEW_MODE if status is None else stat.S_IMODE(status.st_mode)
            os.fchmod(descriptor, old_mode if self._change.mode < 0 else self._change.mode)
        self._made = identity(os.stat(self._new))

    def check(self) -> None:
        """The file is still what it was when the change was thought out."""
        before, status = self._change.before, self._status()
        if before is None:
            same = not os.path.lexists(self.path)
        elif self._change.after is None and status is not None and stat.S_ISLNK(status.st_mode):
            same = os.fsencode(os.readlink(self.path)) == before
        else:
            same = status is not None and stat.S_ISREG(status.st_mode) and self._holds(before)
        if not same:
            raise Interfered(self.path)

    def make(self) -> None:
        if self._change.after is None:
            os.rename(self.path, self._old)
        elif self._change.before is None:
            self._create()
        else:
            if not self._alone:
                self._keep()
            os.replace(self._new, self.path)

    def undo(self) -> bool:
        """As it was before `make`, which may have done its work or not; whether that worked."""
        return restored(self.record())

    def clear(self) -> bool:
        """Remove what was only there on the way; whether it is gone."""
        gone = [unlinked(name) for name in (self._new, self._old)]
        return all(gone)

    def forget_folders(self) -> None:
        """Remove the directories made for the file, as far as they are empty."""
        remove_folders(self.folders)

    def _status(self) -> Optional[os.stat_result]:
        try:
            return os.lstat(self.path)
        except FileNotFoundError:
            return None

    def _holds(self, before: bytes) -> bool:
        with open(self.path, "rb") as file:
            return file.read(len(before) + 1) == before

    def _create(self) -> None:
        # A link does not replace what somebody made there in the meantime; a rename would.
        try:
            os.link(self._new, self.path)
        except FileExistsError:
            raise Interfered(self.path) from None
        except OSError:
            if os.path.lexists(self.path):
                raise Interfered(self.path) from None
            os.rename(self._new, self.path)
            return
        os.unlink(self._new)

    def _keep(self) -> None:
        try:
            os.link(self.path, self._old)
        except OSError:
            # No second names on this file system, or not for files of others: a copy then.
            status = os.stat(self.path)
            with open(self._old, "xb") as file:
                file.write(self._change.before or b"")
            os.chmod(self._old, stat.S_IMODE(status.st_mode))


def _missing(change: Change) -> List[str]:
    """The directories that the file needs and that are not there, outermost first."""
    missing: List[str] = []
    folder = os.path.dirname(change.path)
    while change.after is not None and not os.path.lexists(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    return missing[::-1]
