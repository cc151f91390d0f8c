"""What a program prints, as safe lines like a terminal would leave them, without its colours."""

from __future__ import annotations

import re

from agent.core.text import terminal_safe

# A program's colours mean nothing here; one that is still arriving is cut at the end of what came.
_COLOURS = re.compile(r"\x1b\[[0-9;:]*[mK]|\x1b(?:\[[0-9;:]*)?\Z")
_LINE_CHARS = 10_000


class Printed:
    """Feed it what comes; what is begun and not ended is in `open`."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> list[str]:
        """The lines that `text` completes."""
        *whole, self._rest = (self._rest + text).split("\n")
        lines = [_left(line) for line in whole]
        if len(self._rest) > _LINE_CHARS:
            lines.append(_left(self._rest))
            self._rest = ""
        return lines

    @property
    def open(self) -> str:
        """The unfinished line."""
        return _left(self._rest)

    def end(self) -> list[str]:
        """What is left, as a last line; nothing when there is nothing."""
        left, self._rest = self.open, ""
        return [left] if left else []


def _left(line: str) -> str:
    return terminal_safe(overwritten(uncoloured(line)))


def uncoloured(text: str) -> str:
    """`text` without what sets colours."""
    return _COLOURS.sub("", text)


def overwritten(line: str) -> str:
    """What of a line can be read in the end: what was written over is gone."""
    return line.rstrip("\r").rpartition("\r")[2]
