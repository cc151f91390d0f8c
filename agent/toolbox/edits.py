"""Exact, literal replacement in a text file, in the file's own encoding and line endings."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Dict, List, Optional, Tuple

from agent.toolbox import diffs, files, paths, text
from agent.toolbox.nearest import similar_lines
from agent.toolbox.paths import Answer, refusal, refused
from agent.toolbox.text import Text

AROUND_LINES = 3
SHOWN_LINES = 200
LISTED_MAX = 50


def edit(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Replace `old` by `new`: the one place where it is, or all of them with `all`."""
    path = paths.absolute(arguments["path"], limits["workdir"])
    old, new = arguments["old"], arguments["new"]
    if not old:
        return refusal(path, "empty_old")
    if old == new:
        return refusal(path, "same")
    with files.changing:
        content, before, problem = _content(path, arguments.get("hash"), limits)
        if content is None:
            return problem
        return _replace(path, content, before, arguments, limits)


def _content(
    path: str, seen: Optional[str], limits: Dict[str, Any]
) -> Tuple[Optional[Text], bytes, Answer]:
    data, problem = files.load(path, limits)
    if data is None:
        return None, b"", problem
    if seen is not None and seen != files.digest(data):
        return None, data, refusal(path, "stale", hash=files.digest(data))
    content = text.decode(data)
    if content is None:
        return None, data, refusal(path, "binary", kind=text.kind(data), size=len(data))
    return content, data, {}


def _replace(
    path: str, content: Text, before: bytes, arguments: Dict[str, Any], limits: Dict[str, Any]
) -> Answer:
    flat = content.text.replace("\r\n", "\n")
    old, new = arguments["old"], arguments["new"]
    if "\r\n" in content.text or old not in flat:
        old, new = old.replace("\r\n", "\n"), new.replace("\r\n", "\n")
    found = _places(flat, old)
    if not found:
        return refusal(path, "not_found", nearest=similar_lines(old, content.lines()))
    starts = _line_starts(flat)
    if len(found) > 1 and not arguments.get("all", False):
        numbers = [bisect_right(starts, at) for at in found[:LISTED_MAX]]
        return refusal(path, "ambiguous", count=len(found), lines=numbers)
    try:
        after = content.encode(_rebuilt(content, flat, found, len(old), new))
        paths.replace(path, after)
    except UnicodeEncodeError as error:
        return refusal(path, "encoding", why=text.unencodable(error))
    except OSError as error:
        return refused(path, error)
    return _report(path, content, after, found, len(old), new, starts, limits)


def _places(flat: str, old: str) -> List[int]:
    found: List[int] = []
    at = flat.find(old)
    while at >= 0:
        found.append(at)
        at = flat.find(old, at + len(old))
    return found


def _line_starts(flat: str) -> List[int]:
    starts, at = [0], flat.find("\n")
    while at >= 0:
        starts.append(at + 1)
        at = flat.find("\n", at + 1)
    return starts


def _rebuilt(content: Text, flat: str, found: List[int], size: int, new: str) -> str:
    """The new text of the file: what was not replaced keeps its own line endings."""
    if content.newline == "\n":
        return _joined(flat, found, [at + size for at in found], [new] * len(found))
    # Where `flat` lacks a "\r": leads a place in `flat` back to the real text.
    removed: List[int] = []
    at = content.text.find("\r\n")
    while at >= 0:
        removed.append(at - len(removed))
        at = content.text.find("\r\n", at + 2)
    begins = [at + bisect_left(removed, at) for at in found]
    ends = [at + size + bisect_left(removed, at + size) for at in found]
    windows = 2 * len(removed) >= content.text.count("\n")
    pieces = [_ended(content.text[a:b], new, windows) for a, b in zip(begins, ends)]
    return _joined(content.text, begins, ends, pieces)


def _ended(replaced: str, new: str, windows: bool) -> str:
    """`new` with the line endings of what it replaces, else of most of the file."""
    if "\n" in replaced:
        windows = "\r\n" in replaced
    return new.replace("\n", "\r\n") if windows else new


def _joined(source: str, begins: List[int], ends: List[int], pieces: List[str]) -> str:
    out: List[str] = []
    at = 0
    for begin, end, piece in zip(begins, ends, pieces):
        out += (source[at:begin], piece)
        at = end
    return "".join([*out, source[at:]])


def _report(
    path: str,
    before: Text,
    data: bytes,
    found: List[int],
    size: int,
    new: str,
    starts: List[int],
    limits: Dict[str, Any],
) -> Answer:
    after = text.decode(data) or before
    old_lines, new_lines = before.lines(), after.lines()
    regions = _regions(found, size, new, starts, len(old_lines), len(new_lines))
    _, _, begin, end = regions[0]
    first = max(0, begin - AROUND_LINES)
    last = min(len(new_lines), end + AROUND_LINES, first + SHOWN_LINES)
    shown = [line[: limits["line_chars"]] for line in new_lines[first:last]]
    changes = [change for region in regions for change in _refined(old_lines, new_lines, region)]
    return {
        "ok": True,
        "path": path,
        "hash": files.digest(data),
        "replaced": len(found),
        "first": first + 1 if shown else 0,
        "last": last,
        "text": "\n".join(shown),
        "diff": diffs.unified(old_lines, new_lines, changes, limits["diff_max"]),
    }


def _refined(old: List[str], new: List[str], region: diffs.Change) -> List[diffs.Change]:
    a, b, c, d = region
    found = diffs.changes(old[a:b], new[c:d])
    return [(i + a, j + a, k + c, m + c) for i, j, k, m in found]


def _regions(
    found: List[int], size: int, new: str, starts: List[int], old_total: int, new_total: int
) -> List[diffs.Change]:
    """Which whole lines changed: known from where the replacements are, so no file is compared."""
    merged: List[List[int]] = []  # first line, line after the last, lines gained up to here
    gained = 0
    for at in found:
        first, last = bisect_right(starts, at) - 1, bisect_right(starts, at + size)
        gained += new.count("\n") - (last - bisect_right(starts, at))
        if merged and first < merged[-1][1]:
            merged[-1][1:] = [last, gained]
        else:
            merged.append([first, last, gained])
    regions: List[diffs.Change] = []
    shift = 0
    for first, last, total in merged:
        begin = min(first + shift, new_total)
        regions.append((first, min(last, old_total), begin, min(last + total, new_total)))
        shift = total
    return regions
