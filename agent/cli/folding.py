"""Lines cut to the width of a terminal: prose at its words, everything else at any character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache

from agent.cli.styled import Line

_TAB = 8
_WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60"


@cache
def _word() -> re.Pattern[str]:
    """A word and the space before it; scripts without spaces may be broken at each character."""
    return re.compile(rf"(\s*)([{_WIDE}]|[^\s{_WIDE}]+)")


@lru_cache(maxsize=4096)
def _cells(char: str) -> int:
    if char == "\t":
        return _TAB
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cells(text: str) -> int:
    """How many cells of a terminal `text` takes at most."""
    if text.isascii() and "\t" not in text:
        return len(text)
    return sum(map(_cells, text))


def words(line: Line) -> str:
    """A line without its looks."""
    return "".join(text for _, text in line)


def folded(line: Line, width: int, hang: int = 0) -> list[Line]:
    """`line` as rows of `width` cells, broken between words; later rows begin `hang` cells in.

    A word that is too long stays whole, so that an address can still be clicked and copied.
    """
    text, spans, begin, column = words(line), list[tuple[int, int]](), 0, 0
    if cells(text) <= width:
        return [line]
    hang = min(hang, width // 2)
    for found in _word().finditer(text, 0, len(text.rstrip())):
        gap, long = cells(found[1]), cells(found[2])
        if column and column + gap + long > width and text[begin : found.start(1)].strip():
            spans.append((begin, found.start(1)))
            begin, column, gap = found.start(2), hang, 0
        column += gap + long
    rows = _parts(line, [*spans, (begin, len(text))])
    return [rows[0], *((("", " " * hang), *row) if hang else row for row in rows[1:])]


def chopped(line: Line, width: int) -> list[Line]:
    """A line as rows of at most `width` cells, broken wherever they are full."""
    text, spans, begin, column = words(line), list[tuple[int, int]](), 0, 0
    for at, char in enumerate(text):
        long = _cells(char)
        if column + long > width:
            spans.append((begin, at))
            begin, column = at, 0
        column += long
    return _parts(line, [*spans, (begin, len(text))])


def _parts(line: Line, spans: Iterable[tuple[int, int]]) -> list[Line]:
    """The pieces of `line` in each of the spans, which go forward."""
    rows: list[Line] = []
    at, offset = 0, 0  # a piece, and where it begins in the text
    for begin, end in spans:
        row: list[tuple[str, str]] = []
        while at < len(line):
            style, text = line[at]
            if part := text[max(0, begin - offset) : end - offset]:
                row.append((style, part))
            if offset + len(text) > end:
                break
            offset += len(text)
            at += 1
        rows.append(tuple(row) or (("", ""),))
    return rows
