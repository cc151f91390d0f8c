"""`glovebox race`: several attempts at one task, a check, and the best of them offered."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from agent import upkeep
from agent.app import Options
from agent.cli import outcome
from agent.cli.exits import Exit
from agent.cli.lines import cost_text, problem_text
from agent.cli.stopping import stopping
from agent.core.errors import UserError
from agent.core.text import one_line, terminal_safe
from agent.race import Race, Runner

_SHOWN_LINES = 5


async def race(
    options: Options,
    text: str,
    models: Sequence[str],
    check: str,
    *,
    yes: bool,
    keep: bool,
) -> Exit:
    """Run an attempt for each model and say which is the best; exit code 9 when none passes."""
    if not text.strip():
        raise UserError("the task is empty", "say what is to be done")
    one = Race(options, _say)
    loop = asyncio.get_running_loop()
    with stopping(one.stop, lambda: loop.call_soon_threadsafe(one.stop)):
        runners = await one.begin(models)
        numbers = ", ".join(str(runner.number) for runner in runners)
        print(f"· sessions {numbers}; `glovebox watch` shows them", file=sys.stderr)
        ranked = await one.run(runners, text, check)
    if one.stopped:
        print(terminal_safe(_stopped(ranked)), file=sys.stderr)
        return Exit.INTERRUPTED
    for line in table(ranked):
        print(terminal_safe(line))
    best = ranked[0]
    if not best.wins:
        print("✗ none passes; all are kept", file=sys.stderr)
        return Exit.CHECK
    print(f"✓ session {best.number} is the best")
    if await _merged(options, best, yes=yes) and not keep:
        await _remove(options, ranked[1:])
    return Exit.DONE


async def _merged(options: Options, best: Runner, *, yes: bool) -> bool:
    """Offer the winner; whether it was taken."""
    if not yes and not sys.stdin.isatty():
        hint = f"· `glovebox merge {best.number}` takes it; all attempts are kept"
        print(hint, file=sys.stderr)
        return False
    code = await outcome.merge(
        options.directory, best.entry.id, "merge", message="", hooks=True, yes=yes
    )
    return code == Exit.DONE


async def _remove(options: Options, losers: Sequence[Runner]) -> None:
    """Remove what is not needed any more; the branches stay."""
    branches: list[str] = []
    for loser in losers:
        gone = await upkeep.remove(options.directory, loser.entry.id, force=True, rescue=False)
        branches += [gone.branch] if gone.branch else []
    stay = f"; their branches stay: {', '.join(branches)}" if branches else ""
    count = len(losers)
    if count:
        print(terminal_safe(f"· the other {count} are removed{stay}"), file=sys.stderr)


def _say(runner: Runner) -> None:
    mark = {"passes": "✓", "not checked": "!"}.get(runner.verdict, "✗")
    spent = f"{runner.seconds:.0f} s, {cost_text(runner.usage)}"
    print(f"{mark} session {runner.number} {runner.verdict} ({spent})", file=sys.stderr)
    if runner.problem is not None:
        print(f"    {problem_text(runner.problem)}", file=sys.stderr)
    if runner.verdict == "fails":
        for line in runner.output.rstrip().splitlines()[-_SHOWN_LINES:]:
            print(f"    {one_line(line)}", file=sys.stderr)


def _stopped(runners: Sequence[Runner]) -> str:
    """What there is of a race that was ended early."""
    attempts = sorted(runners, key=lambda one: one.number)
    branches = ", ".join(one.branch for one in attempts if one.branch)
    text = "! stopped; nothing was checked or merged"
    text += f", what the attempts did is on {branches}" if branches else ""
    left = [f"`glovebox sync {one.number}`" for one in attempts if one.behind]
    return text + (f"\n    not all of it came home: {', '.join(left)}" if left else "")


def table(runners: Sequence[Runner]) -> list[str]:
    """One line an attempt, the best first."""
    rows = [("session", "check", "files", "lines", "ended", "seconds", "spent", "model")]
    rows += [
        (
            str(one.number),
            one.verdict,
            str(one.files),
            f"+{one.added} -{one.removed}",
            one.outcome,
            f"{one.seconds:.0f}",
            cost_text(one.usage),
            one.model,
        )
        for one in runners
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(widths[n]) for n, cell in enumerate(row)).rstrip() for row in rows]
