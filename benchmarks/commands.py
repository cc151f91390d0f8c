"""The commands of the harness: run, resume, validate."""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as with_fields
from pathlib import Path

from msgspec.structs import replace

from agent import config
from agent.app import tree_of
from agent.config import Brake, Settings, require_model
from agent.core.errors import UserError
from agent.host import env
from agent.host.files import FileLock
from benchmarks import manifest
from benchmarks.agents import given_by, trial_folder
from benchmarks.cleaning import clear
from benchmarks.expectations import Expectation, Expectations, default_place, hashed, require
from benchmarks.grading import Place
from benchmarks.manifest import Manifest, Wanted
from benchmarks.needs import check_needs
from benchmarks.report import row_text, table
from benchmarks.repository import git
from benchmarks.results import Result, Results, Verdict, read_results
from benchmarks.run import Job, Stop, jobs_of, new_folder, run_jobs
from benchmarks.suites import load_suite
from benchmarks.tasks import Limits, Task
from benchmarks.trial import RUN_BUDGET, How, run_trial
from benchmarks.validation import validate

DONE, NO_VERDICT, USAGE, INTERRUPTED = 0, 1, 2, 130
RESULTS = "results.jsonl"
EXPECTED = "expected.json"
_TRIES = {"aider": 2, "blind": 1, "agentic": 1}
_CHECKED_BY_NATURE = ("oracle", "nop")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can start: what it is, what it does, and what is known already."""

    manifest: Manifest
    tasks: list[Task]
    settings: Settings
    known: Expectations


def run(options: argparse.Namespace) -> int:
    """A new run."""
    wanted = wanted_of(options)
    prepared = prepare(wanted, options.max_cost, options.max_tokens)
    folder = new_folder(options.out or env.state_dir() / "benchmarks").resolve()
    manifest.keep(folder, replace(prepared.manifest, commit=asyncio.run(_commit())))
    return carry_out(folder, prepared, [], options)


def resume(options: argparse.Namespace) -> int:
    """Go on with a run that was ended, or redo what has no verdict."""
    folder = options.run_folder.resolve()
    old = manifest.read(folder)
    wanted = replace(old.wanted, limit=options.limit or old.wanted.limit)
    money = old.max_cost if options.max_cost is None else options.max_cost
    tokens = old.max_tokens if options.max_tokens is None else options.max_tokens
    prepared = prepare(wanted, money, tokens)
    if different := manifest.differing(old, prepared.manifest):
        raise UserError(
            f"`{folder}` cannot go on as what it was: {'; '.join(different)}",
            "put that back as it was, or begin a new run",
        )
    manifest.keep(folder, replace(prepared.manifest, started=old.started, commit=old.commit))
    results = read_results(folder / RESULTS)
    done = [r for r in results if r.outcome != "invalid" or options.retry != "invalid"]
    done = [r for r in done if r.reason != RUN_BUDGET]
    return carry_out(folder, prepared, done, options)


async def _commit() -> str:
    """Which commit of glovebox this is, with a mark when it was changed since; "" without git."""
    try:
        return await git(["describe", "--always", "--dirty", "--abbrev=40"], Path(__file__).parent)
    except UserError:
        return ""


def wanted_of(options: argparse.Namespace) -> Wanted:
    """What was typed, absolute and whole."""
    return Wanted(
        suite=options.suite,
        path=str(options.path.resolve()),
        only=options.only,
        limit=options.limit,
        agent=options.agent,
        source=str(options.source.resolve()) if options.source else "",
        model=options.model,
        protocol=options.protocol,
        tries=options.tries or _TRIES[options.protocol],
        trials=options.trials,
        seed=options.seed,
        seconds=options.seconds,
        test_seconds=options.test_seconds,
        task_cost=options.task_cost,
        expected=str(options.expected.resolve()) if options.expected else "",
    )


def prepare(wanted: Wanted, money: float | None, tokens: int | None) -> Prepared:
    """Read tasks and settings, and refuse what could not be believed. Raises `UserError`."""
    settings = config.load(Path(), {})
    if wanted.task_cost is not None:
        settings = replace(settings, max_cost=wanted.task_cost)
    tasks = chosen(load_suite(wanted.suite, Path(wanted.path)), wanted)
    known = Expectations(Path(wanted.expected) if wanted.expected else default_place(wanted.suite))
    if wanted.agent not in _CHECKED_BY_NATURE:
        require(tasks, known, wanted.suite)
    if wanted.agent == "glovebox":
        tasks = [_answered(task, wanted, settings) for task in tasks]
    quarantine = {
        task.id: found.quarantine
        for task in tasks
        if (found := known.of(task)) is not None and found.quarantine
    }
    tasks = [task for task in tasks if task.id not in quarantine]
    tasks = tasks[: wanted.limit] if wanted.limit else tasks
    return Prepared(
        Manifest(
            wanted=wanted,
            tasks={task.id: task.version for task in tasks},
            quarantine=quarantine,
            expected=hashed(tasks, known),
            settings=manifest.settled(settings),
            code=manifest.hash_of_code(),
            started=time.strftime("%Y-%m-%d %H:%M:%S"),
            max_cost=money,
            max_tokens=tokens,
        ),
        tasks,
        settings,
        known,
    )


def _answered(task: Task, wanted: Wanted, settings: Settings) -> Task:
    """The task with its model: `--model`, else the task's own, else the configured one."""
    model = wanted.model or task.model or settings.model
    return with_fields(task, model=require_model(replace(settings, model=model)))


