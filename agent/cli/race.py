"""`glovebox race`: several attempts at one task, a check, and the best of them offered."""

from __future__ import annotations

from collections.abc import Sequence

from agent import upkeep
from agent.app import Options
from agent.cli import outcome
from agent.cli.exits import Exit
from agent.cli.lines import cost_text, problem_text
from agent.cli.person import Person
from agent.config import Settings, require_model
from agent.core.errors import UserError
from agent.core.text import one_line
from agent.race import Race, Runner

_SHOWN_LINES = 5


async def race(
    options: Options,
    text: str,
    models: Sequence[str],
    check: str,
    person: Person,
    *,
    keep: bool,
) -> Exit:
    """Run an attempt for each model and say which is the best; exit code 9 when none passes."""
    if not text.strip():
        raise UserError("the task is empty", "say what is to be done")
    one = Race(options, lambda runner: _say(runner, person))
    with person.until(one.stop):
        runners = await one.begin(models)
        numbers = ", ".join(str(runner.number) for runner in runners)
        person.say(f"· sessions {numbers}; `glovebox watch` shows them")
        ranked = await one.run(runners, text, check)
    if one.stopped:
        person.say(_stopped(ranked))
        return Exit.INTERRUPTED
    for line in table(ranked):
        person.answer(line)
    best = ranked[0]
    if not best.wins:
        person.say("✗ none passes; all are kept")
        return Exit.CHECK
    person.answer(f"✓ session {best.number} is the best")
    if await _merged(options, best, person) and not keep:
        await _remove(options, ranked[1:], person)
    return Exit.DONE


async def _merged(options: Options, best: Runner, person: Person) -> bool:
    """Offer the winner; whether it was taken."""
    if not person.there:
        person.say(f"· `glovebox merge {best.number}` takes it; all attempts are kept")
        return False
    code = await outcome.merge(
        options.directory, best.entry.id, "merge", person, message="", hooks=True
    )
    return code == Exit.DONE


async def _remove(options: Options, losers: Sequence[Runner], person: Person) -> None:
    """Remove what is not needed any more; the branches stay."""
    branches: list[str] = []
    for loser in losers:
        gone = await upkeep.remove(options.directory, loser.entry.id, force=True, rescue=False)
        branches += [gone.branch] if gone.branch else []
    stay = f"; their branches stay: {', '.join(branches)}" if branches else ""
    count = len(losers)
    if count:
        person.say(f"· the other {count} are removed{stay}")


def entrants(count: int, names: str, settings: Settings) -> list[str]:
    """The models of `count` attempts: `names`, with commas between them, in turn, or the chosen."""
    models = [name.strip() for name in names.split(",") if name.strip()]
    models = models or [require_model(settings)]
    return [models[at % len(models)] for at in range(count)]


def _say(runner: Runner, person: Person) -> None:
    mark = {"passes": "✓", "not checked": "!"}.get(runner.verdict, "✗")
    spent = f"{runner.seconds:.0f} s, {cost_text(runner.usage)}"
    person.say(f"{mark} session {runner.number} {runner.verdict} ({spent})")
    if runner.problem is not None:
        person.say(f"    {problem_text(runner.problem)}")
    if runner.verdict == "fails":
        for line in runner.output.rstrip().splitlines()[-_SHOWN_LINES:]:
            person.say(f"    {one_line(line)}")


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
