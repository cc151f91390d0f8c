"""How the user's toolchains come inside: read-only, at places that say nothing of this machine."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.host import env, toolchains
from agent.host.reach import reach
from agent.host.toolchains import Found, Toolchain

PLACE = "/opt/toolchains"
_refused: list[str] = []
SCRIPTS, LIBRARIES = f"{PLACE}/bin", f"{PLACE}/lib"


@dataclass(frozen=True, slots=True)
class Carried:
    """Toolchains with the paths by which bubblewrap finds them."""

    toolchains: Sequence[Toolchain] = ()
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def options(self, data: Callable[[bytes], int]) -> list[str]:
        """What bubblewrap is told; all of it lies where nothing inside can write."""
        words: list[str] = []
        taken: set[str] = set()
        for one in self.toolchains:
            words += ["--ro-bind", self.sources[one.name], _target(one)]
            for name in one.hidden:
                words += ["--ro-bind", "/dev/null", f"{_target(one)}/{name}"]
            for name in set(one.libraries) - taken:
                words += ["--symlink", f"{_target(one)}/{name}", f"{LIBRARIES}/{name[4:]}"]
            taken.update(one.libraries)
            if one.scripts:
                # Their first line names an interpreter that is elsewhere inside: one script that
                # knows where, under all their names.
                runs = f"{PLACE}/.run-{one.name}"
                words += ["--perms", "0555", "--ro-bind-data", str(data(_runner(one))), runs]
                for name in set(one.scripts) - taken:
                    words += ["--symlink", runs, f"{SCRIPTS}/{name}"]
                taken.update(one.scripts)
        return [*_directories(words), *words]

    def environment(self, path: str) -> Mapping[str, str]:
        """Variables with which they are found, given the path of the system."""
        if not self.toolchains:
            return {}
        own, _, system = path.partition(":")
        before = [_programs(t) for t in self.toolchains if t.first]
        after = [_programs(t) for t in self.toolchains if not t.first]
        scripts = [SCRIPTS] if any(t.scripts for t in self.toolchains) else []
        variables = {"PATH": ":".join([own, *scripts, *before, system, *dict.fromkeys(after)])}
        if any(t.libraries for t in self.toolchains):
            variables["LD_LIBRARY_PATH"] = LIBRARIES
        return variables


async def carry() -> Carried:
    """What the user has at home, ready for bubblewrap; nothing where root cannot hand it on."""
    wanted = (await asyncio.to_thread(found)).toolchains
    if not wanted or not env.is_root():
        return Carried(wanted, {one.name: str(one.path) for one in wanted})
    try:
        places = await reach(one.path for one in wanted)
    except OSError as error:
        _refused.append(str(error))
        return Carried()
    return Carried(wanted, {one.name: str(places[one.path]) for one in wanted})


def notes() -> tuple[str, ...]:
    """What is at home and stays outside, for people."""
    said = [f"a toolchain at home stays outside: {one}" for one in found().left_out]
    if _refused:
        said.append(f"the toolchains of root's home stay outside: {_refused[0]}")
    return tuple(said)


@functools.lru_cache(8)
def _found(home: Path) -> Found:
    return toolchains.find()


def found() -> Found:
    """What the user has at home; looked for once."""
    return _found(env.home())


def _target(one: Toolchain) -> str:
    # A single program lies in a directory of its own, for the path.
    return f"{PLACE}/{one.name}/{one.path.name}" if one.single else f"{PLACE}/{one.name}"


def _programs(one: Toolchain) -> str:
    return f"{PLACE}/{one.name}/{one.bin}".rstrip("/")


def _runner(one: Toolchain) -> bytes:
    interpreter = f"{_target(one)}/{one.interpreter}"
    return f'#!/bin/sh\nexec {interpreter} {_programs(one)}/"${{0##*/}}" "$@"\n'.encode()


def _directories(words: Sequence[str]) -> list[str]:
    # Made on the way to something else they would be closed to everybody but their owner.
    folders = ["/opt", PLACE] if words else []
    folders += [folder for folder in (SCRIPTS, LIBRARIES) if any(folder in w for w in words)]
    return [word for folder in folders for word in ("--perms", "0755", "--dir", folder)]
