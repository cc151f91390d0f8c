"""Many trials, several at once, each result written when it is there."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.core.errors import UserError
from agent.core.messages import Usage
from agent.host import files
from agent.loop.brakes import Budget, amount_of, spent_by
from benchmarks.results import Result, Results
from benchmarks.tasks import Task
from benchmarks.trial import RUN_BUDGET

Job = tuple[Task, int]


class Forecast:
    """What one more trial would bring a run to, if it took what those before took on average.

    Those that run count as such a trial each, or by what was `spent`, where that is more already.
    """

    def __init__(self, budget: Budget | None, done: Sequence[Result]) -> None:
        self._budget = budget
        self._usages = [result.usage for result in done]
        self._before = sum(self._usages, Usage())

    def add(self, result: Result) -> None:
        self._usages.append(result.usage)

    def refusal(self, running: int) -> str:
        """Why no trial should be started beside so many; "" when one may."""
        for kind in ("money", "tokens"):
            cap = self._budget.caps.of(kind) if self._budget else None
            if self._budget is None or cap is None or not self._usages:
                continue
            had = [spent_by(usage).of(kind) for usage in self._usages]
            before, mean = spent_by(self._before).of(kind), sum(had) / len(had)
            likely = max(sum(had) + running * mean, before + self._budget.spent.of(kind)) + mean
            if likely > before + cap:
                return (
                    f"another trial would likely bring the run to {amount_of(kind, likely)}"
                    f" of {amount_of(kind, before + cap)}: they take {amount_of(kind, mean)} each"
                )
        return ""


class Stop:
    """Asked once, no more trials are started; asked again, those that run are ended."""

    def __init__(self) -> None:
        self.asked = False
        self._tell: Callable[[str], None] = lambda _: None
        self._running: asyncio.Task[object] | None = None

    @contextmanager
    def on_interrupt(self, tell: Callable[[str], None]) -> Generator[None]:
        """Have Ctrl-C ask, while the block runs."""
        loop = asyncio.get_running_loop()
        self._tell, self._running = tell, asyncio.current_task()
        loop.add_signal_handler(signal.SIGINT, self.ask)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def ask(self) -> None:
        if self.asked and self._running is not None:
            self._running.cancel()
        elif not self.asked:
            self._tell("no more trials are started; press Ctrl-C again to end those that run")
        self.asked = True


def jobs_of(tasks: Sequence[Task], trials: int) -> list[Job]:
    """What is to be run: each task once, then each a second time, and so on."""
    return [(task, trial) for trial in range(1, trials + 1) for task in tasks]


async def run_jobs(
    jobs: Sequence[Job],
    run: Callable[[Job], Awaitable[Result]],
    results: Results,
    *,
    at_once: int,
    on_result: Callable[[Result], None],
    stop: Stop,
    forecast: Forecast,
) -> str:
    """Run `jobs`, `at_once` of them side by side; `on_result` gets each result once it is kept.

    No more are started when `stop` was asked, when the money of the run is spent or when one more
    would likely spend more: then the answer says so.
    """
    waiting, running, why = iter(jobs), 0, ""

    async def work() -> None:
        nonlocal running, why
        for job in waiting:
            why = why or forecast.refusal(running)
            if stop.asked or why:
                return
            running += 1
            result = await run(job)
            running -= 1
            results.add(result)
            forecast.add(result)
            on_result(result)
            stop.asked = stop.asked or result.reason == RUN_BUDGET

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(jobs))):
            group.create_task(work())
    return why


def new_folder(root: Path) -> Path:
    """A directory of this run's own, named after the time."""
    files.make_private_dir(root)
    name = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = root / (name if number == 1 else f"{name}-{number}")
        if files.claim_dir(folder):
            return folder
    raise UserError(f"there is no room for another run in `{root}`")
