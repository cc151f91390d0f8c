"""What one local sandbox may use of this machine, and the control group that keeps it to that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.core import limits
from agent.host import cgroups, files, usage
from agent.sandbox.protocol import Limits

MARK = "session"
ALWAYS = ("open_files", "disk_bytes", "files")
"""The fields of `Limits` that hold wherever bubblewrap runs."""
_MISSING = {
    "memory_bytes": "the memory of a sandbox",
    "cpus": "its processor time",
}


def defaults(wanted: Limits) -> Limits:
    """`wanted` with what it leaves open filled in for this machine."""
    return Limits(
        memory_bytes=wanted.memory_bytes
        or int(cgroups.memory_of_the_machine() * limits.SANDBOX_MEMORY_SHARE),
        processes=wanted.processes or limits.SANDBOX_PROCESSES_MAX,
        open_files=wanted.open_files or limits.SANDBOX_DESCRIPTORS_MAX,
        disk_bytes=wanted.disk_bytes or limits.SANDBOX_DISK_MAX_BYTES,
        files=wanted.files or limits.SANDBOX_FILES_MAX,
        cpus=wanted.cpus,
    )


def enforced() -> tuple[str, ...]:
    """The fields of `Limits` that hold on this machine."""
    # Without a control group the number of processes is kept by a resource limit of the user
    # namespace, which is a namespace of the sandbox's own.
    return tuple(sorted({*ALWAYS, "processes", *cgroups.enforceable()}))


def notes() -> tuple[str, ...]:
    """What does not hold on this machine, for people."""
    missing = [words for name, words in _MISSING.items() if name not in cgroups.enforceable()]
    if not missing:
        return ()
    return (
        f"{' and '.join(missing)} cannot be limited here: no control group may be made; "
        "log in by systemd, or run in a scope of your own (`systemd-run --user --scope`)",
    )


class Ration:
    """The limits of one sandbox. `open`, `admit` what is to be limited, `close`."""

    def __init__(self, session: str, wanted: Limits, record: Path) -> None:
        self.limits = defaults(wanted)
        self._session = session
        self._record = record
        self._group = cgroups.Group((), ())

    @property
    def bounds(self) -> Mapping[str, int]:
        """What the toolbox sets for every program it starts."""
        return {
            "processes": self.limits.processes,
            "descriptors": self.limits.open_files,
            "file_bytes": min(limits.SANDBOX_FILE_MAX_BYTES, self.limits.disk_bytes),
        }

    def open(self) -> None:
        """Make the group, and note where it is for whoever finds it without us."""
        sweep(self._session, self._record)
        size = self.limits
        bounds = cgroups.Bounds(size.memory_bytes, size.processes, size.cpus)
        self._group = cgroups.make(self._session, bounds)
        if folders := [str(folder) for folder in self._group.folders]:
            files.write_whole(self._record, msgspec.json.encode(folders))

    def admit(self, pid: int) -> None:
        """Limit `pid` and what it starts from now on."""
        self._group.admit(pid)

    def autopsy(self) -> str:
        """Why the sandbox may have died; "" when no limit was reached."""
        if self._group.stopped_for_memory():
            size = self.limits.memory_bytes / 1e9
            return f"the sandbox ended: it had used up its memory, {size:.1f} GB"
        return ""

    async def close(self) -> None:
        """Remove the group once everything in it has ended. Safe to call twice."""
        group, self._group = self._group, cgroups.Group((), ())
        if await asyncio.to_thread(group.remove) and group.folders:
            files.remove_written(self._record)


def sweep(session: str, record: Path) -> None:
    """Remove what an earlier process left of the group of `session`, and kill what is in it."""
    # Killed in its first moments bubblewrap leaves a process that waits for it for ever, in no
    # group yet; nothing has run in there.
    usage.end_marked((MARK, session))
    recorded: list[str] = []
    if files.exists(record):
        recorded = msgspec.json.decode(files.read_bytes(record), type=list[str])
    if cgroups.remove(session, recorded):
        files.remove_written(record)
