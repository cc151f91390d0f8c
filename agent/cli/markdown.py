"""Markdown as it is written: each line becomes lines of a transcript that only grows.

A line is shown as soon as nothing that follows can change it. What waits (a table, something bold
that goes on) is part of the preview. Text must be safe for a terminal before it comes here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.cli import table
from agent.cli.fences import Fence, begins
from agent.cli.folding import folded, words
from agent.cli.inline import inline
from agent.cli.styled import Line

if TYPE_CHECKING:
    from agent.cli.highlight import Highlighter

TABLE_ROWS, HELD_LINES = 200, 4
PREVIEW_CHARS, PREVIEW_ROWS = 2_000, 10
_RULE_CELLS = 40
# Possessive where a long line could otherwise be looked at from each of its characters.
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*+\1){2,}+[ \t]*+")
_ITEM = re.compile(r"(\s*)([-*+]|\d{1,9}[.)])([ \t]+)(?=\S)")
_QUOTE = re.compile(r" {0,3}(?:> ?)+")
_CODE = re.compile(r"(?: {4}| {0,3}\t)")
_EMPTY: Line = (("", ""),)


@dataclass(frozen=True, slots=True)
class _Prose:
    """A line of text: what stands in front of it, how it looks, where its next rows begin."""

    front: Line
    text: str
    style: str = ""
    hang: int = 0
    as_is: bool = False

    @property
    def may_go_on(self) -> bool:
        small = self.text.count("\n") + 1 < HELD_LINES and len(self.text) < PREVIEW_CHARS
        return small and not self.as_is


class Markdown:
    """Feed it lines. `width` says how many cells a row has now."""

    def __init__(self, width: Callable[[], int], *, colours: bool = True) -> None:
        self._width = width
        self._colours = colours
        self._fence: Fence | None = None
        self._code: Highlighter | None = None
        self._held: _Prose | None = None
        self._rows: list[str] = []
        self._aligned: list[str] = []
        self._drawn: list[Line] = []
        self._in_list = self._begun = self._blank = False

    def line(self, text: str) -> list[Line]:
        """What the next line adds for good."""
        if self._fence:
            return self._coded(self._fence, text)
        if self._aligned and "|" in text and not begins(text):
            return self._row(text)
        if self._rows and not self._aligned and (aligned := table.sides(self._rows[0], text)):
            self._aligned = aligned
            return []
        ended = self._table_ended()
        if not text.strip():
            ended += self._released()
            self._blank = self._begun
            return ended
        return ended + self._block(text)

    def end(self) -> list[Line]:
        """What is left when nothing follows; the next line begins anew."""
        left = [*self._table_ended(), *self._released()]
        if self._fence:
            left += self._fenced("")
        self._fence = self._code = None
        self._in_list = self._begun = self._blank = False
        return left

    def preview(self, text: str) -> list[Line]:
        """What is not there for good yet, with `text` as the beginning of the next line."""
        if self._fence:
            code = text[-PREVIEW_CHARS:]
            return [self._code.peek(code) if self._code else (("", code),)] if code else []
        if self._aligned and not self._drawn:
            self._drawn = self._table(PREVIEW_ROWS)
        lines = list(self._drawn)
        if len(text) > PREVIEW_CHARS:
            lines.append((("", text[-PREVIEW_CHARS:]),))
        elif self._rows and not self._aligned:
            lines += self._shown(self._prose(self._rows[0]))
            lines += [(("", text),)] if text else []
        elif self._aligned:
            lines += [(("dim", text),)] if text else []
        elif self._held is not None or text:
            lines += self._shown(self._joined(text), bold=True)
        return [_EMPTY, *lines] if lines and self._blank else lines

    def _block(self, text: str) -> list[Line]:
        if fence := begins(text):
            released = self._released()
            self._fence = fence
            if self._colours:
                from agent.cli.highlight import Highlighter

                self._code = Highlighter(fence.name)
            return released + self._fenced(f" {fence.name}".rstrip())
        if _RULE.fullmatch(text):
            rule: Line = (("dim", "─" * min(_RULE_CELLS, self._width() or _RULE_CELLS)),)
            return self._released() + self._added([rule])
        prose = self._prose(text)
        if "|" in text and not (prose.as_is or prose.style or words(prose.front).strip()):
            released = self._released()
            self._rows = [text]
            return released
        released = [] if self._goes_on(prose) else self._released()
        prose = self._joined(text)
        self._in_list = (self._in_list and text[0].isspace()) or _ITEM.match(text) is not None
        self._held = None
        if prose.may_go_on and inline(prose.text)[1]:
            self._held = prose
            return released
        return released + self._added(self._shown(prose))

    def _prose(self, text: str) -> _Prose:
        """What a line is that is no part of code or of a table."""
        if heading := _HEADING.fullmatch(text):
            return _Prose((), _title(heading[2].strip()), f"heading.{min(3, len(heading[1]))}")
        if item := _ITEM.match(text):
            front = (("", item[1]), ("list", item[2]), ("", item[3]))
            return _Prose(front, text[item.end() :], hang=len(item[0].expandtabs()))
        if quote := _QUOTE.match(text):
            return _Prose((("dim", quote[0]),), text[quote.end() :], "quote", len(quote[0]))
        if _CODE.match(text) and not self._in_list:
            return _Prose((), text, as_is=True)
        body = text.lstrip()
        lead = text[: len(text) - len(body)]
        return _Prose((("", lead),) if lead else (), body, hang=len(lead.expandtabs()))

    def _goes_on(self, prose: _Prose) -> bool:
        """Whether a line is more of the paragraph that waits."""
        plain = not words(prose.front).strip()
        return self._held is not None and plain and not prose.style and not prose.as_is

    def _joined(self, text: str) -> _Prose:
        """The next line, with what waits before it if it goes on with that."""
        prose = self._prose(text)
        if self._held is None or (text and not self._goes_on(prose)):
            return prose
        return replace(self._held, text=f"{self._held.text}\n{text}") if text else self._held

    def _released(self) -> list[Line]:
        held, self._held = self._held, None
        return self._added(self._shown(held)) if held else []

    def _shown(self, prose: _Prose, *, bold: bool = False) -> list[Line]:
        """The rows of a text; what is bold and has no end yet is shown as if it had one."""
        if prose.as_is:
            return [((prose.style, prose.text),)]
        text = prose.text.rstrip()
        line, unfinished = inline(text, prose.style, colours=self._colours)
        if bold and unfinished:
            line = inline(f"{text}**", prose.style, colours=self._colours)[0]
        rows = _rows((*prose.front, *line))
        width = self._width()
        return [r for row in rows for r in folded(row, width, prose.hang)] if width else rows

    def _added(self, lines: list[Line]) -> list[Line]:
        """`lines`, after the empty one that has been waiting for something to follow."""
        blank, self._blank, self._begun = self._blank, False, True
        return [_EMPTY, *lines] if blank else lines

    def _coded(self, fence: Fence, text: str) -> list[Line]:
        if fence.ends(text):
            self._fence = self._code = None
            return self._fenced("")
        text = fence.inside(text)
        return [self._code.line(text) if self._code else (("", text),)]

    def _fenced(self, name: str) -> list[Line]:
        return self._added([(("dim", f"───{name}"),)])

    def _row(self, text: str) -> list[Line]:
        self._rows.append(text)
        self._drawn = []
        if len(self._rows) <= TABLE_ROWS:
            return []
        drawn = self._table()
        self._rows = self._rows[:1]
        return self._added(drawn)

    def _table(self, newest: int = TABLE_ROWS) -> list[Line]:
        rows = [self._rows[0], *self._rows[1:][-newest:]]
        count = len(self._aligned)
        cut = [table.split(row, count) for row in rows]
        looks = [[inline(cell, colours=self._colours)[0] for cell in row] for row in cut]
        looks[0] = [inline(cell, "bold", colours=self._colours)[0] for cell in cut[0]]
        return table.drawn(looks, self._aligned, self._width())

    def _table_ended(self) -> list[Line]:
        """A table that nothing follows in, or the line that could have been the head of one."""
        if not self._rows:
            return []
        lines = self._table() if self._aligned else self._shown(self._prose(self._rows[0]))
        self._rows, self._aligned, self._drawn = [], [], []
        return self._added(lines)


def _title(text: str) -> str:
    """A heading without the marks that may close it."""
    bare = text.rstrip("#")
    return bare.rstrip() if bare != bare.rstrip() or not bare else text


def _rows(line: Line) -> list[Line]:
    """A line that may have line breaks in it as lines."""
    rows: list[list[tuple[str, str]]] = [[]]
    for style, text in line:
        first, *others = text.split("\n")
        rows[-1].append((style, first))
        rows += [[(style, other)] for other in others]
    return [tuple(piece for piece in row if piece[1]) or _EMPTY for row in rows]
