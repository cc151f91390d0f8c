"""Processes of a machine in memory: tasks with streams, signals and a group."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from agent.testing.memory.files import Files
from agent.testing.memory.streams import Streams

HUP, KILL, TERM, WINCH = 1, 9, 15, 28
_HARMLESS = (0, WINCH)


class World(Protocol):
    """What a process has around it."""

    @property
    def files(self) -> Files: ...

    @property
    def processes(self) -> Iterable[Process]:
        """All that run, whoever started them."""
        ...

    def fork(self, parent: Process, argv: tuple[str, ...], body: Body | None = None) -> Process:
        """Start a program in the parent's group, with its streams."""
        ...

    def find(self, name: str, path: str) -> str:
        """Where the program `name` is. Raises FileNotFoundError."""
        ...


class Process:
    """One program that runs: what it can do, and what can be done to it."""

    def __init__(
        self,
        world: World,
        argv: tuple[str, ...],
        environment: Mapping[str, str],
        cwd: str,
        streams: Streams,
        leader: Process | None = None,
    ) -> None:
        self.world = world
        self.argv = argv
        self.arguments = argv[1:]  # what the program takes for its own
        self.environment = dict(environment)
        self.cwd = cwd
        self.streams = streams
        self.leader = leader or self
        self._ignored = set(leader.ignored if leader else ())
        self._traps: dict[int, asyncio.Event] = {}
        self._death = KILL
        self._task: asyncio.Task[int | None] | None = None

    # What a program does.

    @property
    def files(self) -> Files:
        return self.world.files

    def path(self, path: str) -> str:
        """`path` as this process means it, absolute."""
        return posixpath.join(self.cwd, path)

    async def print(self, text: str | bytes) -> None:
        """Write to stdout."""
        await self.streams.stdout.write(_bytes(text))

    async def complain(self, text: str | bytes) -> None:
        """Write to stderr."""
        await self.streams.stderr.write(_bytes(text))

    async def line(self) -> str:
        """A line of stdin, without its end; what is there at the end of input."""
        line = bytearray()
        while (byte := await self.streams.stdin.read(1)) not in (b"", b"\n"):
            line += byte
        return line.decode()

    def trap(self, number: int) -> asyncio.Event:
        """From now on that signal sets the event and does nothing else."""
        self._traps[number] = asyncio.Event()
        return self._traps[number]

    def ignore(self, *numbers: int) -> None:
        """From now on these signals do nothing, to children started later neither."""
        self._ignored.update(numbers)

    def start(self, *argv: str) -> Process:
        """Start a program beside this one, in the same group."""
        return self.world.fork(self, argv)

    def fork(self, body: Body) -> Process:
        """Go on with `body` in a copy of this process."""
        return self.world.fork(self, self.argv, body)

    # What is done to it.

    @property
    def ignored(self) -> frozenset[int]:
        return frozenset(self._ignored)

    @property
    def exit_code(self) -> int | None:
        """None while it runs, negative for death by a signal; raises what its body raised."""
        if self._task is None or not self._task.done():
            return None
        return -self._death if self._task.cancelled() else self._task.result() or 0

    def live(self, body: Body, gone: Callable[[Process], None]) -> None:
        """Begin; `gone` is called when it has ended."""
        self._task = asyncio.create_task(self._run(body))
        self._task.add_done_callback(lambda task: gone(self))

    async def _run(self, body: Body) -> int | None:
        try:
            return await body(self)
        except OSError as error:
            await self.complain(f"{self.argv[0]}: {error.strerror}: {error.filename}\n")
            return 1

    async def wait(self, seconds: float | None = None) -> None:
        """Until it has ended, or for that long."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    def signal(self, number: int) -> None:
        """Do what the signal does, by default end it."""
        if self._task is None or self._task.cancelling() or number in _HARMLESS:
            return
        if number != KILL and number in self._ignored:
            return
        if number != KILL and number in self._traps:
            self._traps[number].set()
            return
        self._death = number
        self._task.cancel()


Body = Callable[[Process], Awaitable[int | None]]
"""A program: returns its exit code, None for 0, and lets itself be cancelled."""


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
