"""Text on its way to a terminal or to a model: cut with a note, never with an escape in it."""

from __future__ import annotations

import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_KEPT_FORMAT = "\u200d"  # zero width joiner holds emoji together; alone it shows nothing


def terminal_safe(text: str) -> str:
    """`text` with every control, invisible or direction-changing character made visible.

    Newline and tab stay. Characters are replaced rather than sequences cut out, because what
    remains after cutting can join to a new sequence. The output holds no C0, C1 or DEL byte.
    """
    return "".join(
        c if c in "\n\t" or (c.isascii() and c.isprintable()) else _shown(c)
        for c in text.replace("\r\n", "\n")
    )


def _shown(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code) + ("\n" if char == "\r" else "")
    if code == 0x7F:
        return "\u2421"
    if char == _KEPT_FORMAT or unicodedata.category(char) not in _INVISIBLE:
        return char
    return "\ufffd"


def without_controls(text: str) -> str:
    """`text` for somewhere else than a screen: what `terminal_safe` makes visible is left out."""
    return "".join(
        c
        for c in text.replace("\r\n", "\n").replace("\r", "\n")
        if c in "\n\t" or c == _KEPT_FORMAT or unicodedata.category(c) not in _INVISIBLE
    )


def model_safe(text: str) -> str:
    """`text` without characters that a model would read and a person could not see.

    Tag characters, bidirectional overrides and zero-width characters are how instructions are
    hidden in a repository; escape sequences are how they are hidden on a screen. Ordinary white
    space, form feed and carriage return included, is left alone: edits must be able to match it.
    """
    return "".join(
        c if c in "\n\t\r\f" or (c.isascii() and c.isprintable()) else _shown(c) for c in text
    )


def one_line(text: str, limit: int = 100) -> str:
    """The first `limit` characters of `text` on a single line, with an ellipsis when cut."""
    flat = " ".join(terminal_safe(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
