"""What was probably meant: similar paths, and the lines of a file most like a text not found in it.

Everything here is bounded: a wrong guess is cheap, a helper that hangs on a large file is not.
"""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from typing import Any, Dict, Iterable, Iterator, List, Tuple

SIMILAR_MAX = 3
WALKED_MAX = 5_000
SKIPPED = {".git", "node_modules", ".venv", "venv", "__pycache__", "target", "dist", "build"}

LINES_MAX = 400_000
CANDIDATES_MAX = 20
COMPARED_CHARS = 4_000
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
_NUMBERED = re.compile(r"^\s*\d+(?:\t|→|\s*[|:]\s?)")


def similar_paths(path: str, workdir: str) -> List[str]:
    """Up to three paths that exist and look like `path`."""
    name = os.path.basename(path)
    folder: str = os.path.dirname(path)
    while not os.path.isdir(folder) and folder != "/":
        folder = os.path.dirname(folder)
    top = workdir if (folder + "/").startswith(workdir + "/") else folder
    seen = list(_walk(top))
    same = [found for found in seen if os.path.basename(found) == name]
    beside = [found for found in seen if os.path.dirname(found) == os.path.dirname(path)]
    by_name = {os.path.basename(found): found for found in beside}
    close = [by_name[match] for match in difflib.get_close_matches(name, by_name, SIMILAR_MAX)]
    if not same and not close:
        relative = {os.path.relpath(found, top): found for found in seen[:500]}
        matches = difflib.get_close_matches(os.path.relpath(path, top), relative, SIMILAR_MAX, 0.75)
        close = [relative[match] for match in matches]
    return list(dict.fromkeys(same + close))[:SIMILAR_MAX]


def _walk(top: str) -> Iterator[str]:
    count = 0
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names) + folders:
            count += 1
            if count > WALKED_MAX:
                return
            yield os.path.join(folder, name)


def similar_lines(old: str, lines: List[str]) -> List[Dict[str, Any]]:
    """Up to three places like `old`, best first: first, last (from 1), text, why."""
    wanted = old.strip("\n").split("\n")
    if not any(line.strip() for line in wanted):
        return []
    lines = lines[:LINES_MAX]
    for same, why in _READINGS:
        starts = _find([same(line) for line in wanted], lines, same)
        if starts:
            return [_place(lines, start, len(wanted), why) for start in starts[:SIMILAR_MAX]]
    return _nearly(wanted, lines)


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


def _find(wanted: List[str], lines: List[str], same: Any) -> List[int]:
    """Where the lines, read by `same`, are exactly `wanted`."""
    # The rarest line is looked for first: blank lines and lone brackets are everywhere.
    key_at = max(range(len(wanted)), key=lambda at: len(wanted[at]))
    found: List[int] = []
    for at, line in enumerate(lines):
        start = at - key_at
        if same(line) != wanted[key_at] or start < 0 or start + len(wanted) > len(lines):
            continue
        if all(same(lines[start + i]) == want for i, want in enumerate(wanted)):
            found.append(start)
            if len(found) == SIMILAR_MAX:
                break
    return found


def _nearly(wanted: List[str], lines: List[str]) -> List[Dict[str, Any]]:
    target = "\n".join(line.strip() for line in wanted)[:COMPARED_CHARS]
    scored: List[Tuple[float, int]] = []
    for start in _candidates(wanted, lines):
        window = "\n".join(line.strip() for line in lines[start : start + len(wanted)])
        matcher = difflib.SequenceMatcher(None, target, window[:COMPARED_CHARS], autojunk=False)
        if matcher.real_quick_ratio() >= RATIO_MIN and matcher.quick_ratio() >= RATIO_MIN:
            scored.append((matcher.ratio(), start))
    best = sorted((pair for pair in scored if pair[0] >= RATIO_MIN), key=lambda pair: -pair[0])
    picked: List[int] = []
    for _, start in best:
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


def _candidates(wanted: List[str], lines: List[str]) -> List[int]:
    """Window starts worth comparing: where lines are equal, else where words are shared."""
    offsets: Dict[str, List[int]] = {}
    for at, line in enumerate(wanted[:200]):
        key = _squeezed(line)
        if len(key) > 3:
            offsets.setdefault(key, []).append(at)
    votes: Counter[int] = Counter()
    for at, line in enumerate(lines):
        for offset in offsets.get(_squeezed(line), ()):
            votes[max(0, at - offset)] += 1
    if not votes:
        votes = _shared_words(wanted, lines)
    return [start for start, _ in votes.most_common(CANDIDATES_MAX)]


def _shared_words(wanted: List[str], lines: List[str]) -> Counter[int]:
    at = max(range(len(wanted)), key=lambda i: len(wanted[i].strip()))
    words = set(_words(wanted[at]))
    votes: Counter[int] = Counter()
    for number, line in enumerate(lines):
        shared = len(words.intersection(_words(line[:LINE_SCANNED])))
        if shared:
            votes[max(0, number - at)] = 100 * shared - abs(len(line) - len(wanted[at]))
    return votes


LINE_SCANNED = 500


def _words(line: str) -> Iterable[str]:
    return re.findall(r"\w+", line)


def _place(lines: List[str], start: int, size: int, why: str) -> Dict[str, Any]:
    last = min(start + size, len(lines))
    shown = [line[:LINE_SCANNED] for line in lines[start : min(last, start + SHOWN_LINES)]]
    return {"first": start + 1, "last": last, "text": "\n".join(shown), "why": why}
