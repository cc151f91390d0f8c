"""The commands of the harness: run, resume, validate, report, compare."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from agent import config
from agent.core.errors import UserError
from agent.host import env, files
from agent.host.files import FileLock
from benchmarks import manifest
from benchmarks.agents import trial_folder
from benchmarks.cleaning import clear
from benchmarks.compare import Run, compare, worded
from benchmarks.expectations import Expectation, Expectations, default_place
from benchmarks.exports import junit, table_csv
from benchmarks.grading import Place, Turns
from benchmarks.images import build
from benchmarks.manifest import Wanted
from benchmarks.needs import check_needs
from benchmarks.planning import Plan, chosen, how_of, prepare
from benchmarks.publish import publish
from benchmarks.report import row_text, table
from benchmarks.repository import git
from benchmarks.results import Result, Results, Verdict, read_results
from benchmarks.run import Forecast, Job, Stop, jobs_of, new_folder, run_jobs
from benchmarks.suites import load_suite
from benchmarks.tasks import Task
from benchmarks.trial import RUN_BUDGET, run_trial
from benchmarks.validation import validate

DONE, NO_VERDICT, USAGE, LEAKED, INTERRUPTED = 0, 1, 2, 3, 130
RESULTS = "results.jsonl"
_TRIES = {"aider": 2, "blind": 1, "agentic": 1}


def run(options: argparse.Namespace) -> int:
    """A new run."""
    wanted = wanted_of(options)
    plan = prepare(wanted, options.max_cost, options.max_tokens)
    folder = new_folder(options.out or env.state_dir() / "benchmarks").resolve()
    manifest.keep(folder, replace(plan.manifest, commit=asyncio.run(_commit())))
    return carry_out(folder, plan, [], options)


def resume(options: argparse.Namespace) -> int:
    """Go on with a run that was ended, or redo what has no verdict."""
    folder = options.run_folder.resolve()
    old = manifest.read(folder)
    wanted = replace(old.wanted, limit=options.limit or old.wanted.limit)
    money = old.max_cost if options.max_cost is None else options.max_cost
    tokens = old.max_tokens if options.max_tokens is None else options.max_tokens
    plan = prepare(wanted, money, tokens)
    if different := manifest.differing(old, plan.manifest):
        raise UserError(
            f"`{folder}` cannot go on as what it was: {'; '.join(different)}",
            "put that back as it was, or begin a new run",
        )
    manifest.keep(folder, replace(plan.manifest, started=old.started, commit=old.commit))
    results = read_results(folder / RESULTS)
    done = [r for r in results if r.outcome != "invalid" or options.retry != "invalid"]
    done = [r for r in done if r.reason != RUN_BUDGET]
    return carry_out(folder, plan, done, options)


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


def carry_out(folder: Path, plan: Plan, done: list[Result], options: argparse.Namespace) -> int:
    """Run what is not done yet; the exit code."""
    lock = FileLock(folder / ".lock")
    if not lock.acquire():
        raise UserError(f"`{folder}` is being run by another process", "wait for it to end")
    try:
        results = Results(folder / RESULTS)
        try:
            stopped = asyncio.run(_carried(folder, plan, done, results, options))
        finally:
            results.close()
    finally:
        lock.release()
    ended = read_results(folder / RESULTS)
    names = publish(folder, manifest.read(folder), ended)
    print(table(ended))
    print(f"\n{', '.join((RESULTS, *names))}: {folder}")
    if stopped:
        return INTERRUPTED
    if _leaked(ended):
        return LEAKED
    whole = len(ended) >= len(plan.tasks) * plan.manifest.wanted.trials
    return DONE if whole and not any(r.outcome == "invalid" for r in ended) else NO_VERDICT


async def _carried(
    folder: Path,
    plan: Plan,
    done: list[Result],
    results: Results,
    options: argparse.Namespace,
) -> bool:
    wanted, stop = plan.manifest.wanted, Stop()
    place = Place(folder, plan.settings, Turns(options.graders), options.keep)
    finished = {result.key for result in done}
    jobs = [job for job in jobs_of(plan.tasks, wanted.trials)
            if (job[0].id, job[1]) not in finished]  # fmt: skip
    for task, trial in jobs:
        await clear(trial_folder(folder, task.id, trial), place)
    await build([task for task, _ in jobs])
    await check_needs([task for task, _ in jobs], place)
    how = how_of(plan, done)
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
            if left_out := len(plan.manifest.quarantine):
                _say(f"left out, as their verdict says nothing: {left_out}")
            why = await run_jobs(
                jobs,
                one,
                results,
                at_once=options.jobs,
                on_result=on_result,
                stop=stop,
                forecast=Forecast(how.budget, done),
            )
    except asyncio.CancelledError:
        return True
    if why:
        _say(f"stopped: {why}; `resume` with a higher `--max-cost` or `--max-tokens` goes on")
    return stop.asked and not any(r.reason == RUN_BUDGET for r in read_results(results.path))


def report(options: argparse.Namespace) -> int:
    """Write the summary of a run again, as far as it got."""
    run = _read(options.run_folder)
    names = publish(run.folder, run.manifest, run.results)
    for place, form in ((options.junit, junit), (options.csv, table_csv)):
        if place is not None:
            files.write_whole(place, form(run.manifest, run.results).encode(), mode=0o644)
    print(files.read_text(run.folder / names[0]))
    return LEAKED if _leaked(run.results) else DONE


def _leaked(results: Sequence[Result]) -> bool:
    """Whether something came to light in some trial; said for each."""
    found = [result for result in results if result.leaks]
    for result in found:
        _say(f"leaked: {result.task}#{result.trial}: {'; '.join(result.leaks)}")
    return bool(found)


def compare_runs(options: argparse.Namespace) -> int:
    """Say whether the second run is better than the first."""
    one, other = (_read(folder) for folder in (options.one, options.other))
    print(worded(compare(one, other, seed=options.seed), one, other))
    return DONE


def _read(folder: Path) -> Run:
    return Run(manifest.read(folder), read_results(folder / RESULTS), folder.resolve())


def check(options: argparse.Namespace) -> int:
    """Validate: find out what to expect of tasks, and which of them say nothing."""
    wanted = wanted_of(options)
    tasks = chosen(load_suite(wanted.suite, Path(wanted.path)), wanted)
    known = Expectations(Path(wanted.expected) if wanted.expected else default_place(wanted.suite))
    if not options.again:
        tasks = [task for task in tasks if known.found(task) is None]
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
    place = Place(folder, settings, Turns(options.graders))
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
