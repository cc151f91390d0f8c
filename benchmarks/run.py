"""Many trials, several at once, each result written when it is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from agent.config import Settings, require_model
from agent.core.errors import UserError
from agent.host import files
from benchmarks.results import Result, Results
from benchmarks.tasks import Task

Job = tuple[Task, int, Settings]


def jobs_of(tasks: Sequence[Task], trials: int, settings: Settings, model: str) -> list[Job]:
    """What is to be run: each task once, then each a second time, and so on.

    `model` wins over the task's own, which wins over the configured one. Raises `UserError` when a
    task is left without.
    """
    named = [
        (task, replace(settings, model=model or task.settings.model or settings.model))
        for task in tasks
    ]
    for _, chosen in named:
        require_model(chosen)
    return [(task, trial, chosen) for trial in range(1, trials + 1) for task, chosen in named]


async def run_jobs(
    jobs: Sequence[Job],
    run: Callable[[Job], Awaitable[Result]],
    results: Results,
    *,
    at_once: int,
    on_result: Callable[[Result], None],
) -> None:
    """Run `jobs`, `at_once` of them side by side; `on_result` gets each result once it is kept."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            result = await run(job)
            results.add(result)
            on_result(result)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(jobs))):
            group.create_task(work())


def new_folder(root: Path) -> Path:
    """A directory of this run's own, named after the time."""
    files.make_private_dir(root)
    name = time.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 1000):
        folder = root / (name if number == 1 else f"{name}-{number}")
        if files.claim_dir(folder):
            return folder
    raise UserError(f"there is no room for another run in `{root}`")
