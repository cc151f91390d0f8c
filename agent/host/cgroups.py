"""Control groups: what the kernel lets one sandbox use of memory, processes and processor time.

Both kinds are used, as root or where a part of the tree has been handed to this user: version 1
below the group we are in, version 2 beside us or above, where the controllers are switched on.
Where nothing may be made there is an empty group that enforces nothing and says so.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PREFIX = "glovebox-"
CONTROLLERS = {"memory": "memory_bytes", "pids": "processes", "cpu": "cpus"}
PERIOD_MICROSECONDS = 100_000
SHARES, WEIGHT = 512, 50  # half of what everybody else gets when both want the processor
REMOVE_TRIES, REMOVE_SECONDS = 100, 0.02
_NAME = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one group may use; 0 is no limit of its own."""

    memory_bytes: int = 0
    processes: int = 0
    cpus: float = 0.0


class Group:
    """The folders of one sandbox, one per hierarchy. `enforced` are fields of `Bounds`."""

    def __init__(self, folders: Sequence[Path], enforced: Iterable[str]) -> None:
        self.folders = tuple(folders)
        self.enforced = tuple(sorted(enforced))

    def admit(self, pid: int) -> bool:
        """Put a process in, and with it all that it starts from now on; False if refused."""
        try:
            for folder in self.folders:
                (folder / "cgroup.procs").write_text(str(pid))
        except OSError:
            self.enforced = ()
            return False
        return True

    def stopped_for_memory(self) -> int:
        """How many processes the kernel has ended in it because memory was used up."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                counts = dict(line.split() for line in _read(folder / name).splitlines())
                if "oom_kill" in counts:
                    return int(counts["oom_kill"])
        return 0

    def remove(self) -> bool:
        """Take the folders away; blocks until the kernel has let go of the last process.

        False when something in there still runs, or was not ours.
        """
        return _remove_all(self.folders)


def make(session: str, bounds: Bounds) -> Group:
    """A group for the sandbox `session`; `enforced` lacks what cannot be enforced here."""
    folders: list[Path] = []
    enforced: list[str] = []
    for place, controllers, version in _places():
        folder = place / _name(session)
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            continue
        done = [c for c in controllers if _limit(folder, c, bounds, version)]
        if not done or not os.access(folder / "cgroup.procs", os.W_OK):
            _remove(folder)
            continue
        folders.append(folder)
        enforced += [CONTROLLERS[c] for c in done]
    return Group(folders, enforced)


def remove(session: str, recorded: Iterable[str] = ()) -> bool:
    """Remove what a process that was killed left of a group: `recorded` folders, or the usual ones.

    What is still running in there is killed. A folder that is not a group of `session` stays.
    """
    name = _name(session)
    mounts = [point for _, point, _ in _mounts()]
    given = [Path(os.path.normpath(text)) for text in recorded]
    own = [p for p in given if p.name == name and any(m in p.parents for m in mounts)]
    usual = [place / name for place, _, _ in _places()]
    found = [folder for folder in dict.fromkeys([*own, *usual]) if folder.is_dir()]
    for folder in found:
        _kill(folder)
    return _remove_all(found)


@functools.cache
def enforceable() -> tuple[str, ...]:
    """The fields of `Bounds` that hold on this machine, found out by trying with a process."""
    group = make(f"probe{secrets.token_hex(4)}", Bounds(2**30, 100, 1.0))
    if not group.folders:
        return ()
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
        group.admit(child.pid)
    group.remove()
    return group.enforced


def memory_of_the_machine() -> int:
    """How many bytes of memory there are, for us: the machine's, or less where we are limited."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for place, controllers, _ in _places():
        if "memory" in controllers:
            for name in ("memory.limit_in_bytes", "memory.max"):
                with contextlib.suppress(ValueError):
                    total = min(total, int(_read(place / name)))
    return total


def _name(session: str) -> str:
    if not _NAME.fullmatch(session):
        raise ValueError(f"`{session}` cannot name a group")
    return PREFIX + session


# Where groups may be made.


