"""Unified diffs in time that cannot run away: difflib only sees what is small enough for it."""

from __future__ import annotations

import difflib
from typing import Iterable, List, Tuple

CONTEXT_LINES = 3
COMPARED_PAIRS_MAX = 4_000_000
LINE_CHARS = 500

Change = Tuple[int, int, int, int]
"""Lines old[a:b] became new[c:d], counted from 0."""


def changes(old: List[str], new: List[str]) -> List[Change]:
    """What differs, as changes in order. A middle too large to compare is one change."""
    start = 0
    for left, right in zip(old, new):
        if left != right:
            break
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    old_end, new_end = len(old) - end, len(new) - end
    if start == old_end and start == new_end:
        return []
    if (old_end - start) * (new_end - start) > COMPARED_PAIRS_MAX:
        return [(start, old_end, start, new_end)]
    matcher = difflib.SequenceMatcher(None, old[start:old_end], new[start:new_end])
    return [
        (a + start, b + start, c + start, d + start)
        for tag, a, b, c, d in matcher.get_opcodes()
        if tag != "equal"
    ]


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
