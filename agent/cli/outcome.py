"""`glovebox log, show, diff, compare, merge`: what sessions did, and taking it over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from agent.app import Options, open_session
from agent.cli.exits import Exit
from agent.cli.lines import cost_text
from agent.cli.person import AtShell, Person
from agent.config import Settings
from agent.core.errors import UserError
from agent.core.text import one_line, terminal_safe
from agent.outcome import Attempt, Conflict, How, Outcomes, Proposal, Session, message_of

_KEPT_PATHS = 40
CHECK_SECONDS = 600.0


async def log(directory: Path, wanted: str) -> Exit:
    """The commits of a session, newest first."""
    outcomes = await Outcomes.of(directory)
    async with outcomes.look(outcomes.find(wanted)) as (view, work):
        for commit in await view.log(work.start, work.tip):
            day = time.strftime("%Y-%m-%d %H:%M", time.localtime(commit.when))
            print(terminal_safe(f"{commit.id[:10]}  {day}  {commit.name}  {commit.subject}"))
    return Exit.DONE


async def show(directory: Path, wanted: str, commit: str) -> Exit:
    """One commit of a session, the last one when none is named."""
    outcomes = await Outcomes.of(directory)
    async with outcomes.look(outcomes.find(wanted)) as (view, work):
        known = [one.id for one in await view.log(work.start, work.tip)]
        fits = [one for one in known if one.startswith(commit)]
        if len(fits) != 1 and commit:
            raise UserError(
                f"{'no' if not fits else 'more than one'} commit of that session is `{commit}`",
                f"`glovebox log {wanted}` lists them",
            )
        print(await view.show(fits[0] if fits else work.tip))
    return Exit.DONE


async def diff(directory: Path, wanted: str, paths: Sequence[str]) -> Exit:
    """All that a session changed and that has come home."""
    outcomes = await Outcomes.of(directory)
    session = outcomes.find(wanted)
    async with outcomes.look(session) as (view, work):
        print(await view.diff(work.start, work.tip, paths), end="")
    _unsynced(session, AtShell())
    return Exit.DONE


def _unsynced(session: Session, person: Person) -> None:
    if session.state.behind:
        person.say(
            f"! session {session.number} holds work that has not come home; "
            f"`glovebox sync {session.number}` brings it"
        )


async def compare(
    directory: Path, wanted: Sequence[str], check: str, settings: Settings, person: Person
) -> Exit:
    """Sessions side by side: a column each."""
    outcomes = await Outcomes.of(directory)
    attempts = await outcomes.attempts(wanted)
    numbers = [str(attempt.session.number) for attempt in attempts] if check else []
    checks = [await _checked(directory, number, check, settings) for number in numbers]
    for line in table(attempts, checks):
        person.answer(line)
    for attempt in attempts:
        _unsynced(attempt.session, person)
    return Exit.DONE


async def _checked(directory: Path, number: str, check: str, settings: Settings) -> str:
    """How a command ends in a session's sandbox, in one word."""
    options = Options(directory, settings, resume=number, needs_model=False)
    session = await open_session(options)
    try:
        context = await session.visit(check)
        done = await context.sandbox.exec(["sh", "-c", check], seconds=CHECK_SECONDS)
        async for _ in session.sync(f"Work of {check}"):
            pass  # what the check changed comes home like everything else
    finally:
        await session.close()
    if done.timed_out:
        return "too slow"
    return "passes" if done.exit_code == 0 else f"fails ({done.exit_code})"


def table(attempts: Sequence[Attempt], checks: Sequence[str]) -> list[str]:
    """The comparison as aligned lines; a file that is the same in all attempts says so."""
    rows = [
        ["session", *(str(a.session.number) for a in attempts)],
        ["files", *(str(len(a.changes)) for a in attempts)],
        ["lines", *(f"+{a.added} -{a.removed}" for a in attempts)],
        ["turns", *(str(a.session.state.turn) for a in attempts)],
        ["cost", *(cost_text(a.session.state.usage) for a in attempts)],
    ]
    rows += [["check", *checks]] if checks else []
    by_path = [{c.path: c for c in a.changes} for a in attempts]
    paths = sorted({path for changes in by_path for path in changes})
    for path in paths[:_KEPT_PATHS]:
        cells = [_cell(changes[path].lines) if path in changes else "-" for changes in by_path]
        same = len({changes[path].new_id if path in changes else "" for changes in by_path}) == 1
        rows.append([one_line(path, 60), *cells, "the same" if same and len(cells) > 1 else ""])
    rows += [[f"and {len(paths) - _KEPT_PATHS} files more"]] if len(paths) > _KEPT_PATHS else []
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return ["  ".join(cell.ljust(widths[n]) for n, cell in enumerate(r)).rstrip() for r in rows]


def _cell(lines: tuple[int, int] | None) -> str:
    return "binary" if lines is None else f"+{lines[0]} -{lines[1]}"


async def merge(
    directory: Path, wanted: str, how: How, person: Person, *, message: str, hooks: bool
) -> Exit:
    """Show what would come into the user's branch, ask, and do it."""
    outcomes = await Outcomes.of(directory)
    session = outcomes.find(wanted)
    _unsynced(session, person)
    try:
        async with outcomes.merging(session, how) as proposal:
            branch = outcomes.repository.branch
            await _present(proposal, person)
            target = "your working tree" if how == "patch" else branch
            if not await person.agrees(f"{how} this into {target}?"):
                person.say("nothing was merged")
                return Exit.USAGE
            text = message or await message_of(session, proposal)
            head = await outcomes.accept(proposal, text, hooks=hooks)
    except Conflict as conflict:
        raise UserError(
            f"{conflict.message}; nothing was merged",
            f"`glovebox pull {session.number}` takes your commits to the agent, and it can settle"
            f" them: `glovebox --resume {session.number} -m 'resolve the conflicts'`",
        ) from conflict
    if how == "patch":
        number = session.number
        person.answer(f"✓ the changes of session {number} are in your working tree, uncommitted")
    else:
        person.answer(f"✓ {branch} is at {head[:10]}")
    return Exit.DONE


async def _present(proposal: Proposal, person: Person) -> None:
    view, old, new = proposal.view, proposal.onto, proposal.commit
    person.diff(await view.diff(old, new))
    for power in await view.powers(old, new):
        person.say(f"! look at {power.path}: {power.why}")
    if hooks := proposal.changes_hooks:
        person.say(f"! your hooks in {hooks} are among it, so none of them will run")
