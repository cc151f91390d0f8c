"""`python -m benchmarks`: run tasks, or measure glovebox itself.

Exit codes: 0 every trial has a verdict (failed ones too: they are what a benchmark is for),
1 some have none, 2 usage or configuration, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from agent import config
from agent.core.errors import GloveboxError
from agent.core.text import terminal_safe
from agent.host import env
from benchmarks.report import row_text, table
from benchmarks.results import Result, Results
from benchmarks.run import Job, jobs_of, new_folder, run_jobs
from benchmarks.tasks import load_tasks
from benchmarks.trial import Place, run_trial

DONE, NO_VERDICT, USAGE, INTERRUPTED = 0, 1, 2, 130


def main() -> int:
    """Parse, run, and return the exit code."""
    options = _parser().parse_args()
    try:
        return int(options.run(options))
    except GloveboxError as error:
        hint = f"\n    {terminal_safe(error.hint)}" if error.hint else ""
        print(f"benchmarks: {terminal_safe(error.message)}{hint}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="run tasks and print a table")
    run.add_argument("suite", choices=["local"], help="the kind of tasks")
    run.add_argument("path", type=Path, help="a folder of tasks, or one task")
    run.add_argument("--model", default="", help="for all tasks, whatever they name themselves")
    run.add_argument("--jobs", type=_count, default=2, help="so many at once (default 2)")
    run.add_argument("--trials", type=_count, default=1, help="run each task so often")
    run.add_argument("--json", type=Path, help="append results here, not in the run's folder")
    run.add_argument("--out", type=Path, help="where runs are kept")
    run.add_argument("--keep", action="store_true", help="keep the sandboxes too")
    run.set_defaults(run=_run)
    speed = commands.add_parser("speed", help="measure glovebox against the bare thing")
    speed.add_argument("--repeat", type=_count, default=15, help="runs of each (default 15)")
    speed.set_defaults(run=_speed)
    travel = commands.add_parser("travel", help="measure seeds and syncs against git fetch")
    travel.add_argument("--repeat", type=_count, default=5, help="runs of each (default 5)")
    travel.set_defaults(run=_travel)
    maps = commands.add_parser("maps", help="the repository map against Aider's, on a clone")
    maps.add_argument("path", type=Path, help="a git repository with a history")
    maps.add_argument("--commits", type=int, default=38, help="so many of it (default 38)")
    maps.add_argument("--tokens", type=_count, nargs="+", default=[1000, 4000])
    maps.set_defaults(run=_maps)
    truth = commands.add_parser("truth", help="definitions and references against a server")
    truth.add_argument("path", type=Path, help="a repository of Python code")
    truth.add_argument("--count", type=_count, default=20, help="symbols of a kind (default 20)")
    truth.set_defaults(run=_truth)
    crowd = commands.add_parser("crowd", help="measure many local sandboxes at once")
    crowd.add_argument("--count", type=_count, default=100, help="how many (default 100)")
    crowd.set_defaults(run=_crowd)
    sessions = commands.add_parser("sessions", help="measure many sessions in one process")
    sessions.add_argument("--count", type=_count, default=100, help="how many (default 100)")
    sessions.add_argument("--real", type=_count, default=20, help="in local sandboxes (default 20)")
    sessions.set_defaults(run=_sessions)
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _run(options: argparse.Namespace) -> int:
    settings = config.load(Path(), {})
    jobs = jobs_of(load_tasks(options.path), options.trials, settings, options.model)
    folder = new_folder(options.out or env.state_dir() / "benchmarks")
    results, done = Results(options.json or folder / "results.jsonl"), list[Result]()

    def on_result(result: Result) -> None:
        done.append(result)
        print(f"[{len(done)}/{len(jobs)}] {row_text(result)}", file=sys.stderr, flush=True)

    place = Place(folder.resolve(), keep=options.keep)

    def run(job: Job) -> Coroutine[Any, Any, Result]:
        task, trial, chosen = job
        return run_trial(task, trial, chosen, place)

    try:
        asyncio.run(run_jobs(jobs, run, results, at_once=options.jobs, on_result=on_result))
        code = DONE if all(r.outcome != "error" for r in done) else NO_VERDICT
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        results.close()
    print(table(done))
    print(f"\nresults: {results.path}\nrepositories and journals: {folder}")
    return code


def _speed(options: argparse.Namespace) -> int:
    from benchmarks.speed.measure import measure

    asyncio.run(measure(options.repeat))
    return DONE


def _travel(options: argparse.Namespace) -> int:
    from benchmarks.speed.travel import measure_travel

    asyncio.run(measure_travel(options.repeat))
    return DONE


def _maps(options: argparse.Namespace) -> int:
    from benchmarks.speed.maps import measure_maps

    place = options.path.resolve()
    asyncio.run(measure_maps(place, commits=options.commits, tokens=options.tokens))
    return DONE


def _truth(options: argparse.Namespace) -> int:
    from benchmarks.speed.truth import measure_truth

    asyncio.run(measure_truth(options.path.resolve(), options.count))
    return DONE


def _crowd(options: argparse.Namespace) -> int:
    from benchmarks.speed.crowd import measure_crowd

    return DONE if asyncio.run(measure_crowd(options.count)) else NO_VERDICT


def _sessions(options: argparse.Namespace) -> int:
    from benchmarks.speed.sessions import measure_sessions

    return DONE if asyncio.run(measure_sessions(options.count, options.real)) else NO_VERDICT


if __name__ == "__main__":
    sys.exit(main())
