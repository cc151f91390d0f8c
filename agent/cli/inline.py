"""Markdown within a line: emphasis, code and links, and nothing that only looks like them.

Stricter than the standard where prose about programs would suffer: `a*b*c`, `__init__`, `*.py`,
`C:\\_tmp`, `f[x](y)` and all tags stay as they are. One pass, whatever the text is.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

from agent.cli.styled import Line

_TOKEN = re.compile(
    r"""(?P<tag>(?<![A-Za-z0-9_])</?[A-Za-z](?!ttps?:)[^<>\n]{0,300}>)
    |(?P<escape>\\[*_`])
    |(?P<code>`+)
    |(?P<run>\*+|_+|~+)
    |(?<![A-Za-z0-9_)\]])!?\[(?P<text>[^\[\]\n]{1,400})\]
        \((?P<to>[^\s()<>]*+(?:\([^\s()<>]*+\)[^\s()<>]*+)*+)(?:[ ]"[^"\n]*+")?\)
    |(?P<url>https?://[^\s<>`"]*[^\s<>`"'.,;:!?*_)\]}~])""",
    re.VERBOSE,
)
_STYLES = {
    "*": "italic",
    "_": "italic",
    "**": "bold",
    "__": "bold",
    "***": "bold italic",
    "~~": "gone",
}
_BEFORE = "([{\"'-:;,!?|*_~"
"""ASCII characters that emphasis may begin after, besides space."""
_FIRST = "\"'([{`*_~$#@<"
"""ASCII characters that emphasis may begin with, besides letters and digits."""
_FIRST_OF_BOLD = _FIRST + "./\\-+&!?:=%"
_LAST_NOT = "([{/\\"
"""Characters that emphasis does not end with."""
_AFTER = ".,;:!?)]}\"'-|*_~"
"""ASCII characters that emphasis may end before, besides space."""
_NAME = re.compile(r"\w+")
_PATH = re.compile(r"[A-Za-z]:|\\\\|.*\\[A-Za-z0-9]", re.DOTALL)


@dataclass(slots=True)
class _Part:
    """Text, or a marker: how it changes the look is known when the other one has been found."""

    text: str
    style: str = ""
    """Its own look."""
    begins: str = ""
    ends: str = ""


def inline(text: str, base: str = "", *, colours: bool = True) -> tuple[Line, bool]:
    """`text` with its looks, and whether something bold has been begun that may end later.

    Without colours code keeps its marks: nothing else would tell it apart.
    """
    scan = _Scan(text, colours=colours)
    return _looks(scan.parts(), base), scan.waiting("**")


class _Scan:
    def __init__(self, text: str, *, colours: bool) -> None:
        self._text = text
        self._colours = colours
        self._parts: list[_Part] = []
        self._open: list[tuple[str, int, int]] = []  # marker, part, where its content begins
        self._count: Counter[str] = Counter()
        self._ticks: dict[int, list[int]] | None = None

    def parts(self) -> list[_Part]:
        at, text = 0, self._text
        while found := _TOKEN.search(text, at):
            self._parts.append(_Part(text[at : found.start()]))
            at = self._take(found)
        self._parts.append(_Part(text[at:]))
        return self._parts

    def waiting(self, marker: str) -> bool:
        return self._count[marker] > 0

    def _take(self, found: re.Match[str]) -> int:
        """Add what a token stands for; where to go on."""
        match found.lastgroup:
            case "escape":
                self._parts.append(_Part(found[0] if self._in_path(found) else found[0][1]))
            case "code":
                return self._code(found)
            case "run":
                self._run(found[0], *found.span())
            case "tag":
                self._parts.append(_Part(found[0]))
            case "url":
                self._parts.append(_Part(found[0], "link"))
            case _:
                self._link(found["text"], found["to"])
        return found.end()

    def _in_path(self, found: re.Match[str]) -> bool:
        """Whether the word around a backslash is a path or a pattern: one with more of them."""
        window = self._text[max(0, found.start() - 200) : found.start()]
        begun = window.split()[-1] if window and not window[-1].isspace() else ""
        return _PATH.match(begun) is not None

    def _code(self, found: re.Match[str]) -> int:
        if self._ticks is None:
            self._ticks = {}
            for ticks in re.finditer("`+", self._text):
                self._ticks.setdefault(len(ticks[0]), []).append(ticks.start())
        same = self._ticks.get(len(found[0]), [])
        at = bisect_left(same, found.end())
        if at == len(same):
            self._parts.append(_Part(found[0]))
            return found.end()
        inner = self._text[found.end() : same[at]]
        if "\n" in inner:
            self._parts.append(_Part(found[0]))
            return found.end()
        if inner.strip() and inner[0] == inner[-1] == " ":
            inner = inner[1:-1]
        shown = inner if self._colours else f"{found[0]}{inner}{found[0]}"
        self._parts.append(_Part(shown, "code"))
        return same[at] + len(found[0])

    def _link(self, text: str, to: str) -> None:
        told = inline(text, colours=self._colours)[0]
        for style, part in told:
            self._parts.append(_Part(part, style if "link" in style else f"link {style}".rstrip()))
        if to and to not in (text, f"mailto:{text}"):
            self._parts += [_Part(" ("), _Part(to, "link.to"), _Part(")")]

    def _run(self, run: str, start: int, end: int) -> None:
        before = self._text[start - 1] if start else " "
        after = self._text[end] if end < len(self._text) else " "
        ends = not before.isspace() and before not in _LAST_NOT
        if ends and (after.isspace() or not after.isascii() or after in _AFTER):
            run = self._closed(run, start)
        first = _FIRST_OF_BOLD if len(run) == 2 else _FIRST
        fits = before.isspace() or not before.isascii() or before in _BEFORE
        if run in _STYLES and fits and (after.isalnum() or not after.isascii() or after in first):
            self._open.append((run, len(self._parts), end))
            self._count[run] += 1
        if run:
            self._parts.append(_Part(run))

    def _closed(self, run: str, start: int) -> str:
        """Close what `run` can close; what is left of it."""
        while run and len(run) <= 3:
            fitting = {mark for mark in (run, run[:2], run[:1]) if self._count[mark]}
            if not fitting:
                break
            while (newest := self._open.pop())[0] not in fitting:
                self._count[newest[0]] -= 1
            mark, part, begun = newest
            self._count[mark] -= 1
            named = run[0] == "_" and _NAME.fullmatch(self._text, begun, start)
            if begun == start or named:
                break
            self._parts[part].begins, self._parts[part].text = _STYLES[mark], ""
            self._parts.append(_Part("", ends=_STYLES[mark]))
            run = run[len(mark) :]
        return run


def _looks(parts: list[_Part], base: str) -> Line:
    line: list[tuple[str, list[str]]] = []
    active = [base] if base else []
    for part in parts:
        if part.begins:
            active.append(part.begins)
        elif part.ends:
            active.remove(part.ends)
        elif part.text:
            style = " ".join([*active, part.style] if part.style else active)
            if line and line[-1][0] == style:
                line[-1][1].append(part.text)
            else:
                line.append((style, [part.text]))
    return tuple((style, "".join(texts)) for style, texts in line)
