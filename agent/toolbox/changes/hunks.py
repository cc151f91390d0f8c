"""A change of some lines, and the ladder by which its place in a file is found.

The steps, from strict to loose: `exact`; `trailing`, where white space at line ends may differ;
`indentation`, where the lines may be indented otherwise and new lines are indented to fit;
`anchored`, where first and last line fit exactly and what is between is alike. No step takes a
place when there are two. Lines that a hunk does not change keep every byte they have in the file.
"""

from __future__ import annotations

import copy
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from agent.toolbox.changes import diffs
from agent.toolbox.changes.indent import Indentation

KEPT, TAKEN, ADDED = " ", "-", "+"

STARTS_MAX = 1_000
Op = Tuple[str, str]


class Splice(NamedTuple):
    """Lines `start` to `end` (from 0, `end` not among them) become `lines`."""

    start: int
    end: int
    lines: List[str]


class Hunk:
    """Lines kept, taken away and added, in order; and what a patch says of the place."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = list(ops)
        self.signed = False  # it is of a patch, where each line has a sign before it
        self.number = 1  # among the hunks of its file
        self.at = 0  # the line of the patch where it begins
        self.hint = 0  # the line of the file where it should begin, from 1; 0: not said
        self.headings: List[str] = []
        self.firm = True  # the headings are meant to lead to the place, not just a remark
        self.to_end = False  # it belongs at the end of the file
        self.loose = 0  # how many empty lines at its end may be there by mistake
        self.newline: Optional[bool] = None  # whether the file is to end with a newline, if said

    @property
    def old(self) -> List[str]:
        """The lines that must be there."""
        return [line for sign, line in self.ops if sign != ADDED]

    @property
    def added(self) -> List[str]:
        return [line for sign, line in self.ops if sign == ADDED]

    def without(self, first: int, last: int) -> Optional[Hunk]:
        """With so many kept lines less at each end, or None when it has not as many."""
        ops = self.ops[first : len(self.ops) - last]
        cut = self.ops[:first] + self.ops[len(self.ops) - last :]
        left = any(sign != ADDED and line.strip() for sign, line in ops)
        if not left or len(cut) < first + last or any(sign != KEPT for sign, _ in cut):
            return None
        fewer = copy.copy(self)
        fewer.ops, fewer.loose = ops, 0
        fewer.hint = self.hint + first if self.hint else 0
        return fewer


def between(old: Sequence[str], new: Sequence[str]) -> Hunk:
    """The hunk that turns `old` into `new`."""
    ops: List[Op] = []
    at = 0
    for a, b, c, d in diffs.changes(list(old), list(new)):
        ops += [(KEPT, line) for line in old[at:a]]
        ops += [(TAKEN, line) for line in old[a:b]] + [(ADDED, line) for line in new[c:d]]
        at = b
    return Hunk(ops + [(KEPT, line) for line in old[at:]])


class Page:
    """The lines of a file, without their endings, and their readings by each step."""

    def __init__(self, lines: List[str]) -> None:
        self.lines = lines
        self._read: Dict[str, List[str]] = {"exact": lines}

    def read(self, step: str) -> List[str]:
        if step not in self._read:
            self._read[step] = [READINGS[step](line) for line in self.lines]
        return self._read[step]


READINGS: Dict[str, Callable[[str], str]] = {
    "exact": lambda line: line,
    "trailing": str.rstrip,
    "indentation": str.strip,
}
LINE_STEPS = ("exact", "trailing", "indentation")


def starts(page: Page, wanted: List[str], step: str) -> List[int]:
    """Where the lines, as `step` reads them, are `wanted`; the first of very many."""
    if not wanted:
        return []
    lines, want = page.read(step), [READINGS[step](line) for line in wanted]
    # The longest line is looked for: blank lines and lone brackets are everywhere.
    key_at = max(range(len(want)), key=lambda at: len(want[at]))
    key = want[key_at]
    found: List[int] = []
    at = following(lines, key, key_at)
    while at >= 0 and len(found) < STARTS_MAX:
        start = at - key_at
        if lines[start : start + len(want)] == want and (
            step != "indentation" or _indentation(page, wanted, start) is not None
        ):
            found.append(start)
        at = following(lines, key, at + 1)
    return found


def following(lines: List[str], key: str, start: int) -> int:
    try:
        return lines.index(key, start)
    except ValueError:
        return -1


def _indentation(page: Page, wanted: List[str], start: int) -> Optional[Indentation]:
    return Indentation.between(wanted, page.lines[start : start + len(wanted)])


def fitted(page: Page, hunk: Hunk, start: int, step: str) -> Optional[List[Splice]]:
    """What `hunk` does at `start`, where its lines were found by `step`; None: it cannot."""
    added = hunk.added
    if step == "indentation":
        indentation = _indentation(page, hunk.old, start)
        if indentation is None:
            return None
        carried = indentation.carried(added, signed=hunk.signed)
        if carried is None:
            return None
        added = carried
    return spliced(hunk.ops, added, list(range(start, start + len(hunk.old) + 1)))


def spliced(ops: Sequence[Op], added: List[str], places: Sequence[int]) -> Optional[List[Splice]]:
    """The changed runs of `ops`; `places`: where its old lines begin in the file, -1: unknown."""
    splices: List[Splice] = []
    old = new = 0
    run: Optional[Tuple[int, int]] = None  # first old line and first added line of a changed run
    for sign, _ in [*ops, (KEPT, "")]:
        if sign == KEPT and run is not None:
            begin, end = places[run[0]], places[old]
            if begin < 0 or end < begin:
                return None
            splices.append(Splice(begin, end, added[run[1] : new]))
            run = None
        elif sign != KEPT and run is None:
            run = (old, new)
        old += sign != ADDED
        new += sign == ADDED
    return splices
