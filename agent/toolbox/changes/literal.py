"""Exact replacement: every character of what is looked for and of what is put there is meant."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import List, NamedTuple


class Found(NamedTuple):
    """Where the old text is, from 0, in `flat`: the file with plain newlines."""

    flat: str
    old: str
    new: str
    places: List[int]

    def lines(self) -> List[int]:
        """The lines of the places, from 1."""
        starts = line_starts(self.flat)
        return [bisect_right(starts, at) for at in self.places]


def find(source: str, old: str, new: str, *, apart: bool) -> Found:
    """Where `old` is in `source`, which may have Windows line ends where `old` has none.

    With `apart` places do not overlap, otherwise each counts.
    """
    flat = source.replace("\r\n", "\n")
    if "\r\n" in source or old not in flat:
        old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    places: List[int] = []
    at = flat.find(old)
    while at >= 0:
        places.append(at)
        at = flat.find(old, at + (len(old) if apart else 1))
    return Found(flat, old, new, places)


def replaced(source: str, found: Found) -> str:
    """`source` with the new text in every place; what was not replaced keeps its line ends."""
    places, old, new = found.places, found.old, found.new
    if "\r\n" not in source:
        return _joined(source, places, [at + len(old) for at in places], [new] * len(places))
    # Lines at the edges that stay as they are keep their own ends too, where they are mixed.
    first = shared(old, new)
    last = shared(old[first:][::-1], new[first:][::-1])
    size, piece = len(old) - first - last, new[first : len(new) - last]
    starts = [at + first for at in places]
    # Where `flat` lacks a "\r": leads a place in it back to the real text.
    removed: List[int] = []
    at = source.find("\r\n")
    while at >= 0:
        removed.append(at - len(removed))
        at = source.find("\r\n", at + 2)
    begins = [at + bisect_left(removed, at) for at in starts]
    ends = [at + size + bisect_left(removed, at + size) for at in starts]
    pieces = [_ended(source, begin, first, piece) for begin in begins]
    return _joined(source, begins, ends, pieces)


def _ended(source: str, begin: int, same: int, new: str) -> str:
    """`new`, put in at `begin`, with the line ends of what stays of the old text, or the next."""
    if "\n" not in new:
        return new
    at = source.rfind("\n", max(0, begin - same), begin)
    if at < 0:
        at = source.find("\n", begin)
    if at < 0:
        at = source.rfind("\n", 0, begin)
    windows = source[at - 1 : at] == "\r"
    return new.replace("\n", "\r\n") if windows else new


def _joined(source: str, begins: List[int], ends: List[int], pieces: List[str]) -> str:
    out: List[str] = []
    at = 0
    for begin, end, piece in zip(begins, ends, pieces):
        out += (source[at:begin], piece)
        at = end
    return "".join([*out, source[at:]])


def shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    if one.startswith(other) or other.startswith(one):
        return min(len(one), len(other))
    return next(at for at, (a, b) in enumerate(zip(one, other)) if a != b)


def line_starts(flat: str) -> List[int]:
    """Where each line begins."""
    starts, at = [0], flat.find("\n")
    while at >= 0:
        starts.append(at + 1)
        at = flat.find("\n", at + 1)
    return starts
