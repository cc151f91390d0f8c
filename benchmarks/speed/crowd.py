"""Many local sandboxes at once: how long they take, what they cost, and whether anything stays."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from agent.host import files
from agent.host.remains import Remains, look, memory_here, memory_inside
from agent.sandbox.protocol import Backend, Sandbox, SandboxSpec
from agent.sandbox.registry import open_backend

CALLS = 5
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Crowd:
    """Figures of one run: seconds, bytes for each sandbox, and what was there before and after."""

    count: int
    start: float
    stop: float
    first_start: float
    here: float
    inside: float
    calls: tuple[float, ...]
    before: Remains
    after: Remains

    def lines(self) -> list[str]:
        """The figures in words."""
        calls = sorted(1000 * seconds for seconds in self.calls)
        middle, late = statistics.median(calls), calls[int(len(calls) * 0.95)]
        return [
            f"{self.count} local sandboxes at once",
            f"  start            {self.start:8.2f} s, one alone {1000 * self.first_start:.0f} ms",
            f"  stop and remove  {self.stop:8.2f} s",
            f"  memory each      {self.here / 1e6:8.2f} MB here, {self.inside / 1e6:.2f} MB inside",
            f"  a call           {middle:8.2f} ms median, {late:.2f} ms at 95 %, all of them up",
            f"  left behind      {self.left() or 'nothing'}",
        ]

    def left(self) -> str:
        """What is there that was not before; "" for nothing."""
        before, after = asdict(self.before), asdict(self.after)
        more = {name: number - before[name] for name, number in after.items()}
        return ", ".join(f"{number:+} {name}" for name, number in more.items() if number)


async def crowd(count: int) -> Crowd:
    """Start `count` sandboxes at once, have each answer, stop all."""
    with files.temporary_dir("glovebox-crowd-", shared=True) as folder:
        backend = open_backend("local", folder / "root")
        name = f"crowd{secrets.token_hex(6)}x"
        # The first one loads what all need: it is no part of what is compared.
        await backend.destroy((await backend.create(SandboxSpec(f"{name}first"))).ref)
        alone, one = await _timed(lambda: backend.create(SandboxSpec(f"{name}alone")))
        await backend.destroy(one.ref)
        before, memory = look(folder, name), memory_here()
        start, sandboxes = await _timed(lambda: _all(count, name, backend))
        await asyncio.gather(*(_answer(one) for one in sandboxes))
        here, inside = memory_here() - memory, await asyncio.to_thread(memory_inside, folder)
        calls = await _calls(sandboxes)
        stop, _ = await _timed(lambda: _none(sandboxes, backend))
        after = look(folder, name)
        each = (here / count, inside / count)
        return Crowd(count, start, stop, alone, *each, tuple(calls), before, after)


async def _all(count: int, name: str, backend: Backend) -> list[Sandbox]:
    specs = [SandboxSpec(f"{name}{number}") for number in range(count)]
    return await asyncio.gather(*(backend.create(spec) for spec in specs))


async def _none(sandboxes: Sequence[Sandbox], backend: Backend) -> None:
    await asyncio.gather(*(backend.destroy(one.ref) for one in sandboxes))


async def _answer(sandbox: Sandbox) -> None:
    await sandbox.put("file", sandbox.ref.encode())
    result = await sandbox.exec(["cat", "file"])
    assert result.output.decode() == sandbox.ref


async def _calls(sandboxes: Sequence[Sandbox]) -> list[float]:
    """How long a program takes in each of them, one after the other, while all are up."""
    often = list(sandboxes) * CALLS
    return [(await _timed(lambda one=one: one.exec(["true"])))[0] for one in often]


async def _timed(work: Callable[[], Awaitable[_T]]) -> tuple[float, _T]:
    begun = time.perf_counter()
    done = await work()
    return time.perf_counter() - begun, done


async def measure_crowd(count: int) -> bool:
    """Measure and print; whether nothing has stayed behind."""
    result = await crowd(count)
    print("\n".join(result.lines()), flush=True)
    return not result.left()
