"""What a session's children said and did: it is in journals of their own beside the session's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.core.errors import JournalError
from agent.core.events import ChildStarted, Forked, Record
from agent.session.journal import read

Conversations = Mapping[int, Sequence[Record]]
"""Records of children, by the place of their `ChildStarted` among the session's records."""

_BESIDE = re.compile(r"tasks/\d+")
_SESSION = re.compile(r"session ([\w-]+)")
_ID = re.compile(r"[\w-]+")


def conversations(journal: Path, records: Sequence[Record]) -> Conversations:
    """Those of the children in `records`, which `journal` has; of one that is gone nothing.

    What a session has taken over from another one names journals in the folder of that one.
    """
    found: dict[int, Sequence[Record]] = {}
    folder: Path | None = journal.parent
    for at in range(len(records) - 1, -1, -1):
        match records[at].event:
            case Forked(session=session):
                folder = journal.parent.parent / session if _ID.fullmatch(session) else None
            case ChildStarted(records=name):
                place = _place(name, folder, journal)
                if place is not None:
                    found[at] = _read(place)
            case _:
                pass
    return found


def _place(name: str, folder: Path | None, journal: Path) -> Path | None:
    if fork := _SESSION.fullmatch(name):
        return journal.parent.parent / fork[1] / journal.name
    return folder / f"{name}.jsonl" if folder is not None and _BESIDE.fullmatch(name) else None


def _read(place: Path) -> Sequence[Record]:
    try:
        return read(place)[0]
    except JournalError:
        return ()
