"""What the directories of a sandbox take of the disk, and an end to the programs that fill it.

Everything in those directories is hostile: nothing is opened but directories, links are never
followed, and a walk ends when it has seen enough.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 512
PATIENCE_SECONDS, PASS_SECONDS = 15.0, 0.01


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes on disk and directory entries; `deep` when there is more below than can be named."""

    bytes: int
    files: int
    deep: bool = False


@dataclass(frozen=True, slots=True)
class Free:
    """What a file system has left."""

    bytes: int
    files: int


def free(place: Path) -> Free:
    """What the file system of `place` has left; one system call."""
    status = os.statvfs(place)
    return Free(status.f_bavail * status.f_frsize, status.f_favail)


def measure(folders: Sequence[Path], *, bytes_max: int, files_max: int) -> Usage:
    """What lies in `folders`; stops counting soon after either number is exceeded.

    A directory that we may not read is not counted.
    """
    size = count = 0
    deep = False
    for folder in folders:
        try:
            top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            waiting = ["."]
            while waiting and size <= bytes_max and count <= files_max:
                here = waiting.pop()
                names, entries, taken, lost = _look(top, here)
                waiting += names
                count += entries
                size += taken
                deep = deep or lost
        finally:
            os.close(top)
    return Usage(size, count, deep)


def _look(top: int, here: str) -> tuple[list[str], int, int, bool]:
    """One directory: those in it, how many entries, their bytes, whether its name is too long."""
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(here, flags, dir_fd=top)
    except OSError as error:
        return [], 0, 0, error.errno == errno.ENAMETOOLONG
    names: list[str] = []
    count = size = 0
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                count += 1
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    # A file with many names is taken by each in part.
                    size += status.st_blocks * BLOCK_BYTES // max(1, _links(entry, status))
                    if entry.is_dir(follow_symlinks=False):
                        names.append(f"{here}/{entry.name}")
    finally:
        os.close(descriptor)
    return names, count, size, False


def _links(entry: os.DirEntry[str], status: os.stat_result) -> int:
    return 1 if entry.is_dir(follow_symlinks=False) else status.st_nlink


def end_programs(first: int) -> bool:
    """Kill what runs in the process namespace whose number 1 is `first`, but not 1 and 2.

    These two are bubblewrap and the toolbox. False when something in there is still running.
    """
    namespace = _namespace(first)
    if not namespace:
        return True
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        ended = [_end(int(n), namespace) for n in os.listdir("/proc") if n.isdigit()]
        if not any(ended):
            return True
        time.sleep(PASS_SECONDS)  # what was killed must be scheduled once more to die
    return False


def end_marked(words: Sequence[str]) -> None:
    """Kill orphans whose command line ends in `words`: what a killed start left waiting.

    A process that still has its parent is somebody's, perhaps a session of the same name elsewhere.
    """
    sign = b"\0".join(os.fsencode(word) for word in ("", *words, ""))
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and _command(name).endswith(sign) and _orphaned(name):
                held = os.pidfd_open(int(name))
                try:
                    if _command(name).endswith(sign):
                        signal.pidfd_send_signal(held, signal.SIGKILL)
                finally:
                    os.close(held)


def _orphaned(pid: str) -> bool:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[1] == "1"


def _command(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _end(pid: int, namespace: str) -> bool:
    """Kill `pid` if it is one of those; whether it was and is not a corpse yet."""
    if _namespace(pid) != namespace:
        return False
    try:
        held = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        state, inner = _status(pid)
        # Looked at again: the number may have gone to somebody else before we held it.
        if _namespace(pid) != namespace or inner in (1, 2) or state == "Z":
            return False
        signal.pidfd_send_signal(held, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(held)
    return True


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _status(pid: int) -> tuple[str, int]:
    """The state of a process, and its number in the innermost namespace it is in."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    except OSError:
        return "Z", 0
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return lines["State"].split()[0], int(lines["NSpid"].split()[-1])
