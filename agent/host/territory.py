"""Directories that belong to one sandbox: made here, owned by its user, never followed blindly."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from agent.core.errors import UserError

PASSABLE = 0o711
OWNED = 0o700
SHARED = Path("/var/lib/glovebox")


def make_passable(path: Path) -> None:
    """Create `path` so that others may pass through it but not list it; parents likewise.

    A `path` of ours that is there and closed, because another backend made it, is opened that far.
    """
    for folder in (*reversed(path.parents), path):
        if not folder.is_dir():
            folder.mkdir(PASSABLE, exist_ok=True)
            # The mode given to mkdir is cut by the umask.
            folder.chmod(PASSABLE)
    for folder in (path.parent, path) if path.parent == SHARED else (path,):
        status = folder.stat()
        if status.st_uid == os.geteuid() and status.st_mode & PASSABLE != PASSABLE:
            folder.chmod(stat.S_IMODE(status.st_mode) | PASSABLE)


def share(path: Path) -> None:
    """Let everybody write to `path`, which lies where only whom we show it to can get at it."""
    path.chmod(0o666)


def claim(path: Path, names: Sequence[str], owner: int) -> bool:
    """Create `path` with the directories `names` in it owned by `owner`; False if it exists."""
    try:
        path.mkdir(PASSABLE)
    except FileExistsError:
        return False
    path.chmod(PASSABLE)
    for name in names:
        (path / name).mkdir(OWNED)
        if owner != os.geteuid():
            os.chown(path / name, owner, owner)
    return True


def check(path: Path, names: Sequence[str], owner: int) -> bool:
    """Whether `path` and its directories are there and are what `claim` made.

    False when something is missing. Raises `UserError` for a link, another owner or a file in
    their place: nobody we know did that, so nothing is built on it.
    """
    expected = [(path, os.geteuid()), *((path / name, owner) for name in names)]
    for folder, user in expected:
        try:
            status = os.lstat(folder)
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != user:
            raise UserError(
                f"`{folder}` is not the directory that was made for this sandbox",
                "look at who changed it; remove it to give the sandbox up",
            )
    return True


def add(path: Path, owner: int) -> None:
    """Make the directory `path` for `owner` in a place that `claim` made, unless it is there.

    Raises `UserError` as `check` does.
    """
    try:
        path.mkdir(OWNED)
        if owner != os.geteuid():
            os.chown(path, owner, owner)
    except FileExistsError:
        check(path.parent, (path.name,), owner)