def chosen(tasks: Sequence[Task], wanted: Wanted) -> list[Task]:
    """The tasks that were asked for, in the order of the run, with the limits of the run."""
    patterns = wanted.only.split(",") if wanted.only else ["*"]
    found = [
        with_fields(
            task,
            limits=Limits(
                wanted.seconds or task.limits.agent, wanted.test_seconds or task.limits.tests
            ),
        )
        for task in tasks
        if any(fnmatch.fnmatchcase(task.id, pattern) for pattern in patterns)
    ]
    if not found:
        raise UserError(f"no task is named like `{wanted.only}`", f"there is `{tasks[0].id}`")
    return manifest.in_order(found, wanted.seed)


def carry_out(
    folder: Path, prepared: Prepared, done: list[Result], options: argparse.Namespace
) -> int:
    """Run what is not done yet; the exit code."""
    lock = FileLock(folder / ".lock")
    if not lock.acquire():
        raise UserError(f"`{folder}` is being run by another process", "wait for it to end")
    try:
        results = Results(folder / RESULTS)
        try:
            stopped = asyncio.run(_carried(folder, prepared, done, results, options))
        finally:
            results.close()
    finally:
        lock.release()
    ended = read_results(folder / RESULTS)
    print(table(ended))
    print(f"\nrun: {folder}")
    if stopped:
        return INTERRUPTED
    return NO_VERDICT if any(r.outcome == "invalid" for r in ended) else DONE


async def _carried(
    folder: Path,
    prepared: Prepared,
    done: list[Result],
    results: Results,
    options: argparse.Namespace,
) -> bool:
    wanted, stop = prepared.manifest.wanted, Stop()
    place = Place(folder, prepared.settings, asyncio.Semaphore(options.graders), options.keep)
    finished = {result.key for result in done}
    jobs = [job for job in jobs_of(prepared.tasks, wanted.trials)
            if (job[0].id, job[1]) not in finished]  # fmt: skip
    for task, trial in jobs:
        await clear(trial_folder(folder, task.id, trial), place)
    await check_needs([task for task, _ in jobs], place)
    how = how_of(prepared, done)
    count, total = len(done), len(done) + len(jobs)

    def on_result(result: Result) -> None:
        nonlocal count
        count += 1
        _say(f"[{count}/{total}] {row_text(result)}")

    async def one(job: Job) -> Result:
        task, trial = job
        return await run_trial(task, trial, how, place)

    try:
        with stop.on_interrupt(_say):
            _say(f"run: {folder}")
            if left_out := len(prepared.manifest.quarantine):
                _say(f"left out, as their verdict says nothing: {left_out}")
            await run_jobs(jobs, one, results, at_once=options.jobs, on_result=on_result, stop=stop)
    except asyncio.CancelledError:
        return True
    return stop.asked and not any(r.reason == RUN_BUDGET for r in read_results(results.path))


def how_of(prepared: Prepared, done: Sequence[Result]) -> How:
    """How tasks are solved in this run; what was spent before counts."""
    wanted, whole = prepared.manifest.wanted, prepared.manifest
    spent = [result.usage for result in done]
    money, tokens = whole.max_cost, whole.max_tokens
    cap = Brake(
        cost=None if money is None else max(0.0, money - sum(u.cost or 0.0 for u in spent)),
        tokens=None
        if tokens is None
        else max(0, tokens - sum(u.prompt + u.completion for u in spent)),
    )
    settings = prepared.settings
    settings = replace(settings, budgets=replace(settings.budgets, tree=cap))
    found = {task.id: prepared.known.of(task) for task in prepared.tasks}
    return How(
        settings=prepared.settings,
        agent=wanted.agent,
        protocol=wanted.protocol,
        tries=wanted.tries,
        given=given_by(wanted.agent, Path(wanted.source) if wanted.source else None),
        expected={name: each.tests for name, each in found.items() if each is not None},
        budget=tree_of(settings) if (money, tokens) != (None, None) else None,
    )


def check(options: argparse.Namespace) -> int:
    """Validate: find out what to expect of tasks, and which of them say nothing."""
    wanted = wanted_of(options)
    tasks = chosen(load_suite(wanted.suite, Path(wanted.path)), wanted)
    known = Expectations(Path(wanted.expected) if wanted.expected else default_place(wanted.suite))
    if not options.again:
        tasks = [task for task in tasks if known.of(task) is None]
    tasks = tasks[: wanted.limit] if wanted.limit else tasks
    folder = new_folder(options.out or env.state_dir() / "benchmarks").resolve()
    unclear = asyncio.run(_validated(tasks, known, folder, options))
    kept = [found for found in known.tasks.values() if not found.quarantine]
    for line in unclear:
        _say(f"unclear: {line}")
    for name, found in known.tasks.items():
        if found.quarantine:
            print(f"left out: {name}: {found.quarantine}")
    count = sum(len(found.tests) for found in kept)
    print(f"{len(kept)} of {len(known.tasks)} tasks can be believed, {count} tests: {known.path}")
    return NO_VERDICT if unclear else DONE


async def _validated(
    tasks: Sequence[Task], known: Expectations, folder: Path, options: argparse.Namespace
) -> list[str]:
    settings, count = config.load(Path(), {}), 0
    place = Place(folder, settings, asyncio.Semaphore(options.graders))
    await check_needs(tasks, place)

    def tell(task: Task, found: Expectation, verdict: Verdict) -> None:
        nonlocal count
        count += 1
        said = found.quarantine or f"{len(found.tests)} tests"
        _say(f"[{count}/{len(tasks)}] {task.id}  {said}  {verdict.seconds:.1f} s")

    return await validate(
        tasks, known, place, repeat=options.repeat, at_once=options.graders, tell=tell
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
