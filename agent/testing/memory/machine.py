"""A machine in memory: it starts programs, knows what runs, and ends groups."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Mapping, Sequence

from agent.core.limits import KILL_GRACE_SECONDS
from agent.testing.memory.files import HOME, NATIVE, PROGRAMS, Files
from agent.testing.memory.process import KILL, TERM, Body, Process
from agent.testing.memory.streams import Streams

ABSENT, NOT_EXECUTABLE = 127, 126
ENVIRONMENT = {"HOME": HOME, "PATH": f"{PROGRAMS}:/bin"}


class Machine:
    """What outlives a `close`: the files; and what does not: the processes."""

    def __init__(self, programs: Mapping[str, Body], labels: Mapping[str, str]) -> None:
        self.files = Files(programs)
        self.labels = dict(labels)
        self.processes: list[Process] = []
        self._programs = dict(programs)

    # Starting.

    def start(
        self, argv: Sequence[str], cwd: str, environment: Mapping[str, str], streams: Streams
    ) -> Process:
        """Start a program as the leader of a group of its own.

        One that cannot be started is a process too: it says why and ends with 126 or 127.
        """
        given = {**ENVIRONMENT, "PWD": cwd, **environment}
        process = Process(self, tuple(argv), given, cwd, streams)
        return self._live(process, self._load(process))

    def fork(self, parent: Process, argv: tuple[str, ...], body: Body | None = None) -> Process:
        """See `World`."""
        environment, streams = parent.environment, parent.streams
        process = Process(self, argv, environment, parent.cwd, streams, leader=parent.leader)
        if body is None:
            return self._live(process, self._load(process))
        process.arguments = parent.arguments
        return self._live(process, body)

    def _live(self, process: Process, body: Body) -> Process:
        self.processes.append(process)
        process.live(body, self._gone)
        return process

    def _load(self, process: Process) -> Body:
        """What the program does; its arguments become the interpreter's when it has one."""
        name = process.argv[0] if process.argv else ""
        try:
            self.files.folder(process.cwd)
        except OSError as error:
            return _refusal(NOT_EXECUTABLE, f"cannot start in `{process.cwd}`", error)
        try:
            return self._body(process, name)
        except OSError as error:
            code = ABSENT if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            return _refusal(code, f"cannot start `{name}`", error)

    def _body(self, process: Process, name: str) -> Body:
        if any("\0" in word for word in process.argv):
            raise OSError(0, "embedded null byte", name)
        path = self.find(process.path(name) if "/" in name else name, process.environment["PATH"])
        node = self.files.node(path)
        if node.kind != "file" or not node.mode & 0o111:
            raise PermissionError(13, "Permission denied", name)
        if node.data.startswith(NATIVE):
            return self._programs[node.data.removeprefix(NATIVE).decode()]
        if not node.data.startswith(b"#!"):
            raise OSError(8, "Exec format error", name)
        interpreter = node.data[2:].splitlines()[0].strip().decode()
        process.argv = (interpreter, name, *process.argv[1:])
        process.arguments = process.argv[1:]
        return self._body(process, interpreter)

    def find(self, name: str, path: str) -> str:
        """See `World`."""
        folders = [""] if "/" in name else path.split(":")
        for folder in folders:
            place = posixpath.join(folder, name)
            try:
                self.files.node(place)
            except FileNotFoundError:
                continue
            return place
        raise FileNotFoundError(2, "No such file or directory", name)

    # Ending.

    def _gone(self, process: Process) -> None:
        self.processes.remove(process)
        if process is process.leader:
            process.streams.end()

    def group(self, leader: Process) -> list[Process]:
        """The processes that `leader` led, or leads, and that still run."""
        return [p for p in self.processes if p.leader is leader]

    async def end(self, leader: Process, *numbers: int) -> None:
        """Tell a whole group to end, TERM without `numbers`; kill what has not after a while."""
        numbers = numbers or (TERM,)
        group = self.group(leader)
        for process in group:
            for number in numbers:
                process.signal(number)
        # What ignores it will not end by itself: there is nothing to wait for.
        await _ended([p for p in group if not p.ignored.issuperset(numbers)], KILL_GRACE_SECONDS)
        await self._kill(self.group(leader))

    async def stop(self) -> None:
        """Kill everything that runs."""
        await self._kill(list(self.processes))

    async def _kill(self, processes: list[Process]) -> None:
        for process in processes:
            process.signal(KILL)
        await _ended(processes)


async def _ended(processes: list[Process], seconds: float | None = None) -> None:
    await asyncio.gather(*(process.wait(seconds) for process in processes))


def _refusal(code: int, what: str, error: OSError) -> Body:
    async def refuse(process: Process) -> int:
        await process.complain(f"{what}: {error.strerror}\n")
        return code

    return refuse
