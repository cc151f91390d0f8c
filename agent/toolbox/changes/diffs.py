"""Unified diffs in time that cannot run away: difflib only sees what is small enough for it."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import Counter
from typing import Iterable, Iterator, List, Tuple

CONTEXT_LINES = 3
COMPARED_PAIRS_MAX = 4_000_000
LINE_CHARS = 500

Change = Tuple[int, int, int, int]
"""Lines old[a:b] became new[c:d], counted from 0."""


def changes(old: List[str], new: List[str]) -> List[Change]:
    """What differs, as changes in order. What is too large and too unlike is one change."""
    start = 0
    for left, right in zip(old, new):
        if left != right:
            break
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return list(_between(old, new, (start, len(old) - end, start, len(new) - end)))


def _between(old: List[str], new: List[str], span: Change) -> Iterator[Change]:
    """The changes within `span`. What is too large is cut at lines that are once in each."""
    todo = [span]
    while todo:
        a, b, c, d = todo.pop()
        if a == b and c == d:
            continue
        if (b - a) * (d - c) <= COMPARED_PAIRS_MAX:
            matcher = difflib.SequenceMatcher(None, old[a:b], new[c:d])
            for tag, i, j, k, m in matcher.get_opcodes():
                if tag != "equal":
                    yield i + a, j + a, k + c, m + c
            continue
        pairs = _anchors(old[a:b], new[c:d])
        if not pairs:
            yield a, b, c, d
            continue
        # Last first, because the next one is taken from the end.
        begins = [(a, c)] + [(a + i + 1, c + k + 1) for i, k in pairs]
        ends = [(a + i, c + k) for i, k in pairs] + [(b, d)]
        todo += [(i, j, k, m) for (i, k), (j, m) in zip(begins[::-1], ends[::-1])]


def _anchors(old: List[str], new: List[str]) -> List[Tuple[int, int]]:
    """Lines that are once in both, as many as keep their order."""
    places = {line: at for at, line in enumerate(new)}
    once, once_new = Counter(old), Counter(new)
    pairs = [
        (at, places[line])
        for at, line in enumerate(old)
        if once[line] == 1 and once_new.get(line) == 1
    ]
    # The longest rising run of second places: `tails` has the lowest end of a run of each length.
    tails: List[int] = []
    ends: List[int] = []
    before: List[int] = []
    for index, (_, place) in enumerate(pairs):
        length = bisect_left(tails, place)
        before.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(place)
            ends.append(index)
        else:
            tails[length], ends[length] = place, index
    run: List[Tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        run.append(pairs[index])
        index = before[index]
    return run[::-1]


def unified(old: List[str], new: List[str], found: Iterable[Change], limit: int) -> str:
    """Hunks with context, cut to about `limit` bytes with a note of how many lines are missing."""
    lines: List[str] = []
    for group in _groups(found):
        lines += _hunk(old, new, group)
    kept, room = 0, limit
    for line in lines:
        room -= len(line.encode("utf-8", "replace")) + 1
        if room < 0:
            break
        kept += 1
    note = ["… %d more lines of diff" % (len(lines) - kept)] if kept < len(lines) else []
    return "\n".join(lines[:kept] + note)


def _groups(found: Iterable[Change]) -> List[List[Change]]:
    groups: List[List[Change]] = []
    for change in found:
        if groups and change[0] - groups[-1][-1][1] <= 2 * CONTEXT_LINES:
            groups[-1].append(change)
        else:
            groups.append([change])
    return groups


def _hunk(old: List[str], new: List[str], group: List[Change]) -> List[str]:
    before = min(CONTEXT_LINES, group[0][0])
    after = min(CONTEXT_LINES, len(old) - group[-1][1])
    start, end = group[0][0] - before, group[-1][1] + after
    new_start, new_end = group[0][2] - before, group[-1][3] + after
    lines = ["@@ -%s +%s @@" % (_range(start, end), _range(new_start, new_end))]
    at = start
    for a, b, c, d in group:
        lines += [" " + line[:LINE_CHARS] for line in old[at:a]]
        lines += ["-" + line[:LINE_CHARS] for line in old[a:b]]
        lines += ["+" + line[:LINE_CHARS] for line in new[c:d]]
        at = b
    return lines + [" " + line[:LINE_CHARS] for line in old[at:end]]


def _range(start: int, end: int) -> str:
    size = end - start
    return "%d,%d" % (start + 1 if size else start, size)
