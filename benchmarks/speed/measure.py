"""Side by side, alternating, medians: what glovebox costs over doing the same without it.

Absolute times depend on the machine and are printed for orientation; the ratio is what to watch.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from agent.app import Options, open_session
from agent.config import Settings
from agent.core.messages import AssistantMessage, ToolCall
from agent.host import env, files, process
from agent.session.session import Session
from agent.testing.model import Scripted
from benchmarks.repository import git, make_repository

REPOSITORY_FILES = 10_000
_CHANGE = {"command": "date +%N >> f0/0.txt"}
_MAKE_FILES = """
import pathlib, sys
for at in range(int(sys.argv[2])):
    path = pathlib.Path(sys.argv[1], f"f{at % 100}", f"{at // 100}.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x\\n" * 20)
"""
Job = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Pair:
    """A measurement: ours and the bare thing, each in seconds (medians)."""

    what: str
    ours: float
    bare: float

    def text(self) -> str:
        ratio = f"{self.ours / self.bare:.2f}x" if self.bare else "-"
        ours, bare, more = (1000 * s for s in (self.ours, self.bare, self.ours - self.bare))
        return f"{self.what:<46} {ratio:>8} {ours:>9.1f} {bare:>9.1f} {more:>+9.1f}"


async def measure(repeat: int) -> None:
    """Measure and print everything."""
    print(f"{'what':<46} {'ratio':>8} {'ours ms':>9} {'bare ms':>9} {'over ms':>9}")
    print((await start_up(repeat)).text(), flush=True)
    with files.temporary_dir("glovebox-speed-", shared=True) as folder:
        source = folder / "files"
        await _host([sys.executable, "-c", _MAKE_FILES, str(source), str(REPOSITORY_FILES)])
        repository = folder / "repository"
        await make_repository(source, repository)
        session = await _session(repository, folder / "state", turns=repeat + 1)
        try:
            print((await calls(session, repeat)).text(), flush=True)
            print((await syncs(session, repository, folder / "bare", repeat)).text(), flush=True)
        finally:
            await session.discard()


async def start_up(repeat: int) -> Pair:
    """`glovebox --version` against an interpreter that does nothing."""
    ours, bare = await _alternate(
        lambda: _host([sys.executable, "-m", "agent", "--version"]),
        lambda: _host([sys.executable, "-c", "pass"]),
        repeat,
    )
    return Pair("glovebox --version : python -c pass", ours, bare)


async def calls(session: Session, repeat: int) -> Pair:
    """A program run inside against the same program run here."""
    sandbox = (await session.enter()).sandbox

    async def inside() -> None:
        await sandbox.exec(["/bin/true"])

    ours, bare = await _alternate(inside, lambda: _host(["/bin/true"]), repeat)
    return Pair("a program inside : the same outside", ours, bare)


async def syncs(session: Session, repository: Path, clone: Path, repeat: int) -> Pair:
    """The way home of a one-line change against commit and fetch by hand in an equal clone."""
    await git(["clone", "-q", str(repository), str(clone)], repository.parent)
    ours: list[float] = []
    bare: list[float] = []
    for number in range(repeat):
        ours.append(await _sync_seconds(session))
        files.write_whole(clone / "f0" / "0.txt", f"{number}\n".encode())
        begun = time.perf_counter()
        await git(["add", "-A"], clone)
        await git(["commit", "-q", "-m", "change"], clone)
        await git(["fetch", "-q", str(clone), "+main:refs/speed/main"], repository)
        bare.append(time.perf_counter() - begun)
    what = f"sync of a line, {REPOSITORY_FILES:,} files : git by hand"
    return Pair(what, statistics.median(ours), statistics.median(bare))


async def _sync_seconds(session: Session) -> float:
    """From the end of a turn that changed a line to its commit on the branch."""
    begun = 0.0
    async for record in session.send("change a line"):
        name = type(record.event).__name__
        if name == "SyncStarted":
            begun = time.perf_counter()
    return time.perf_counter() - begun


async def _session(repository: Path, state: Path, *, turns: int) -> Session:
    replies: list[AssistantMessage] = []
    for number in range(turns):
        change = ToolCall(f"c{number}", "bash", dict(_CHANGE))
        replies += [AssistantMessage("", calls=(change,), stop="calls"), AssistantMessage("done")]
    options = Options(repository, Settings(model="scripted"), state=state)
    return await open_session(options, llm=Scripted(replies))


async def _alternate(ours: Job, bare: Job, repeat: int) -> tuple[float, float]:
    """The medians of both, run in turn after one run each that does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(repeat + 1):
        for job, kept in zip((ours, bare), times, strict=True):
            begun = time.perf_counter()
            await job()
            if number:
                kept.append(time.perf_counter() - begun)
    return statistics.median(times[0]), statistics.median(times[1])


async def _host(argv: list[str]) -> None:
    await process.run(argv, env={"PATH": env.variable("PATH")})
