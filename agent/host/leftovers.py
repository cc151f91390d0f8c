"""What a process that was killed can leave on this machine: folders and processes of nobody."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

from agent.host.files import OURS, remove_tree, temporary_root
from agent.host.territory import SHARED

VAR = SHARED
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
    found: dict[str, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (session := _session_of(int(name), root)):
            found.setdefault(session, []).append(int(name))
    return found


def _session_of(pid: int, root: Path) -> str:
    """Which session's directories a process has mounted as its workspace; "" for none."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/mountinfo").read_text("utf-8", "replace").splitlines():
            words = line.split()
            # The path is told from the top of its own file system, so it is an end of ours.
            inner = re.fullmatch(r"(/.*)?/([a-z0-9]+)/work", words[3])
            if (
                words[4] == "/workspace"
                and inner
                and str(root / inner[2] / "work").endswith(words[3])
            ):
                return inner[2]
    return ""


def end(pid: int, session: str, root: Path) -> bool:
    """Kill a process of `session` for certain: looked at again once it can be no other."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if _session_of(pid, root) == session:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return True
        finally:
            os.close(handle)
    return False
