"""What a session is called besides its number: one line, nothing that could be a number or a flag.

The name is in the journal like everything else; it is found by the lines that speak of it alone.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.core.errors import UserError
from agent.core.events import Record, Renamed
from agent.core.text import one_line
from agent.host import files
from agent.session.journal import JOURNAL_MAX_BYTES

NAME_MAX_CHARS = 60
_MARK = b'"type":"Renamed"'


def checked(name: str) -> str:
    """`name`, fit to be used where a number is; "" for none. Raises `UserError`."""
    name = name.strip()
    if name != one_line(name, NAME_MAX_CHARS) or name.startswith("-") or name.isdigit():
        raise UserError(
            f"`{one_line(name)}` cannot name a session",
            f"use one line of at most {NAME_MAX_CHARS} characters that is no number and begins"
            " with no `-`",
        )
    return name


def name_in(journal: Path) -> str:
    """What the session whose journal this is was named last; "" for nothing."""
    name = ""
    if not files.contains(journal, _MARK):
        return name
    for line in files.read_bytes(journal, limit=JOURNAL_MAX_BYTES).splitlines():
        if _MARK in line:
            try:
                event = msgspec.json.decode(line, type=Record).event
            except msgspec.MsgspecError:
                continue  # torn, or a later version's; whoever opens the session is told
            name = event.name if isinstance(event, Renamed) else name
    return name
