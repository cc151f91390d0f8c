"""Which objects a bundle really brought, and whether it names others that it may name.

In quarantine git sees all of the user's objects. A bundle that names one by its id, a commit of a
branch that was never sent or a file that was amended away, would bring it onto the mirror branch
and from there into the next sandbox. So whatever is new must be in the bundle's own pack, or in
what had been sent before.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agent.core.errors import SyncError
from agent.core.limits import IMPORT_OBJECTS_MAX, IMPORT_SECONDS
from agent.git.guard import Git
from agent.host import disk, files

_MAGIC = b"\xfftOc\0\0\0\x02"
_NAMES = len(_MAGIC) + 256 * 4
_ID = 20
_SENT_MAX = 10_000_000  # objects of the user's history
_FEW = 100


async def check_brought(git: Git, listed: bytes, since: str, hint: str) -> None:
    """Raise `SyncError` for an id in `listed` (one a line) that is neither here nor in `since`."""
    own = packed(git.git_dir / "objects" / "pack")
    foreign = {
        line for line in listed.split(b"\n") if line and bytes.fromhex(line.decode()) not in own
    }
    if not foreign:
        return
    sent = await git.run(
        *("rev-list", "--objects", "--no-object-names", since),
        seconds=IMPORT_SECONDS,
        limit=(2 * _ID + 1) * _SENT_MAX,
    )
    few = len(foreign) < _FEW
    known = sent.stdout if few else frozenset(sent.stdout.split(b"\n"))
    if lost := next((oid for oid in sorted(foreign) if oid not in known), None):
        raise SyncError(f"the bundle names {lost.decode()}, which was never sent inside", hint)


def packed(place: Path) -> frozenset[bytes]:
    """The ids, 20 bytes each, of all objects in the packs of a directory."""
    indexes = (place / name for name in disk.names_in(place) if name.endswith(".idx"))
    return frozenset(oid for index in indexes for oid in _ids(index))


def _ids(index: Path) -> Iterable[bytes]:
    data = files.read_bytes(index, limit=64 * IMPORT_OBJECTS_MAX)
    if not data.startswith(_MAGIC):
        raise SyncError(f"`{index.name}` is no pack index of version 2", "sync again")
    count = int.from_bytes(data[_NAMES - 4 : _NAMES], "big")
    names = data[_NAMES : _NAMES + count * _ID]
    return (names[at : at + _ID] for at in range(0, len(names), _ID))
