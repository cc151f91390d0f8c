"""Several attempts at one task, side by side from one base, and which of them is the best."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from agent.app import Options, new_sessions, open_session, tree_of
from agent.core.errors import GloveboxError
from agent.core.events import Outcome, Problem, TurnFinished, problem_of
from agent.core.messages import Usage
from agent.git.packing import Packing
from agent.outcome import Attempt, Outcomes
from agent.session.catalog import Entry
from agent.session.session import Session

CHECK_SECONDS = 1_800.0
_SHOWN_CHARS = 2_000

Verdict = Literal["passes", "fails", "too slow", "not checked"]


@dataclass(slots=True)
class Runner:
    """One attempt: the session that makes it, and what came of it. It may not be over yet."""

    entry: Entry
    model: str
    outcome: Outcome = "interrupted"
    problem: Problem | None = None
    verdict: Verdict = "not checked"
    output: str = ""
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    files: int = 0
    added: int = 0
    removed: int = 0
    branch: str = ""  # where its work is, if there is any
    behind: bool = False  # whether some of it is only in the sandbox

    @property
    def number(self) -> int:
        return self.entry.number

    @property
    def wins(self) -> bool:
        """Whether it passes the check and there is something to be merged."""
        return self.verdict == "passes" and self.files > 0

    @property
    def rank(self) -> tuple[bool, bool, int, float, int]:
        """Less is better: the check, then the size of the change, then what it cost."""
        cost = float("inf") if self.usage.cost is None else self.usage.cost
        passes = self.verdict == "passes"
        return not self.wins, not passes, self.added + self.removed, cost, self.number


class Race:
    """Attempts under way in this process. `tell` hears of each that comes to its own end."""

    def __init__(self, options: Options, tell: Callable[[Runner], None]) -> None:
        self._options = options
        self._tell = tell
        self._packing = Packing()
        self._tree = tree_of(options.settings)
        self._open: set[Session] = set()
        self._checking: set[asyncio.Task[None]] = set()
        self.stopped = False

    async def begin(self, models: Sequence[str]) -> list[Runner]:
        """Make a session for each model. Raises as `open_session`."""
        entries = await new_sessions(self._options, models)
        return [Runner(entry, model) for entry, model in zip(entries, models, strict=True)]

    async def run(self, runners: Sequence[Runner], text: str, check: str) -> list[Runner]:
        """Have all do what `text` says, run `check` where each did it; the best comes first."""
        try:
            await asyncio.gather(*(self._run(one, text, check) for one in runners))
        finally:
            await self._packing.close()
        await self._measure(runners)
        return sorted(runners, key=lambda one: one.rank)

    def stop(self) -> None:
        """End every attempt where it is; its work is brought home, and nothing is checked."""
        self.stopped = True
        for session in self._open:
            session.interrupt()
        for checking in self._checking:
            checking.cancel()

    async def _run(self, runner: Runner, text: str, check: str) -> None:
        begun = time.monotonic()
        try:
            await self._attempt(runner, text, check)
        except GloveboxError as error:
            runner.outcome, runner.problem = "failed", problem_of(error)
        runner.seconds = time.monotonic() - begun
        if not self.stopped:
            self._tell(runner)

    async def _attempt(self, runner: Runner, text: str, check: str) -> None:
        settings = replace(self._options.settings, model=runner.model)
        options = dataclasses.replace(
            self._options,
            settings=settings,
            resume=runner.entry.id,
            packing=self._packing,
            tree=self._tree,
        )
        session = await open_session(options)
        self._open.add(session)
        try:
            if not self.stopped:
                async for record in session.send(text):
                    if isinstance(record.event, TurnFinished):
                        runner.outcome, runner.problem = record.event.outcome, record.event.problem
            runner.usage = session.state.usage
            if not self.stopped and session.state.seeded is not None:
                checking = asyncio.create_task(_check(session, runner, check))
                self._checking.add(checking)
                await asyncio.wait({checking})
                self._checking.discard(checking)
                if not checking.cancelled():
                    checking.result()
        finally:
            self._open.discard(session)
            runner.behind = session.state.behind
            await session.close()

    async def _measure(self, runners: Sequence[Runner]) -> None:
        outcomes = await Outcomes.of(self._options.directory)
        for one in runners:
            one.branch = outcomes.find(one.entry.id).state.branch
        homed = [one for one in runners if one.branch]
        attempts = await outcomes.attempts([one.entry.id for one in homed])
        for runner, attempt in zip(homed, attempts, strict=True):
            _count(runner, attempt)


def _count(runner: Runner, attempt: Attempt) -> None:
    runner.files = len(attempt.changes)
    runner.added, runner.removed = attempt.added, attempt.removed


async def _check(session: Session, runner: Runner, check: str) -> None:
    """What the check does in there is no part of the work: it is not brought home."""
    context = await session.enter()
    done = await context.sandbox.exec(["sh", "-c", check], seconds=CHECK_SECONDS)
    runner.output = done.output.decode("utf-8", "replace")[-_SHOWN_CHARS:]
    if done.timed_out:
        runner.verdict = "too slow"
    else:
        runner.verdict = "passes" if done.exit_code == 0 else "fails"
