"""Who made a sandbox: a random id per state directory, so that nobody clears away another's."""

from __future__ import annotations

import re
import secrets
import stat
from pathlib import Path

from agent.host import disk, files

_NAME = "owner"
_ID = re.compile(r"[0-9a-f]{16}")


def owner_id(state: Path) -> str:
    """The id of the state directory `state`, made at its first use."""
    place = state / _NAME
    if not files.exists(place):
        disk.write_once(place, secrets.token_hex(8).encode())
    found = files.read_text(place, limit=100).strip()
    if not _ID.fullmatch(found):
        # Nobody can own with it, and nothing may be removed because of it.
        files.remove_file(place)
        return owner_id(state)
    return found


def access(path: Path) -> tuple[int, int]:
    """The permission bits of `path`, links followed, and the user it belongs to."""
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid
