"""Many sessions in one process: throughput, the event loop's delay, memory, and no cross-talk.

Each session has a word that nobody else has, in what it is told, writes, reads and says. A word
that turns up anywhere else is a fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import statistics
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from agent.app import Options, open_session, shutdown
from agent.config import Settings
from agent.core.events import TurnFinished
from agent.git.packing import Packing
from agent.host import env, files, process
from agent.host.remains import memory_here
from agent.session.session import Session
from agent.testing.memory.backend import MemoryBackend
from agent.testing.memory.files import WORKDIR
from benchmarks.repository import make_repository
from benchmarks.speed.aside import Aside

TURNS = 3
STEPS = 4  # of each turn
MODEL = "openai/test-model"
_TICK_SECONDS = 0.005
_WORKERS = "AnyIO worker"
_ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Figures:
    """What a run took. `faults` are words where they do not belong, and turns that failed.

    `workers` are the threads of the provider library's own pool, which has at most 40.
    """

    count: int
    real: int
    turns: float = 0.0
    opened: float = 0.0
    steps: int = 0
    memory_each: float = 0.0
    threads: int = 0
    workers: int = 0
    delays: list[float] = field(default_factory=list[float])
    faults: list[str] = field(default_factory=list[str])

    def lines(self) -> list[str]:
        """The figures in words."""
        late = sorted(1000 * delay for delay in self.delays) or [0.0]
        middle, most = statistics.median(late), late[-1]
        return [
            f"{self.count} sessions in one process, {self.real} of them in local sandboxes",
            f"  open             {self.opened:8.2f} s",
            f"  {TURNS} turns each     {self.turns:8.2f} s, {self.steps / self.turns:.1f} steps/s",
            f"  loop's delay     {middle:8.2f} ms median, {late[int(len(late) * 0.99)]:.1f} ms at"
            f" 99 %, {most:.0f} ms at most",
            f"  memory each      {self.memory_each / 1e6:8.2f} MB beyond the first",
            f"  threads          {self.threads:8} at most, {self.workers} in the library's pool",
            f"  cross-talk       {'; '.join(self.faults[:5]) or 'none'}",
        ]


async def many_sessions(count: int, real: int) -> Figures:
    """Run `count` sessions side by side, `real` of them in local sandboxes, and look at them."""
    with process.spare_threads():
        return await _many_sessions(count, real)


async def _many_sessions(count: int, real: int) -> Figures:
    figures = Figures(count, real)
    words = [f"canary{secrets.token_hex(8)}" for _ in range(count)]
    with files.temporary_dir("glovebox-sessions-", shared=True) as folder:
        repository = folder / "repository"
        files.write_whole(folder / "files" / "readme.txt", b"a small repository\n", mode=0o644)
        await make_repository(folder / "files", repository)
        log = folder / "requests.jsonl"
        async with _provider(folder, words, log) as url:
            env.set_variable("OPENAI_BASE_URL", url)
            env.set_variable("OPENAI_API_KEY", "none")
            place = _Place(repository, folder / "state")
            try:
                await _run(place, words, figures)
                await _look(place, words, figures)
            finally:
                await place.clear()
                await shutdown()
        _look_at_requests(words, files.read_bytes(log, limit=2_000_000_000), figures)
    return figures


@contextlib.asynccontextmanager
async def _provider(folder: Path, words: Sequence[str], log: Path) -> AsyncGenerator[str]:
    """The scripted provider in a process of its own; its address."""
    script = folder / "script.json"
    talks = [{"when": word, "answers": _answers(word)} for word in words]
    files.write_whole(script, json.dumps({"conversations": talks}).encode())
    said: asyncio.Queue[bytes] = asyncio.Queue()
    argv = [sys.executable, "-m", "tests.servers.openai", "--script", str(script)]
    environment = {"PATH": env.variable("PATH"), "PYTHONPATH": str(_ROOT)}
    server = asyncio.create_task(
        process.follow([*argv, "--log", str(log)], env=environment, on_output=said.put_nowait)
    )
    try:
        yield (await said.get()).decode().strip()
    finally:
        server.cancel()
        await asyncio.wait({server})


def _answers(word: str) -> list[dict[str, Any]]:
    """What the model says in all turns of one session."""

    def call(name: str, **arguments: Any) -> dict[str, Any]:
        identity = f"call{secrets.token_hex(6)}"
        return {"calls": [{"name": name, "arguments": arguments, "id": identity}]}

    found: list[dict[str, Any]] = []
    for turn in range(TURNS):
        path = f"{word}-{turn}.txt"
        found += [
            call("write", path=path, content=f"{word}\n" * 20),
            call("read", path=path),
            call("todo", items=[{"text": f"say {word}", "state": "doing"}]),
            {"text": f"it is {word}"},
        ]
    return found


class _Place:
    """The sessions of a run, and the machines in memory of those that have no real sandbox."""

    def __init__(self, repository: Path, state: Path) -> None:
        self._options = Options(
            repository,
            Settings(model=MODEL, sandbox="local", network="none", map_tokens=0),
            state=state,
            packing=Packing(),
        )
        self.repository = repository
        self.state = state
        self.memory = MemoryBackend()
        self.sessions: list[tuple[Session, bool]] = []

    async def add(self, *, real: bool) -> None:
        place = None if real else partial(Aside, self.memory)
        session = await open_session(self._options, place=place)
        self.sessions.append((session, real))
        # All sandboxes are up before the turns begin: a model that answers at once would keep the
        # loop so busy that starting one takes longer than it may.
        await session.enter()

    async def clear(self) -> None:
        for session, real in self.sessions:
            await (session.discard() if real else session.close())
        if self._options.packing is not None:
            await self._options.packing.close()


async def _run(place: _Place, words: Sequence[str], figures: Figures) -> None:
    await place.add(real=True)
    await _turns(place.sessions[0][0], words[0], figures)
    before = memory_here()
    ticking = asyncio.create_task(_tick(figures))
    begun = time.perf_counter()
    more = range(1, figures.count)
    await asyncio.gather(*(place.add(real=number < figures.real) for number in more))
    figures.opened = time.perf_counter() - begun
    # They were opened side by side, in whatever order.
    figures.steps, begun = 0, time.perf_counter()
    others = zip(place.sessions[1:], words[1:], strict=True)
    await asyncio.gather(*(_turns(session, word, figures) for (session, _), word in others))
    figures.turns = time.perf_counter() - begun
    ticking.cancel()
    await asyncio.wait({ticking})
    figures.memory_each = (memory_here() - before) / max(1, figures.count - 1)


async def _turns(session: Session, word: str, figures: Figures) -> None:
    for _ in range(TURNS):
        async for record in session.send(f"remember {word}"):
            if isinstance(record.event, TurnFinished):
                figures.steps += record.event.steps
                if record.event.outcome != "done":
                    figures.faults.append(f"session {session.number}: {record.event.problem}")


async def _tick(figures: Figures) -> None:
    """How late the event loop is, again and again."""
    while True:
        due = time.perf_counter() + _TICK_SECONDS
        await asyncio.sleep(_TICK_SECONDS)
        figures.delays.append(time.perf_counter() - due)
        workers = sum(one.name.startswith(_WORKERS) for one in threading.enumerate())
        figures.workers = max(figures.workers, workers)
        figures.threads = max(figures.threads, threading.active_count() - workers)


async def _look(place: _Place, words: Sequence[str], figures: Figures) -> None:
    """Each session's journal and files have its own word and no other."""
    for (session, real), word in zip(place.sessions, words, strict=True):
        journal = place.state / "sessions" / session.id / "journal.jsonl"
        named = {"journal": files.read_text(journal, limit=1_000_000_000)}
        if real:
            argv = ["git", "-C", str(place.repository), "grep", "canary", session.branch]
            shown = await process.run(argv, env={"PATH": env.variable("PATH")})
            named["branch"] = shown.text
        else:
            machine = place.memory.machines[f"memory:{session.id}"].files
            paths = [name for name in machine.names(WORKDIR) if "canary" in name]
            texts = [machine.read(f"{WORKDIR}/{name}").decode() for name in paths]
            named["files"] = "\n".join([*paths, *texts])
        for what, text in named.items():
            found = _words_in(text, words)
            if found != {word}:
                figures.faults.append(f"session {session.number}: {what} has {len(found)} words")


def _look_at_requests(words: Sequence[str], log: bytes, figures: Figures) -> None:
    """No request has the words of two sessions, and none is missing."""
    requests = log.decode().splitlines()
    for line in requests:
        if len(found := _words_in(line, words)) != 1:
            figures.faults.append(f"a request has {len(found)} words")
    if len(requests) != len(words) * TURNS * STEPS:
        figures.faults.append(f"{len(requests)} requests came in")


def _words_in(text: str, words: Iterable[str]) -> set[str]:
    return {word for word in words if word in text}


async def measure_sessions(count: int, real: int) -> bool:
    """Measure and print; whether no word was where it does not belong."""
    figures = await many_sessions(count, min(real, count))
    print("\n".join(figures.lines()), flush=True)
    return not figures.faults
