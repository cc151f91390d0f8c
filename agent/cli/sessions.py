"""`glovebox sessions, rename, fork, adopt`: which sessions there are, and what becomes of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.app import Options, fork_session, import_session
from agent.cli.exits import Exit
from agent.cli.lines import problem_text
from agent.core.errors import GloveboxError
from agent.core.events import problem_of
from agent.core.text import one_line, terminal_safe
from agent.host import files
from agent.outcome import Hit, Outcomes, Session, everywhere, words_in
from agent.session.session import Session as Live
from agent.session.transcript import TRANSCRIPT_MAX_BYTES, decoded
from agent.whereabouts import Stray, adopt, strays

_NAME_CHARS = 30


async def run(directory: Path, *, search: str, as_json: bool, all_of_them: bool) -> Exit:
    """One line a session, the one used last at the end; with `search` those that have its words."""
    lost: list[Stray] = []
    if all_of_them:
        found, problems = everywhere()
    else:
        outcomes = await Outcomes.of(directory)
        sessions, problems = outcomes.sessions()
        found = [(str(outcomes.repository.root), one) for one in sessions]
        lost = await strays(directory)
    words = search.split()
    shown = [(place, one, _hits(one, words)) for place, one in found]
    kept = [(place, one, hits) for place, one, hits in shown if hits is not None]
    seen = ""
    for place, one, hits in kept:
        if as_json:
            print(json.dumps(_as_data(place, one, hits), ensure_ascii=True))
            continue
        if all_of_them and place != seen:
            print(terminal_safe(place or "a repository whose place is not known"))
            seen = place
        print(row(one))
        for hit in hits:
            print(terminal_safe(f"        {hit.turn:>3}: {hit.text}"))
    for problem in problems:
        print(terminal_safe(f"! {problem}"), file=sys.stderr)
    if not kept and not problems and not as_json:
        print(_nothing(words, all_of_them=all_of_them))
    _offer(lost)
    return Exit.OURS if problems else Exit.DONE


def _hits(one: Session, words: Sequence[str]) -> list[Hit] | None:
    return words_in(one, words) if words else []


def _nothing(words: Sequence[str], *, all_of_them: bool) -> str:
    if words:
        return "no session has all of these words"
    return "there is no session yet" if all_of_them else "this repository has no session yet"


def _offer(lost: Sequence[Stray]) -> None:
    for path in dict.fromkeys(one.path for one in lost):
        numbers = ", ".join(str(one.entry.number) for one in lost if one.path == path)
        print(
            terminal_safe(
                f"! a repository with the same history was at {path} and is gone; its sessions:"
                f" {numbers}\n    if this is a new clone of it, `glovebox adopt` takes them over"
            ),
            file=sys.stderr,
        )


def row(one: Session) -> str:
    """A session on one line."""
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.entry.used))
    state = "running" if one.running else one.state.sync
    branch = one.state.branch or "-"
    name = f"{one_line(one.name, _NAME_CHARS)}: " if one.name else ""
    return terminal_safe(f"{one.number:>4}  {used}  {state:<7}  {branch:<14}  {name}{one.title}")


def _as_data(place: str, one: Session, hits: Sequence[Hit]) -> dict[str, Any]:
    state = one.state
    return {
        "number": one.number,
        "id": one.entry.id,
        "name": one.name,
        "title": one.title,
        "repository": place,
        "used": round(one.entry.used, 3),
        "running": one.running,
        "sync": state.sync,
        "branch": state.branch,
        "commit": state.branch_value,
        "turns": state.turn,
        "tokens": state.usage.prompt + state.usage.completion,
        "cost": state.usage.cost,
        "cost_before_fork": state.inherited.cost,
        "forked": state.forked.session if state.forked else "",
        "found": [{"turn": hit.turn, "text": hit.text} for hit in hits],
    }


async def rename(directory: Path, wanted: str, name: str) -> Exit:
    """Give a session a name that can stand where its number can."""
    outcomes = await Outcomes.of(directory)
    number = await outcomes.rename(wanted, name)
    called = f"is called `{name.strip()}`" if name.strip() else "has its number alone"
    print(terminal_safe(f"✓ session {number} {called} now"))
    return Exit.DONE


async def fork(options: Options, wanted: str, turn: int | None) -> Exit:
    """Make a session that starts where another stands, with its sandbox, and leave it."""
    session = await fork_session(options, wanted, turn=turn)
    try:
        for line in forked(session):
            print(terminal_safe(line))
        try:
            await session.enter()
        except GloveboxError as error:
            print(f"! its sandbox is not up: {problem_text(problem_of(error))}", file=sys.stderr)
            return Exit.SANDBOX
    finally:
        await session.close()
    return Exit.DONE


def forked(session: Live) -> list[str]:
    """What there is to say of a new fork."""
    origin, number = session.state.forked, session.number
    assert origin is not None
    after = f" after turn {origin.turn}" if origin.turn else ""
    return [
        f"✓ session {number} starts where session {origin.number} stood{after}",
        f"· its work arrives on {session.branch}; `glovebox --resume {number}` goes on with it",
    ]


async def read_in(options: Options, file: Path) -> Exit:
    """Make a session of a transcript."""
    name = str(file)
    found = decoded(files.read_bytes(file, limit=TRANSCRIPT_MAX_BYTES), name)
    session, there = await import_session(options, found)
    await session.close()
    print(terminal_safe(f"✓ session {session.number} begins with {len(found.messages)} messages"))
    if there:
        print(f"· and with the files of {found.tip[:10]}, on {session.branch}")
    elif found.tip:
        print(f"! its commit {found.tip[:10]} is not here: it begins with your files as they are")
    print(
        f"· `glovebox --resume {session.number}` goes on with it; the model will take what is in"
        " the file for what was said and done"
    )
    return Exit.DONE


async def take_over(directory: Path, wanted: tuple[str, ...]) -> Exit:
    """Make sessions of a lost clone sessions of this one."""
    taken = await adopt(directory, wanted)
    for one in taken:
        was = f" (it was {one.old})" if one.old != one.number else ""
        print(f"✓ session {one.number} is of this repository now{was}")
    if taken:
        print("· `glovebox sync N` brings what is in their sandboxes to branches here")
    else:
        print("there is no session of a lost repository with this history")
    return Exit.DONE
