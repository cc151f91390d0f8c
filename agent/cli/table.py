"""Tables of Markdown, made to fit the width there is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.cli.folding import cells, chopped, folded, words
from agent.cli.styled import Line

_DELIMITER = re.compile(r"\|?\s*+:?-++:?(?:\s*+\|\s*+:?-++:?)*+\s*+\|?")
_BAR = re.compile(r"(?<!\\)\|")
_BETWEEN = " │ "
_NARROWEST = 6
_UNLIMITED = 1_000_000

Row = Sequence[Line]


def split(text: str, count: int = 0) -> list[str]:
    """The cells of a row; if there are to be `count`, so many, the last one with all the rest."""
    inner = text.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    parts = [inner] if count == 1 else _BAR.split(inner, max(0, count - 1))
    parts += [""] * (count - len(parts))
    return [part.strip().replace("\\|", "|") for part in parts]


def sides(head: str, text: str) -> list[str] | None:
    """How the columns below `head` are aligned, if `text` is the line that makes it a table."""
    if "|" not in text + head or "-" not in text or not _DELIMITER.fullmatch(text.strip()):
        return None
    marks = split(text)
    if len(marks) != len(split(head)):
        return None
    return [
        "centre" if mark[0] == mark[-1] == ":" else "right" if mark[-1] == ":" else "left"
        for mark in marks
    ]


def drawn(rows: Sequence[Row], aligned: Sequence[str], width: int) -> list[Line]:
    """The lines of a table whose first row is its head; one below the other where it is narrow."""
    room = (width or _UNLIMITED) - len(_BETWEEN) * (len(aligned) - 1)
    if room < _NARROWEST * len(aligned):
        return _listed(rows, width)
    natural = [max(cells(words(row[at])) for row in rows) for at in range(len(aligned))]
    widths = _fitted(natural, room)
    head, *body = (_row(row, widths, aligned) for row in rows)
    rule: Line = (("dim", "─┼─".join("─" * each for each in widths)),)
    return [*head, rule, *(line for lines in body for line in lines)]


def _fitted(natural: Sequence[int], room: int) -> list[int]:
    """Widths within `room`: what is wider than an equal share gives way to what is not."""
    left, widths = room, list(natural)
    for done, at in enumerate(sorted(range(len(natural)), key=natural.__getitem__)):
        widths[at] = min(natural[at], left // (len(natural) - done))
        left -= widths[at]
    return widths


def _row(row: Row, widths: Sequence[int], aligned: Sequence[str]) -> list[Line]:
    columns = [_cell(cell, width) for cell, width in zip(row, widths, strict=True)]
    lines: list[Line] = []
    for at in range(max(map(len, columns))):
        line: list[tuple[str, str]] = []
        for column, width, side in zip(columns, widths, aligned, strict=True):
            part = column[at] if at < len(column) else ()
            free = width - cells(words(part))
            before = {"right": free, "centre": free // 2}.get(side, 0) if part else 0
            line += [("", " " * before), *part, ("dim", " " * (free - before) + _BETWEEN)]
        line.pop()
        lines.append(tuple(piece for piece in line if piece[1]) or (("", ""),))
    return lines


def _cell(cell: Line, width: int) -> list[Line]:
    return [part for row in folded(cell, width) for part in chopped(row, width)]


def _listed(rows: Sequence[Row], width: int) -> list[Line]:
    head, *body = rows
    lines: list[Line] = []
    for row in body:
        for name, cell in zip(head, row, strict=True):
            lines += folded((*name, ("", ": "), *cell), width, 2)
        lines.append((("", ""),))
    return lines[:-1] if body else folded(tuple(p for name in head for p in name), width)
