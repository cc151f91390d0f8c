"""Where a session begins that another is the beginning of: which records are taken over.

The conversation up to a point, what the model saw of each file, its list of what is to do. Nothing
that lets the new one reach what is the other's: its sandbox, its branch, hosts it was allowed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import takewhile

from agent.core.errors import UserError
from agent.core.events import (
    RECORD_VERSION,
    Adopted,
    AnyEvent,
    EgressAnswered,
    EgressAsked,
    Entered,
    Forked,
    HostAllowed,
    Pulled,
    Record,
    Redone,
    Renamed,
    SandboxState,
    Seeded,
    SessionStarted,
    TurnFinished,
    TurnStarted,
    Undone,
)
from agent.session.mend import mending
from agent.session.state import State

_LEFT = (
    *(SessionStarted, Adopted, Renamed, SandboxState),
    *(EgressAsked, EgressAnswered, HostAllowed),
)
_AFTERWARDS = (TurnStarted, Undone, Redone, Pulled, Entered)


def folded(records: Sequence[Record]) -> State:
    """What the records make."""
    state = State()
    for record in records:
        state.apply(record)
    return state


def forked(
    records: Sequence[Record],
    begins: SessionStarted,
    *,
    turn: int | None = None,
    tip: str = "",
    running: bool = False,
    fresh: bool = False,
) -> list[Record]:
    """The journal of a fork: `begins`, what it takes over of `records`, and that it is a fork.

    It goes on after `turn`, or where the other is now; of one that is `running` an unfinished turn
    is left out. `tip` is a commit that is newer than the last the records know. With `fresh` the
    files are taken over and no conversation. Raises `UserError` for a turn that cannot be had.
    """
    whole = folded(records)
    kept = _until(records, turn, running=running)
    state = folded(kept)
    if turn is not None and state.behind:
        raise UserError(
            f"the work of turn {turn} did not come home by itself",
            "fork the session at a later turn, or as it is now",
        )
    assert whole.started is not None
    last = Forked(
        session=whole.started.id,
        number=whole.started.number,
        turn=0 if fresh else state.turn,
        tip="" if whole.seeded is None else (tip or state.last or whole.seeded.tip),
        ref=whole.sandbox_ref if turn is None and not fresh else "",
    )
    if fresh:
        kept = []
    made = [one for one in kept if not isinstance(one.event, _LEFT)]
    if whole.seeded is not None and not any(isinstance(one.event, Seeded) for one in made):
        made.append(record_of(0 if not made else made[-1].turn, whole.seeded))
    return closed([record_of(0, begins), *made], last)


def closed(records: list[Record], last: Forked) -> list[Record]:
    """Records of an earlier session made whole, with `last` as their end."""
    state = folded(records)
    for event in mending(state):
        records.append(record_of(state.turn, event))
        state.apply(records[-1])
    return [*records, record_of(state.turn, last)]


def record_of(turn: int, event: AnyEvent) -> Record:
    """A record made now, to be numbered when it is written."""
    return Record(RECORD_VERSION, 0, round(time.time(), 3), turn, event)


def _until(records: Sequence[Record], turn: int | None, *, running: bool) -> list[Record]:
    if turn is None:
        return _without_open(records) if running else list(records)
    if turn == 0:
        return list(takewhile(lambda one: not isinstance(one.event, TurnStarted), records))
    starts = [
        at
        for at, one in enumerate(records)
        if isinstance(one.event, TurnStarted) and one.turn == turn
    ]
    if not starts:
        last = max((one.turn for one in records), default=0)
        raise UserError(
            f"there is no turn {turn}", f"turns 0 to {last} can be had; 0 is before the first"
        )
    after = records[starts[0] + 1 :]
    rest = list(takewhile(lambda one: not isinstance(one.event, _AFTERWARDS), after))
    if not any(isinstance(one.event, TurnFinished) for one in rest):
        raise UserError(f"turn {turn} is not over", "wait until it is, or fork an earlier one")
    return [*records[: starts[0] + 1], *rest]


def _without_open(records: Sequence[Record]) -> list[Record]:
    open_at = None
    for at, one in enumerate(records):
        if isinstance(one.event, TurnStarted):
            open_at = at
        elif isinstance(one.event, TurnFinished):
            open_at = None
    return list(records) if open_at is None else list(records[:open_at])
