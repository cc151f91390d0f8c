"""What may be spent and what of it was, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from agent.cli.styled import Line, marked
from agent.session.purse import Limit

_LEVELS = {"tree": "all begun together", "run": "each message", "turn": "each turn"}


def budget_lines(spent: Sequence[tuple[str, str]], limits: Sequence[Limit]) -> list[Line]:
    """What the session has spent, then each limit: whose, on what, what is used, the most."""
    lines = marked("· spent by this session: " + ", ".join(f"{what} {n}" for what, n in spent))
    rows = [("limit of", "on", "used", "at most")]
    rows += [(_LEVELS.get(one.level, one.level), one.what, one.used, one.most) for one in limits]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for at, (level, what, used, most) in enumerate(rows):
        text = (
            f"  {level:<{widths[0]}}  {what:<{widths[1]}}  {used:>{widths[2]}}  {most:>{widths[3]}}"
        )
        lines.append((("dim" if at == 0 else "", text),))
    return lines
