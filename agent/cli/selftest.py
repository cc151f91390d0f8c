"""`glovebox selftest`: the score card of a sandbox, for a person or as JSON."""

from __future__ import annotations

import itertools
import sys

import msgspec

from agent.cli.exits import Exit
from agent.config import Settings
from agent.core.text import terminal_safe
from agent.doctor.selftest import Card, Tried, selftest

_MARKS = {"held": "✓ held", "escaped": "✗ ESCAPED", "broken": "? broken", "skipped": "· skipped"}


async def run(settings: Settings, *, as_json: bool) -> Exit:
    """Try it and print the card. The code says whether everything held."""
    if not as_json:
        print("· trying to get out of a real sandbox; this takes a moment", file=sys.stderr)
    card = await selftest(settings)
    if as_json:
        data = {"ok": card.ok} | msgspec.to_builtins(card)
        print(msgspec.json.format(msgspec.json.encode(data)).decode())
    else:
        print(terminal_safe(card_text(card)))
    return Exit.DONE if card.ok else Exit.SANDBOX


def card_text(card: Card) -> str:
    """The card as a person reads it."""
    lines = [f"Sandbox `{card.backend}`, network `{card.network}`"]
    for area, group in itertools.groupby(card.attempts, lambda tried: tried.area):
        lines += ["", f"Attempts on {area}", *map(_attempt, group)]
    lines += ["", "Ordinary work inside"]
    lines += [
        f"  {'✓ works' if work.ok else '✗ BROKEN':<10} {work.title}"
        + (f": {work.evidence}" if work.evidence else "")
        for work in card.controls
    ]
    return "\n".join([*lines, "", *_verdict(card)])


def _attempt(tried: Tried) -> str:
    proof = "" if tried.proved else "  (not shown to work without the sandbox)"
    told = f": {tried.evidence}" if tried.evidence else proof
    return f"  {_MARKS[tried.outcome]:<10} {tried.title}{told}"


def _verdict(card: Card) -> list[str]:
    count = {mark: sum(t.outcome == mark for t in card.attempts) for mark in _MARKS}
    proved = sum(t.proved is True for t in card.attempts)
    lines = [
        f"{count['held']} held, {count['escaped']} escaped, {count['broken']} could not be made, "
        f"{count['skipped']} skipped; {proved} of them get through where there is no sandbox."
    ]
    if card.visits:
        lines.append(f"Services of this machine were reached {card.visits} times from inside.")
    if not all(work.ok for work in card.controls):
        lines.append("Ordinary work does not get done inside, so the attempts prove little.")
    lines.append("The sandbox holds." if card.ok else "The sandbox does NOT hold: do not use it.")
    return lines
