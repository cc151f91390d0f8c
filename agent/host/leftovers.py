"""What a process that was killed can leave on this machine: folders and processes of nobody."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.host.files import OURS, remove_tree, temporary_root
from agent.host.territory import SHARED

VAR = SHARED
PROC = Path("/proc")
_OCTAL = re.compile(r"\\([0-7]{3})")
_TEMPORARY = re.compile(r"glovebox-(?:[a-z]+-)?[a-z0-9_]{8}")
_ROOT = re.compile(r"[0-9a-f]{16}")
# A directory is made a moment before its lock is taken, and a root before its first sandbox.
_YOUNG_SECONDS = 60.0
_YOUNG_ROOT_SECONDS = 3600.0


def temporary_folders() -> tuple[Path, ...]:
    """Temporary directories of ours whose process is dead."""
    with os.scandir(temporary_root()) as entries:
        named = [Path(e.path) for e in entries if _TEMPORARY.fullmatch(e.name)]
    return tuple(path for path in sorted(named) if _taken(path, lambda: None))


def remove_temporary_folder(path: Path) -> bool:
    """Remove one of them; False when somebody lives in it after all."""
    return _taken(path, lambda: remove_tree(path))


def _taken(path: Path, then: Callable[[], None]) -> bool:
    """Do `then` while we hold the lock of a directory of ours; False when it is not to be had."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        young = time.time() - status.st_ctime < _YOUNG_SECONDS
        if status.st_uid != os.geteuid() or not status.st_mode & OURS or young:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        then()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def empty_roots(own: Path) -> tuple[Path, ...]:
    """Directories for root's sandboxes in which there is none; not `own`, which is in use."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        found = [p for p in sorted(VAR.iterdir()) if _ROOT.fullmatch(p.name) and p != own]
    return tuple(p for p in found if _is_old_and_empty(p))


def _is_old_and_empty(path: Path) -> bool:
    with contextlib.suppress(OSError):
        status = path.lstat()
        old = time.time() - status.st_mtime > _YOUNG_ROOT_SECONDS
        return old and stat.S_ISDIR(status.st_mode) and not any(path.iterdir())
    return False


def remove_empty(path: Path) -> bool:
    """Remove a directory if nothing is in it."""
    with contextlib.suppress(OSError):
        path.rmdir()
        return True
    return False


def inhabitants(root: Path) -> dict[str, list[int]]:
    """The processes in local sandboxes whose files are below `root`, by session."""
    place = _place_of(root)
    found: dict[str, list[int]] = {}
    for name in os.listdir(PROC):
        if name.isdigit() and (session := _session_of(name, place)):
            found.setdefault(session, []).append(int(name))
    return found


@dataclass(frozen=True, slots=True)
class _Mount:
    """What is mounted where: a file system, a directory told from its top, a place to see it at."""

    device: str
    top: str
    point: str


def _mounts(process: str) -> Iterator[_Mount]:
    text = (PROC / process / "mountinfo").read_text("utf-8", "surrogateescape")
    for line in text.splitlines():
        _, _, device, top, point, *_ = (_OCTAL.sub(_character, word) for word in line.split(" "))
        yield _Mount(device, top, point)


def _character(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 8))


def _place_of(root: Path) -> tuple[str, str]:
    """The file system `root` lies on, and its path from the top of that, as mounts are told.

    Another state directory can have the same name on a file system of its own, in a container too.
    """
    real = os.path.realpath(root)
    over = [m for m in _mounts("self") if f"{real}/".startswith(f"{m.point.rstrip('/')}/")]
    nearest = max(len(mount.point) for mount in over)
    mount = [one for one in over if len(one.point) == nearest][-1]  # it hides those before it
    below = os.path.relpath(real, mount.point)
    return mount.device, os.path.normpath(os.path.join(mount.top, below))


def _session_of(process: str, place: tuple[str, str]) -> str:
    """Which session's directories a process has mounted as its workspace; "" for none of ours."""
    device, top = place
    with contextlib.suppress(OSError):
        for mount in _mounts(process):
            folder, session = os.path.split(os.path.dirname(mount.top))
            ours = mount.device == device and folder == top and session.isalnum()
            if mount.point == "/workspace" and ours and os.path.basename(mount.top) == "work":
                return session
    return ""


def end(pid: int, session: str, root: Path) -> bool:
    """Kill a process of `session` for certain: looked at again once it can be no other."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if _session_of(str(pid), _place_of(root)) == session:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return True
        finally:
            os.close(handle)
    return False
