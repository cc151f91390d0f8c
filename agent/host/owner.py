"""Who made a sandbox, and whether they still live: so that nobody clears away another's."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Generator
from pathlib import Path

from agent.host import disk, files
from agent.host.env import state_dir

_NAME = "owner"
_ID = re.compile(r"[0-9a-f]{16}")


def owner_id(state: Path) -> str:
    """The id of the state directory `state` on this machine, random and made at its first use.

    Several machines may share a home; what one of them has made is not for the others to judge.
    """
    return f"{_state_id(state)}{_machine_id()}"


def _machine_id() -> str:
    try:
        told = Path("/etc/machine-id").read_bytes().strip()
    except OSError:
        told = b""
    return hashlib.sha256(told or os.uname().nodename.encode()).hexdigest()[:8]


def _state_id(state: Path) -> str:
    place = state / _NAME
    if not files.exists(place):
        disk.write_once(place, secrets.token_hex(8).encode())
    found = files.read_text(place, limit=100).strip()
    if not _ID.fullmatch(found):
        # Nobody can own with it, and nothing may be removed because of it.
        files.remove_file(place)
        return _state_id(state)
    return found


def access(path: Path) -> tuple[int, int]:
    """The permission bits of `path`, links followed, and the user it belongs to."""
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid


def _claims(state: Path | None) -> Path:
    return (state or state_dir()) / "claims"


@contextlib.contextmanager
def claim(session: str, state: Path | None = None) -> Generator[None]:
    """Say that this process uses a sandbox that belongs to no session (a trial, a self-test).

    It is said in the state directory, the user's own or another `state`, where a reaper looks.
    """
    lock = files.FileLock(_claims(state) / f"{session}.lock")
    with contextlib.suppress(OSError):  # a state directory that cannot be written is told elsewhere
        lock.acquire()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            files.remove_file(_claims(state) / f"{session}.lock")
        lock.release()


def claimed() -> tuple[str, ...]:
    """What living processes have claimed; claims of dead ones are forgotten."""
    found: list[str] = []
    for path in files.children(_claims(None)):
        lock = files.FileLock(path)
        if lock.acquire():
            files.remove_file(path)
            lock.release()
        else:
            found.append(path.stem)
    return tuple(found)
