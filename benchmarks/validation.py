"""Whether tasks can be believed: the reference must pass every time, and nothing at all must not.

What comes of it is the list of tests that are expected of each task, and why some are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.core.errors import GloveboxError
from agent.host import files
from benchmarks.agents import reference_of
from benchmarks.expectations import Expectation, Expectations
from benchmarks.grading import Place, grade
from benchmarks.images import build
from benchmarks.results import Verdict
from benchmarks.tasks import Task, Work

Tell = Callable[[Task, Expectation, Verdict], None]


async def validate(
    tasks: Sequence[Task],
    known: Expectations,
    place: Place,
    *,
    repeat: int,
    at_once: int,
    tell: Tell,
) -> list[str]:
    """Find out what to expect of `tasks`, and note it in `known`; `tell` hears of each.

    Returns those about which nothing could be found out, with the reason.
    """
    unclear: list[str] = []

    waiting = iter(tasks)

    async def work() -> None:
        for task in waiting:
            try:
                found, verdict = await _examined(task, place, repeat)
            except GloveboxError as error:
                unclear.append(f"{task.id}: {error.message}")
                continue
            known.add(task.id, found)
            tell(task, found, verdict)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return unclear


async def _examined(task: Task, place: Place, repeat: int) -> tuple[Expectation, Verdict]:
    """What is expected, and the verdict that says so. Raises when there is none."""
    if task.unfit:
        return Expectation(version=task.version, quarantine=task.unfit), Verdict()
    await build([task])
    reference = await reference_of(task, place, _folder(task, place) / "solved")
    oracle = await _verdict(task, reference, task.expected or None, place, "oracle")
    reason = "" if oracle.passed else f"its reference does not pass: {oracle.reason}"
    for number in range(2, repeat + 1):
        again = await _verdict(task, reference, task.expected or None, place, f"oracle-{number}")
        if (again.passed, set(again.names)) != (oracle.passed, set(oracle.names)):
            reason = "its reference passes at times"
    if oracle.passed and not reason:
        nothing = await _verdict(task, Work(), oracle.names, place, "nothing")
        reason = "it passes untouched" if nothing.passed else ""
    tests = oracle.names if oracle.passed else ()
    found = Expectation(
        version=task.version, tests=tests, quarantine=reason, seconds=oracle.seconds
    )
    return found, oracle


async def _verdict(
    task: Task, work: Work, expected: Sequence[str] | None, place: Place, name: str
) -> Verdict:
    folder = _folder(task, place) / name
    verdict = await grade(task, work, expected, place, folder / task.id.rpartition("/")[2])
    files.remove_tree(folder)
    files.write_whole(folder.with_suffix(".txt"), verdict.output.encode())
    if verdict.problem is not None:
        raise GloveboxError(verdict.problem.message, verdict.problem.hint)
    return verdict


def _folder(task: Task, place: Place) -> Path:
    return place.folder / "validation" / task.id.replace("/", "+")
