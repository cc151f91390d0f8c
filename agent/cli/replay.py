"""What was said before, shown as it was: a journal's records through what shows a turn as it runs.

What streamed past is not in a journal, so of a call there is how it ended and not what it printed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agent.cli.live import Live
from agent.cli.screen import typed
from agent.cli.styled import Line, marked, plain
from agent.core.events import (
    AnyEvent,
    Entered,
    Notice,
    Ran,
    Record,
    Redone,
    SandboxState,
    Seeded,
    Steered,
    TurnStarted,
    Undone,
)
from agent.core.text import terminal_safe

if TYPE_CHECKING:
    from agent.cli.markdown import Markdown

SCREENS = 2
_RAN_LINES = 20
_OF_THE_MOMENT = (SandboxState, Seeded, Notice)


def turns(records: Sequence[Record]) -> list[list[AnyEvent]]:
    """What happened, turn by turn, without what was taken back; first what was before all turns."""
    found: list[list[AnyEvent]] = [[]]
    taken: list[list[list[AnyEvent]]] = []
    for record in records:
        match record.event:
            case TurnStarted():
                taken.clear()
                found.append([record.event])
            case Undone(turns=count):
                taken.append(found[-count:])
                del found[-count:]
            case Redone() if taken:
                found += taken.pop()
            case event if not isinstance(event, _OF_THE_MOMENT):
                found[-1].append(event)
            case _:
                pass
    return found


def lines_of(events: Sequence[AnyEvent], make: Callable[[], Markdown] | None) -> list[Line]:
    """A turn as it stood in the transcript."""
    live = Live(make)
    return [line for event in events for line in (*_before(event), *live.apply(event))]


def _before(event: AnyEvent) -> list[Line]:
    match event:
        case TurnStarted(message=message) | Steered(message=message):
            return typed(message.text, here=False)
        case Entered(command=command):
            return typed(f"!{command}", here=False)
        case Ran(text=text):
            rows = terminal_safe(text).rstrip("\n").split("\n")
            more = len(rows) - _RAN_LINES
            head = plain(f"… {more:,} more lines", "dim") if more > 0 else []
            return [*head, *plain("\n".join(rows[-_RAN_LINES:]))]
        case _:
            return []


def recalled(
    records: Sequence[Record], make: Callable[[], Markdown] | None, rows: int | None
) -> list[Line]:
    """The end of a conversation: the last turns that fit into `rows`, and what is above them.

    Without `rows` it is all of it.
    """
    found = turns(records)
    if rows is None:
        return [line for events in found for line in lines_of(events, make)]
    shown: list[Line] = []
    above = len(found)
    while above:
        lines = lines_of(found[above - 1], make)
        if shown and len(shown) + len(lines) > rows:
            break
        shown[:0] = lines
        above -= 1
    if not shown:
        return []
    cut = len(shown) - rows
    earlier = sum(isinstance(one, TurnStarted) for events in found[:above] for one in events[:1])
    before = [f"{earlier} earlier turn{'' if earlier == 1 else 's'}"] if earlier else []
    before += [f"{cut:,} lines of this one"] if cut > 0 else []
    head = marked(f"· above: {', '.join(before)}; `/history` shows all") if before else []
    return [*head, *shown[-rows:]]
