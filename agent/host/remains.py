"""What sandboxes below a directory have on this machine: to measure it and to see that it goes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.host.cgroups import PREFIX

_GROUPS = Path("/sys/fs/cgroup")
_KILOBYTE = 1024


@dataclass(frozen=True, slots=True)
class Remains:
    """Counts; all of them are the same before and after, if nothing has stayed."""

    processes: int
    mounts: int
    sockets: int
    groups: int
    files: int
    descriptors: int


def look(place: Path, sessions: str) -> Remains:
    """What there is now of sandboxes below `place` whose names begin with `sessions`.

    And what this process has open. Of what others on this machine do nothing is counted.
    """
    mounted = Path("/proc/self/mountinfo")
    sockets = _lines(Path("/proc/net/unix"), str(place))
    return Remains(
        processes=len(list(_processes(place))),
        mounts=len(_lines(mounted, place.name)) + len(_lines(mounted, "/glovebox/")),
        sockets=len(sockets) + sum(name.startswith("socket:") for name in _open()),
        groups=_below(_GROUPS, f"{PREFIX}{sessions}"),
        files=_below(place),
        descriptors=len(_open()),
    )


def memory_inside(place: Path) -> int:
    """Bytes that the processes of sandboxes below `place` take, shared ones counted in part."""
    return sum(_share(pid) for pid in _processes(place))


def memory_here() -> int:
    """Bytes of memory that this process takes."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _processes(place: Path) -> Iterator[int]:
    """Children of ours, and processes that have something below `place` mounted."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            mounted = _lines(Path(f"/proc/{name}/mountinfo"), f"{place}/")
            parent = _lines(Path(f"/proc/{name}/status"), f"PPid:\t{os.getpid()}")
            # A sandbox's mounts name the place by the root of its own file system.
            if mounted or parent or _lines(Path(f"/proc/{name}/mountinfo"), f"/{place.name}/"):
                yield int(name)


def _share(pid: int) -> int:
    lines = _lines(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
    return int(lines[0].split()[1]) * _KILOBYTE if lines else 0


def _below(place: Path, begin: str = "") -> int:
    """How many names below `place` begin so; others may take theirs away meanwhile."""
    names = (name for _, folders, others in os.walk(place) for name in (*folders, *others))
    return sum(name.startswith(begin) for name in names)


def _open() -> list[str]:
    names: list[str] = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            names.append(os.readlink(f"/proc/self/fd/{number}"))
    return names


def _lines(path: Path, sign: str) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8", "replace").splitlines() if sign in line]
    except OSError:
        return []
