"""Files written into a new folder by names that somebody else chose.

Every step goes down from the folder's own descriptor and follows no link, so whatever the names
say, nothing is written outside of it, and nothing that is there is replaced.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from agent.core.errors import UserError

_DOWN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def claim(folder: Path) -> bool:
    """Make `folder` with its parents; False when something is in it or it is no folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return not os.listdir(folder)
    except (FileExistsError, NotADirectoryError):
        return False
    except OSError as error:
        raise UserError(f"cannot make `{folder}`: {error.strerror}") from error


def write_new(folder: Path, name: bytes, data: bytes, mode: int) -> None:
    """Write a file that does not exist below `folder`. Raises `UserError` when it cannot be."""
    with _placed(folder, name) as (parent, last):
        descriptor = os.open(last, _NEW, mode, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


def link_new(folder: Path, name: bytes, target: bytes) -> None:
    """Make a symbolic link that does not exist below `folder`."""
    with _placed(folder, name) as (parent, last):
        os.symlink(target, last, dir_fd=parent)


@contextlib.contextmanager
def _placed(folder: Path, name: bytes) -> Generator[tuple[int, bytes]]:
    """The directory that `name` lies in, made as needed, and the last part of the name."""
    *places, last = name.split(b"/")
    if {b"", b".", b".."} & {*places, last}:
        raise UserError(f"`{name!r}` cannot be the name of a file")
    here = os.open(folder, _DOWN)
    try:
        for place in places:
            with contextlib.suppress(FileExistsError):
                os.mkdir(place, dir_fd=here)
            below = os.open(place, _DOWN, dir_fd=here)
            os.close(here)
            here = below
        yield here, last
    except OSError as error:
        raise UserError(f"cannot write `{name!r}`: {error.strerror}") from error
    finally:
        os.close(here)