def _mounts() -> list[tuple[str, Path, tuple[str, ...]]]:
    """The hierarchies: what of each is mounted, where, and the controllers of version 1."""
    found: list[tuple[str, Path, tuple[str, ...]]] = []
    for line in _read(Path("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        kind, _, more = after.partition(" ")
        if kind not in ("cgroup", "cgroup2"):
            continue
        root, point = before.split()[3:5]
        options = more.split()[-1].split(",")
        controllers = tuple(c for c in CONTROLLERS if c in options) if kind == "cgroup" else ()
        if controllers or kind == "cgroup2":
            found.append((root, Path(point), controllers))
    return found


def _own() -> Mapping[str, str]:
    """The group this process is in, by controller; "" is version 2."""
    groups: dict[str, str] = {}
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, names, path = line.split(":", 2)
        groups.update(dict.fromkeys(names.split(","), path))
    return groups


def _places() -> list[tuple[Path, tuple[str, ...], int]]:
    """The folders to make a group in, with the controllers that hold there and the version."""
    own = _own()
    places: list[tuple[Path, tuple[str, ...], int]] = []
    for root, point, controllers in _mounts():
        if controllers:
            here = _inside(root, point, own.get(controllers[0], "/"))
            if os.access(here, os.W_OK):
                places.append((here, controllers, 1))
            continue
        here = _inside(root, point, own.get("", "/"))
        for place in (here, *here.parents):
            if point not in (place, *place.parents):
                break
            if enabled := _enabled(place):
                places.append((place, enabled, 2))
                break
    return places


def _inside(root: str, point: Path, group: str) -> Path:
    """Where the group `group` shows below a mount of the part `root` of its hierarchy."""
    return point / os.path.relpath(group, root) if group.startswith(root) else point


def _enabled(place: Path) -> tuple[str, ...]:
    """The controllers that groups below `place` have, if we may make some and move there."""
    if not os.access(place, os.W_OK) or not os.access(place / "cgroup.procs", os.W_OK):
        return ()
    switch = place / "cgroup.subtree_control"
    there, on = _read(place / "cgroup.controllers").split(), _read(switch).split()
    for controller in CONTROLLERS:
        if controller in there and controller not in on:
            # Refused where processes are in the group itself: then the one above is tried.
            _write(switch, f"+{controller}")
    on = _read(switch).split()
    return tuple(c for c in CONTROLLERS if c in on)


# One folder.


def _limit(folder: Path, controller: str, bounds: Bounds, version: int) -> bool:
    """Set what `controller` limits; whether that worked."""
    if controller == "pids":
        return _write(folder / "pids.max", str(bounds.processes or "max"))
    if controller == "memory":
        return _limit_memory(folder, bounds.memory_bytes, version)
    quota = int(bounds.cpus * PERIOD_MICROSECONDS)
    if version == 1:
        return (
            _write(folder / "cpu.shares", str(SHARES))
            and _write(folder / "cpu.cfs_period_us", str(PERIOD_MICROSECONDS))
            and _write(folder / "cpu.cfs_quota_us", str(quota or -1))
        )
    most = f"{quota or 'max'} {PERIOD_MICROSECONDS}"
    return _write(folder / "cpu.weight", str(WEIGHT)) and _write(folder / "cpu.max", most)


def _limit_memory(folder: Path, size: int, version: int) -> bool:
    if version == 2:
        _write(folder / "memory.swap.max", "0" if size else "max")
        return _write(folder / "memory.max", str(size or "max"))
    # The limit of both together may not be below that of memory, in either direction of a change.
    both, alone = folder / "memory.memsw.limit_in_bytes", folder / "memory.limit_in_bytes"
    _write(both, "-1")
    done = _write(alone, str(size or -1))
    _write(both, str(size or -1))  # absent where the kernel does not count swap
    return done


def _kill(folder: Path) -> None:
    if _write(folder / "cgroup.kill", "1"):
        return
    for word in _read(folder / "cgroup.procs").split():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(word), signal.SIGKILL)


def _remove_all(folders: Iterable[Path]) -> bool:
    removed = [_remove(folder) for folder in folders]  # each, whatever becomes of the others
    return all(removed)


def _remove(folder: Path) -> bool:
    for _ in range(REMOVE_TRIES):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            time.sleep(REMOVE_SECONDS)
        else:
            return True
    return False


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: Path, text: str) -> bool:
    try:
        path.write_text(text, "ascii")
    except OSError:
        return False
    return True
