"""The lines of a file most like a text that is not in it, and how they differ.

Everything here is bounded: a wrong guess is cheap, a helper that hangs on a large file is not.
"""

from __future__ import annotations

import difflib
import html
import re
from collections import Counter
from typing import Any, Dict, List, Tuple

SIMILAR_MAX = 3
LINES_MAX = 400_000
CANDIDATES_MAX = 20
COMPARED_LINES = 50
COMPARED_CHARS = 500
OFFSETS_MAX = 200
WORDS_MAX = 3
LINE_SCANNED = 500
SHOWN_LINES = 30
RATIO_MIN = 0.6

_ESCAPED = re.compile(r"\\([\"'`$\\/])")
# What typographic characters look like on a keyboard.
_TYPED = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\u3000", " "),
        "\u2026": "...",
    }
)
_SPELLED = "line breaks or tabs are written as `\\n` or `\\t`"
_ENTITIES = "characters are written as in HTML, such as `&lt;`"
_NUMBERED = re.compile(r"^\s*\d+(?:\t|→|\s*[|:]\s?)")


def similar_lines(old: str, lines: List[str]) -> List[Dict[str, Any]]:
    """Up to three places like `old`, best first: first, last (from 1), text, why."""
    wanted = old.strip("\n").split("\n")
    if not any(line.strip() for line in wanted):
        return []
    lines = lines[:LINES_MAX]
    # Blank lines and lone brackets are everywhere: the longest line is looked for.
    key_at = max(range(len(wanted)), key=lambda at: len(wanted[at].strip()))
    possible = _sharing(_words(wanted[key_at]), 1, lines)
    for same, why in _READINGS:
        starts = _find([same(line) for line in wanted], key_at, possible, lines, same)
        if starts:
            return [_place(lines, start, len(wanted), why) for start in starts]
    for spelled, why in ((_unspelled(old), _SPELLED), (html.unescape(old), _ENTITIES)):
        near = similar_lines(spelled, lines) if spelled != old else []
        if near:
            return [dict(one, why=why) for one in near[:1]]
    return _nearly(wanted, key_at, lines)


def likeness(one: List[str], other: List[str]) -> float:
    """How much of two texts is the same, from 0 to 1: whole lines, then within those that differ.

    Where a line stands in its row does not count, and only so much is looked at.
    """
    pair = [[line.strip() for line in part] for part in (one, other)]
    same, compared = 0.0, 0
    for tag, a, b, c, d in difflib.SequenceMatcher(None, *pair, autojunk=False).get_opcodes():
        for left, right in zip(pair[0][a:b], pair[1][c:d]):
            if tag == "equal":
                same += len(left) + 1
            elif compared < COMPARED_LINES:
                compared += 1
                ends = left[:COMPARED_CHARS], right[:COMPARED_CHARS]
                matcher = difflib.SequenceMatcher(None, *ends, autojunk=False)
                same += matcher.ratio() * (min(len(left), len(right)) + 1)
    sizes = [sum(len(line) + 1 for line in part) for part in pair]
    return 2 * same / sum(sizes) if sum(sizes) else 1.0


def _unspelled(old: str) -> str:
    return old if "\n" in old else old.replace("\\n", "\n").replace("\\t", "\t")


def _squeezed(line: str) -> str:
    return " ".join(line.split())


def _bare(line: str) -> str:
    return "".join(line.split())


def _unnumbered(line: str) -> str:
    return _NUMBERED.sub("", line).strip()


def _folded(line: str) -> str:
    return _squeezed(line).casefold()


def _plain(line: str) -> str:
    return _squeezed(line.translate(_TYPED))


def _unescaped(line: str) -> str:
    return _squeezed(_ESCAPED.sub(r"\1", line))


# How a line may be read so that it matches after all, and what that says about the difference.
_READINGS = (
    (str.rstrip, "white space at the end of a line differs"),
    (str.strip, "indentation differs"),
    (_squeezed, "white space differs"),
    (_bare, "white space differs"),
    (_unnumbered, "the line numbers before the lines are not in the file"),
    (_folded, "upper and lower case differ"),
    (_plain, "quotes, dashes or blanks are other characters"),
    (_unescaped, "backslashes before quotes or other characters differ"),
)


def _find(
    wanted: List[str], key_at: int, possible: List[int], lines: List[str], same: Any
) -> List[int]:
    """Where the lines, read by `same`, are exactly `wanted`; of many the first."""
    found: List[int] = []
    for at in possible:
        start = at - key_at
        if same(lines[at]) != wanted[key_at] or start < 0 or start + len(wanted) > len(lines):
            continue
        if all(same(lines[start + i]) == want for i, want in enumerate(wanted)):
            found.append(start)
            if len(found) == SIMILAR_MAX:
                break
    return found


def _nearly(wanted: List[str], key_at: int, lines: List[str]) -> List[Dict[str, Any]]:
    scored: List[Tuple[float, int]] = []
    for start in _candidates(wanted, key_at, lines):
        alike = likeness(wanted, lines[start : start + len(wanted)])
        if alike >= RATIO_MIN:
            scored.append((-alike, start))
    picked: List[int] = []
    for _, start in sorted(scored):
        if all(abs(start - other) >= len(wanted) for other in picked):
            picked.append(start)
    return [
        _place(lines, start, len(wanted), _difference(wanted, lines, start))
        for start in picked[:SIMILAR_MAX]
    ]


def _difference(wanted: List[str], lines: List[str], start: int) -> str:
    """In words, from which line on a place differs."""
    for at, line in enumerate(wanted):
        if start + at >= len(lines) or lines[start + at].strip() != line.strip():
            return "similar, but not the same: differs at line %d" % (start + at + 1)
    return "similar, but not the same"


def _candidates(wanted: List[str], key_at: int, lines: List[str]) -> List[int]:
    """Window starts worth comparing: where lines are equal, else where words are shared."""
    offsets: Dict[str, List[int]] = {}
    for at, line in enumerate(wanted[:OFFSETS_MAX]):
        key = line.strip()
        if len(key) > 3:
            offsets.setdefault(key, []).append(at)
    votes: Counter[int] = Counter()
    for at, line in enumerate(lines):
        for offset in offsets.get(line.strip(), ()):
            votes[max(0, at - offset)] += 1
    if not votes:
        votes = _shared_words(wanted[key_at], key_at, lines)
    return [start for start, _ in votes.most_common(CANDIDATES_MAX)]


def _shared_words(key: str, key_at: int, lines: List[str]) -> Counter[int]:
    words = set(_words(key))
    votes: Counter[int] = Counter()
    for number in _sharing(list(words), WORDS_MAX, lines):
        line = lines[number]
        shared = len(words.intersection(_words(line)))
        votes[max(0, number - key_at)] = 100 * shared - abs(len(line) - len(key))
    return votes


def _sharing(words: List[str], most: int, lines: List[str]) -> List[int]:
    """The lines with one of the longest `words` in them, in any case; all if there are no words."""
    named = sorted((word for word in words if not word.isdigit()), key=len)[-most:]
    if not named:
        return list(range(len(lines)))
    return [
        at
        for at, line in enumerate(lines)
        if any(word in line[:LINE_SCANNED].lower() for word in named)
    ]


def _words(line: str) -> List[str]:
    return re.findall(r"\w+", line[:LINE_SCANNED].lower())


def _place(lines: List[str], start: int, size: int, why: str) -> Dict[str, Any]:
    last = min(start + size, len(lines))
    shown = [line[:LINE_SCANNED] for line in lines[start : min(last, start + SHOWN_LINES)]]
    return {"first": start + 1, "last": last, "text": "\n".join(shown), "why": why}
