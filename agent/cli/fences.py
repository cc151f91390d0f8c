"""Fences around code in Markdown: where they begin and end, and what stands between them."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Possessive: a long line could otherwise be looked at from each of its characters.
_FENCE = re.compile(r"( *+)(`{3,}+(?!.*`)|~{3,}+)(.*)")


@dataclass(frozen=True, slots=True)
class Fence:
    """The beginning of a block of code: how far in it is, its marks, and what the code is."""

    indent: int
    marks: str
    name: str

    def ends(self, text: str) -> bool:
        """Whether this line is the end of the block."""
        mark = text.strip()
        return len(mark) >= len(self.marks) and mark == self.marks[0] * len(mark)

    def inside(self, text: str) -> str:
        """A line of the block, as far in as it is within that."""
        spaces = len(text) - len(text.lstrip(" "))
        return text[min(spaces, self.indent) :]


def begins(text: str) -> Fence | None:
    """The block of code that this line begins, if it does."""
    found = _FENCE.fullmatch(text)
    return Fence(len(found[1]), found[2], found[3].strip()) if found else None
