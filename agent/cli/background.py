"""`glovebox spawn, ps, watch, stop`: sessions that run without a terminal, and looking at them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agent.app import Options
from agent.background import Host, require_tasks
from agent.background import spawn as spawn_sessions
from agent.cli.exits import Exit
from agent.cli.lines import cost_text
from agent.cli.person import AtShell, Person
from agent.core.text import one_line, terminal_safe
from agent.host import terminal
from agent.overview import Overview, Sight
from agent.session.glance import BUSY

LOOK_SECONDS = 0.3
_MARKS = {"failed": "✗", "limit": "✗", "interrupted": "!", "waiting": "?", "done": "✓"}


async def spawn(options: Options, texts: Sequence[str], name: str, person: Person) -> Exit:
    """Start a session for each task and say how to look at them; they go on by themselves."""
    require_tasks(texts)
    for entry, text in zip(await spawn_sessions(options, texts, name), texts, strict=True):
        person.answer(f"{entry.number:>4}  {one_line(text, 80)}")
    person.say(
        "· they run in the background: `glovebox watch` shows them, `glovebox attach N` joins one"
    )
    return Exit.DONE


async def host(identities: Sequence[str]) -> Exit:
    """Run the errands of sessions; what `spawn` starts. Survives its terminal."""
    one = Host()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, one.stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    failed = await one.run(identities)
    for identity, error in failed:
        print(f"session {identity}:", file=sys.stderr)
        traceback.print_exception(error)
    return Exit.OURS if failed else Exit.DONE


async def ps(directory: Path, person: Person, *, as_json: bool, every: bool, but: str = "") -> Exit:
    """One line a session `but` one: how it stands, and what it does now."""
    overview = await Overview.of(directory)
    found, problems = overview.look(every=every)
    sights = [sight for sight in found if sight.entry.id != but]
    if as_json:
        for sight in sights:
            print(json.dumps(sight.facts(), ensure_ascii=True))
    else:
        for row in rows(sights):
            person.answer(row)
        if not sights and not problems:
            person.answer("no session ran in the last day; `--all` lists older ones")
    for problem in problems:
        person.say(f"! {problem}")
    return Exit.OURS if problems else Exit.DONE


def rows(sights: Sequence[Sight], columns: int = 0) -> list[str]:
    """A table with a head; no line is longer than `columns`, unless that is 0."""
    if not sights:
        return []
    cells = [("N", "STATE", "STEP", "SPENT", "AGE", "SYNC", "TITLE", "NOW"), *map(_cells, sights)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]) - 1)]
    lines: list[str] = []
    for *row, last in cells:
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line = terminal_safe(f"{text}  {last}").rstrip()
        lines.append(line[: columns - 1] if columns else line)
    return lines


def _cells(sight: Sight) -> tuple[str, ...]:
    state = sight.glance.state
    cost = sight.glance.usage.cost
    return (
        str(sight.number),
        sight.standing,
        str(state.step or state.steps or "-"),
        "?" if cost is None else f"${cost:.2f}",
        age_text(sight.facts()["age"]),
        sight.sync,
        one_line(sight.glance.title, 32),
        one_line(sight.now, 100),
    )


def age_text(seconds: float) -> str:
    """A time in its largest unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


async def watch(directory: Path, wanted: Sequence[str]) -> Exit:
    """Show sessions until none of them runs any more, or until Ctrl-C, which ends none of them.

    Without numbers all that run, those that are started meanwhile included. At a terminal the
    table is drawn anew; anywhere else each change is a line.
    """
    person, never = AtShell(), asyncio.Event()
    screen = _Drawn() if sys.stdout.isatty() else Changes(person)
    seen = await shown_until(never, directory, wanted, screen)
    if not seen:
        person.answer("no session is running")
    return Exit.OURS if any(sight.standing == "failed" for sight in seen) else Exit.DONE


async def shown_until(
    enough: asyncio.Event, directory: Path, wanted: Sequence[str], screen: Showing, but: str = ""
) -> list[Sight]:
    """Show how sessions stand, all that run `but` one or those `wanted`, as long as one runs.

    Those that were shown last.
    """
    overview = await Overview.of(directory)
    seen: dict[str, Sight] = {}
    while not enough.is_set():
        found = (
            [overview.find(one) for one in wanted]
            if wanted
            else [
                s
                for s in overview.look()[0]
                if (s.live or s.entry.id in seen) and s.entry.id != but
            ]
        )
        seen = {sight.entry.id: sight for sight in found}
        screen.show(found)
        if not any(sight.standing in BUSY for sight in found):
            break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await enough.wait()
    return list(seen.values())


class Showing(Protocol):
    def show(self, sights: Sequence[Sight]) -> None:
        """Show how they stand now."""
        ...


class _Drawn:
    """A table that replaces itself."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def show(self, sights: Sequence[Sight]) -> None:
        height, columns = terminal.size()
        lines = rows(sights, columns)
        if len(lines) >= height:
            lines = [*lines[: height - 2], f"… {len(lines) - height + 2} more"]
        if lines == self._lines:
            return
        back = f"\x1b[{len(self._lines)}F" if self._lines else ""
        # Line by line: nothing flickers, and no terminal keeps each old table in its scrollback, as
        # some do when all of the screen is erased.
        sys.stdout.write(back + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        sys.stdout.flush()
        self._lines = lines


class Changes:
    """A line for everything that changed."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._said: dict[str, str] = {}

    def show(self, sights: Sequence[Sight]) -> None:
        for sight in sights:
            mark = _MARKS.get(sight.standing, "·")
            text = terminal_safe(f"{mark} {sight.number} {sight.standing} {one_line(sight.now)}")
            if self._said.get(sight.entry.id) != text:
                self._said[sight.entry.id] = text
                self._person.answer(text.rstrip())


async def stop(directory: Path, wanted: Sequence[str], person: Person) -> Exit:
    """End what sessions do now, wherever they run; what they did is brought home."""
    overview = await Overview.of(directory)
    for sight in await overview.stop(wanted):
        state, spent = sight.glance.state, cost_text(sight.glance.usage)
        where = f"its work is on {state.branch}" if state.branch else "it has changed nothing"
        if state.behind:
            where = "not all of its work is on its branch"
        person.answer(f"✓ session {sight.number} is stopped; {where} ({spent})")
    return Exit.DONE
