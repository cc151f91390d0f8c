"""Directories of root's home, for the users that root's sandboxes run as.

They may not pass through `/root`, and should not. What starts them gets a mount namespace of its
own, in which the directories that are meant for them are bound, read-only, at a place where they
may pass. Nothing of it shows on the machine, and it ends with this process.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.host import launch, territory

PLACE = Path("/var/lib/glovebox/toolchains")
_NEWNS = 0x20000
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _SLAVE = 1, 2, 4, 32, 4096, 16384, 1 << 19

_libc = ctypes.CDLL(None, use_errno=True)
_bound: dict[Path, Path] = {}


async def reach(paths: Iterable[Path]) -> Mapping[Path, Path]:
    """For each of `paths` where a program finds it that `launch` starts as another user.

    Raises OSError where this process may not make mounts.
    """
    wanted = tuple(paths)
    return await launch.in_launcher(lambda: {path: _bind(path) for path in wanted})


def _bind(path: Path) -> Path:
    if path in _bound:
        return _bound[path]
    if not _bound:
        _begin()
    target = PLACE / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    if path.is_dir():
        target.mkdir(0o711, exist_ok=True)
    else:
        target.touch(0o600)
    _mount(os.fsencode(path), target, _BIND)
    _mount(None, target, _BIND | _REMOUNT | _RDONLY | _NOSUID | _NODEV)
    _bound[path] = target
    return target


def _begin() -> None:
    territory.make_passable(PLACE)
    if _libc.unshare(_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace of its own for the launcher")
    # Mounts of the machine go on to appear in it; those made in it appear nowhere else.
    _mount(None, Path("/"), _REC | _SLAVE)
    _mount(b"tmpfs", PLACE, _NOSUID | _NODEV, b"tmpfs", b"mode=0711,size=1m")


def _mount(
    source: bytes | None, target: Path, flags: int, kind: bytes | None = None, more: bytes = b""
) -> None:
    if _libc.mount(source, os.fsencode(target), kind, ctypes.c_ulong(flags), more or None):
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}: mounting at `{target}`")
