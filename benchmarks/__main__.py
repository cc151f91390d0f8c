"""`python -m benchmarks`: run tasks, or measure glovebox itself.

Exit codes: 0 every trial has a verdict (failed ones too: they are what a benchmark is for),
1 some have none, 3 something leaked in one, 2 usage or configuration, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import msgspec

from agent.core.errors import GloveboxError
from agent.core.text import terminal_safe
from benchmarks import commands as commands_of
from benchmarks import suites
from benchmarks.agents import AGENTS
from benchmarks.commands import DONE, NO_VERDICT, USAGE
from benchmarks.manifest import Wanted
from benchmarks.tasks import PROTOCOLS

_UNASKED = {
    key: value
    for key, value in msgspec.to_builtins(Wanted(suite="", path="")).items()
    if key not in ("suite", "path", "expected")  # which it asks as paths
}
"""What of a run `validate` does not ask is as it is by itself."""


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
    _choosing(run)
    run.add_argument("--agent", choices=AGENTS, default="glovebox", help="who solves them")
    run.add_argument("--from", dest="source", type=Path, help="the run that `replay` grades again")
    run.add_argument("--model", default="", help="for all tasks, whatever they name themselves")
    run.add_argument("--protocol", choices=PROTOCOLS, default="blind")
    run.add_argument("--tries", type=_count, default=0, help="more than the protocol's own")
    run.add_argument("--trials", type=_count, default=1, help="run each task so often")
    run.add_argument("--seconds", type=float, default=0.0, help="for one try, whatever tasks say")
    run.add_argument("--task-cost", type=float, help="dollars one trial may spend")
    _spending(run)
    run.set_defaults(run=commands_of.run)
    resume = commands.add_parser("resume", help="go on with a run that was ended")
    resume.add_argument("run_folder", type=Path, metavar="RUN")
    resume.add_argument("--retry", choices=["invalid"], help="also what has no verdict")
    resume.add_argument("--limit", type=_count, default=0, help="go on to so many tasks")
    _spending(resume)
    resume.set_defaults(run=commands_of.resume)
    validate = commands.add_parser("validate", help="find out which tasks can be believed")
    _choosing(validate)
    validate.add_argument("--repeat", type=_count, default=1, help="test references so often")
    validate.add_argument("--again", action="store_true", help="what is known already, too")
    validate.add_argument("--graders", type=_count, default=2, help="tests at once (default 2)")
    validate.set_defaults(run=commands_of.check, **_UNASKED)
    report = commands.add_parser("report", help="write the summary of a run again")
    report.add_argument("run_folder", type=Path, metavar="RUN")
    report.add_argument("--junit", type=Path, metavar="FILE", help="also as JUnit's XML, for CI")
    report.add_argument("--csv", type=Path, metavar="FILE", help="also as a table, a line a trial")
    report.set_defaults(run=commands_of.report)
    compare = commands.add_parser("compare", help="whether the second run is better")
    compare.add_argument("one", type=Path, metavar="RUN")
    compare.add_argument("other", type=Path, metavar="RUN")
    compare.add_argument("--seed", type=int, default=0, help="of the resampling (default 0)")
    compare.set_defaults(run=commands_of.compare_runs)
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


def _choosing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("suite", choices=suites.names(), help="the kind of tasks")
    parser.add_argument("path", type=Path, help="where they are")
    parser.add_argument("--only", default="", help="ids to take, such as `polyglot/python/*`")
    parser.add_argument("--limit", type=_count, default=0, help="the first so many, at random")
    parser.add_argument("--seed", type=int, default=0, help="of the order (default 0)")
    parser.add_argument("--test-seconds", type=float, default=0.0, help="for one run of the tests")
    parser.add_argument("--expected", type=Path, help="the file of what a validation found")
    parser.add_argument("--out", type=Path, help="where runs are kept")


def _spending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=_count, default=2, help="trials at once (default 2)")
    parser.add_argument("--graders", type=_count, default=2, help="tests at once (default 2)")
    parser.add_argument("--max-cost", type=float, help="dollars the whole run may spend")
    parser.add_argument("--max-tokens", type=_count, help="tokens the whole run may take")
    parser.add_argument("--keep", action="store_true", help="keep the sandboxes of agents too")


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
