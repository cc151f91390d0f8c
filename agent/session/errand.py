"""What a session was made to do on its own, kept beside its journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from agent.core.errors import UserError
from agent.host import files

FILE, LOG, LOCK = "errand.json", "host.log", "host.lock"
_MAX_BYTES = 4_000_000

Outlook = Literal["", "begins", "lost"]
"""Nothing is asked of it, or no more; who is to do it lives; who was to do it has ended."""


class Errand(msgspec.Struct, frozen=True):
    """`host` is the folder with the lock and the log of the process that is to do it.

    `settings` are the front end's, as data.
    """

    directory: str
    text: str
    host: str
    settings: dict[str, Any]

    def keep(self, folder: Path) -> None:
        """Leave it for the process that is to do it."""
        files.write_whole(folder / FILE, msgspec.json.encode(self))

    @property
    def log(self) -> Path:
        """Where that process prints what went wrong with it."""
        return Path(self.host) / LOG


def read(folder: Path) -> Errand | None:
    """The errand of the session in `folder`; None when it has none. Raises `UserError`."""
    try:
        data = files.read_bytes(folder / FILE, limit=_MAX_BYTES)
    except UserError:
        if files.exists(folder / FILE):
            raise
        return None
    try:
        return msgspec.json.decode(data, type=Errand)
    except msgspec.MsgspecError as error:
        raise UserError(f"`{folder / FILE}` is damaged: {error}") from error


def done(folder: Path) -> None:
    """Take the errand of the session in `folder` away: who was to do it has let go of it."""
    files.remove_file(folder / FILE)


def lock_of(host: Path) -> files.FileLock:
    """What the process that does the errands holds as long as it lives."""
    return files.FileLock(host / LOCK)


def outlook(errand: Errand | None) -> Outlook:
    """Whether somebody lives who will begin it, or is at it."""
    if errand is None:
        return ""
    return "begins" if lock_of(Path(errand.host)).held else "lost"
