"""The last step of the ladder: first and last line fit exactly, what is between is alike."""

from __future__ import annotations

import difflib
from typing import List, Optional, Tuple

from agent.toolbox.changes import hunks
from agent.toolbox.changes.hunks import Hunk, Page, Splice
from agent.toolbox.changes.indent import Indentation
from agent.toolbox.changes.similar import likeness

LINES_MIN = 3
LINES_MAX = 500
BLOCKS_MAX = 20
ALIKE_MIN = 0.8


def found(page: Page, hunk: Hunk) -> Tuple[List[int], Optional[List[Splice]]]:
    """Places with the first and last line of `hunk`; what it does there if it is one, and alike."""
    old, lines = hunk.old, page.lines
    if not LINES_MIN <= len(old) <= LINES_MAX:
        return [], None
    if not old[0].strip() or not old[-1].strip():
        return [], None
    slack = max(1, len(old) // 5)
    blocks: List[Tuple[int, int]] = []
    at = hunks.following(lines, old[0], 0)
    while at >= 0 and len(blocks) < hunks.STARTS_MAX:
        sizes = range(max(2, len(old) - slack), len(old) + slack + 1)
        blocks += [(at, at + n) for n in sizes if lines[at + n - 1 : at + n] == old[-1:]]
        at = hunks.following(lines, old[0], at + 1)
    alike = [
        block
        for block in blocks[:BLOCKS_MAX]
        if likeness(old, lines[block[0] : block[1]]) >= ALIKE_MIN
    ]
    if len(blocks) != 1 or not alike:
        return [start for start, _ in blocks] if alike else [], None
    start, end = blocks[0]
    places, pairs = _aligned(old, lines[start:end], start)
    indentation = Indentation.between([a for a, _ in pairs], [b for _, b in pairs])
    added = None if indentation is None else indentation.carried(hunk.added, signed=hunk.signed)
    return [start], None if added is None else hunks.spliced(hunk.ops, added, places)


def _aligned(
    old: List[str], block: List[str], start: int
) -> Tuple[List[int], List[Tuple[str, str]]]:
    """Where each old line, and the end, begins in the file, -1 where that cannot be said; and the
    lines that stand for each other."""
    places = [-1] * (len(old) + 1)
    pairs: List[Tuple[str, str]] = []
    read = [[line.strip() for line in part] for part in (old, block)]
    matcher = difflib.SequenceMatcher(None, *read, autojunk=False)
    unclear: List[Tuple[int, int]] = []
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal" or (tag == "replace" and b - a == d - c):
            places[a : b + 1] = range(start + c, start + d + 1)
            pairs += zip(old[a:b], block[c:d])
        elif tag == "replace":
            places[a], places[b] = start + c, start + d
        else:
            unclear.append((a, b + 1))
    for a, b in unclear:
        # Lines that only one of them has: no change may begin or end here.
        places[a:b] = [-1] * (b - a)
    return places, pairs
