"""Lines with looks: pieces of text and the names of styles, which a screen turns into colours."""

from __future__ import annotations

from agent.core.text import terminal_safe

Line = tuple[tuple[str, str], ...]
"""One line as (style, text) pieces; styles are names that a screen gives a look."""

_MARKS = {"✓": "good", "✗": "bad", "!": "warning", "?": "warning", "·": "dim", "→": "call"}
_DIFF_STYLES = (
    (("diff ", "index ", "--- ", "+++ "), "diff.head"),
    (("@@",), "diff.place"),
    (("+",), "diff.added"),
    (("-",), "diff.removed"),
)


def plain(text: str, style: str = "") -> list[Line]:
    """Text that is safe already, as lines of one style."""
    return [((style, part),) for part in text.split("\n")]


def marked(text: str) -> list[Line]:
    """The lines of `line_of`, styled by the mark in front."""
    return plain(text, _MARKS.get(text.strip()[:1], ""))


def diff_lines(text: str) -> list[Line]:
    """A unified diff, complete, with a style for each kind of line."""
    return [line for row in text.removesuffix("\n").split("\n") for line in _diff_line(row)]


def _diff_line(row: str) -> list[Line]:
    style = next((s for starts, s in _DIFF_STYLES if row.startswith(starts)), "")
    return plain(terminal_safe(row.removesuffix("\r")), style)
