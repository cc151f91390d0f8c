"""Keeps a local sandbox within its share of the disk, where no quota does.

Looking costs one system call a second; the directories are walked only when the file system has
filled up by what was still free for this sandbox, and now and then while something runs. When there
is too much, the programs inside are ended, not the sandbox: whoever runs it can then make room.
They are left alone for as long as it gets less.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.core import limits
from agent.host import usage
from agent.sandbox.protocol import Limits

WALK_SECONDS, WALK_SHARE = 30.0, 20
QUIET_SECONDS = 3_600.0


class Watch:
    """Watches `folders` from `start` to `close`; `process` is number 1 inside."""

    def __init__(self, folders: Sequence[Path], most: Limits, give_up: Callable[[], None]) -> None:
        self._folders = folders
        self._most = most
        self._give_up = give_up  # for programs that are started faster than they can be ended
        self._process = 0
        self._task: asyncio.Task[None] | None = None
        self._free = usage.Free(0, 0)
        self._last = usage.Usage(0, 0)
        self._walk_at = 0.0
        self._pause = WALK_SECONDS
        self._worst = usage.Usage(0, 0)
        self._ending = asyncio.Lock()
        self.stops = 0
        """How often programs were ended."""
        self.reason = ""
        self.gave_up = ""
        """Why the sandbox itself was ended, if it was."""

    def start(self, process: int) -> None:
        """Begin; what is there already counts."""
        self._process = process
        self._task = asyncio.create_task(self._run(), name="watch")

    async def calm(self) -> None:
        """Wait while programs are being ended: one that is started now would be among them."""
        async with self._ending:
            pass

    def stir(self) -> None:
        """Something is run inside: it may change more than it has of late."""
        self._pause = WALK_SECONDS
        self._walk_at = min(self._walk_at, time.monotonic() + WALK_SECONDS)

    async def close(self) -> None:
        """Watch no more. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(limits.SANDBOX_WATCH_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look once, and end the programs inside if there is too much."""
        now = usage.free(self._folders[0])
        if now.bytes < limits.SANDBOX_DISK_RESERVE_BYTES:
            await self._stop("the disk of this machine is nearly full")
        elif self._due(now):
            await self._judge(await self._measure(now))

    async def _measure(self, now: usage.Free) -> usage.Usage:
        begun, before = time.monotonic(), self._last
        self._free = now
        self._last = await asyncio.to_thread(
            usage.measure,
            self._folders,
            bytes_max=self._most.disk_bytes * 2,
            files_max=self._most.files * 2,
        )
        ended = time.monotonic()
        self._pause = min(2 * self._pause, QUIET_SECONDS) if self._last == before else WALK_SECONDS
        self._walk_at = ended + max(self._pause, (ended - begun) * WALK_SHARE)
        return self._last

    def _due(self, now: usage.Free) -> bool:
        room = self._most.disk_bytes - self._last.bytes
        names = self._most.files - self._last.files
        return (
            time.monotonic() >= self._walk_at
            or self._free.bytes - now.bytes > room
            or self._free.files - now.files > names
        )

    async def _judge(self, found: usage.Usage) -> None:
        worse = found.bytes > self._worst.bytes or found.files > self._worst.files
        reason = ""
        if found.bytes > self._most.disk_bytes:
            reason = f"the disk space of this sandbox, {self._most.disk_bytes / 1e9:g} GB, is used"
        elif found.files > self._most.files:
            reason = f"there are more files in this sandbox than {self._most.files:,}"
        elif found.deep:
            reason = "there are directories in this sandbox deeper than any name can reach"
        self._worst = found if reason else usage.Usage(0, 0)
        if reason and worse:
            await self._stop(reason)

    async def _stop(self, reason: str) -> None:
        self.reason = f"\nglovebox ended the programs in here: {reason}. Remove some files.\n"
        self.stops += 1
        async with self._ending:
            if not await asyncio.to_thread(usage.end_programs, self._process):
                self.gave_up = f"the sandbox was ended: {reason}"
                self._give_up()
            # They went on while they were being ended: what counts is what there is now.
            self._worst = await self._measure(usage.free(self._folders[0]))
