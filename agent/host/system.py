"""Which machine this is: distribution, processor, programs, what its system directories hold."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path


def machine() -> str:
    """The processor as the kernel names it: "x86_64", "aarch64", …"""
    return platform.machine()


def node_name() -> str:
    """What this machine is called in its network."""
    return platform.node()


def is_linux() -> bool:
    """Whether this is Linux."""
    return platform.system() == "Linux"


def os_release() -> Mapping[str, str]:
    """`/etc/os-release`; empty where there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def find_program(name: str, places: Iterable[str]) -> str:
    """The first of `places` with an executable `name`, then `$PATH`; "" when there is none."""
    searched = [*places, *os.environ.get("PATH", "").split(os.pathsep)]
    for place in searched:
        # A relative entry would let the directory we are in supply the program.
        path = os.path.join(place, name)
        if os.path.isabs(place) and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return ""


def link_target(path: str) -> str | None:
    """Where the symbolic link `path` points, None when it is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def is_dir(path: str) -> bool:
    """Whether `path` leads to a directory."""
    return os.path.isdir(path)


def exists(path: str) -> bool:
    """Whether `path` leads to anything."""
    return os.path.exists(path)


def real_path(path: str) -> str:
    """`path` with every symbolic link followed."""
    return os.path.realpath(path)


def names_in(path: str) -> tuple[str, ...]:
    """The names in a directory, sorted; none when it cannot be read."""
    try:
        return tuple(sorted(os.listdir(path)))
    except OSError:
        return ()


def modules_of(package: str) -> Mapping[str, bytes]:
    """The source files below a folder of our own package, by path: what is shipped elsewhere."""
    folder = Path(__file__).resolve().parent.parent / package
    found = sorted(folder.rglob("*.py"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def user_ids() -> tuple[int, int]:
    """The user and group id this process acts with."""
    return os.geteuid(), os.getegid()


def mapped_ids() -> int:
    """How many user ids, counted from 0, exist in this user namespace without a gap."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        ranges = sorted(tuple(map(int, line.split()))[::2] for line in file)
    end = 0
    for start, size in ranges:
        if start > end:
            break
        end = max(end, start + size)
    return end
