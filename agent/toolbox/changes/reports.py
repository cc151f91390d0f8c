"""What a change did, for the answer: new lines where it happened, a diff, new syntax errors."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional, Tuple

from agent.toolbox.changes import diffs
from agent.toolbox.changes.drafts import Draft
from agent.toolbox.changes.literal import shared
from agent.toolbox.code import parsing
from agent.toolbox.files import read as files
from agent.toolbox.files import text
from agent.toolbox.files.paths import Answer

AROUND_LINES = 3
SHOWN_LINES = 120
SHOWN_CHARS = 500
WINDOWS_MAX = 20
ERRORS_MAX = 5
ERROR_SECONDS = 2.0


def report(drafts: Iterable[Draft], limits: Dict[str, Any]) -> Answer:
    """The answer to a request that was done; `files` has what became of each file."""
    room, diff_room = SHOWN_LINES, limits["diff_max"]
    told: List[Dict[str, Any]] = []
    for draft in drafts:
        if draft.text is None and any(other.origin == draft.path for other in drafts):
            continue  # told where it went to
        told.append(_told(draft, room, diff_room, limits))
        diff_room = max(0, diff_room - len(told[-1]["diff"]))
        room -= sum(window["text"].count("\n") + 1 for window in told[-1]["windows"])
    return {"ok": True, "files": told}


def _told(draft: Draft, room: int, diff_room: int, limits: Dict[str, Any]) -> Dict[str, Any]:
    before = _lines(draft.source)
    after = _lines(draft.after)
    changes = diffs.changes(before, after)
    chars = min(SHOWN_CHARS, limits["line_chars"])
    windows, more = _windows(before, after, changes, room, chars)
    if not draft.replaced or draft.after is None:
        windows, more = [], 0  # the model has just written all of it, or it is gone
    return {
        "path": draft.path,
        "hash": "" if draft.after is None else files.digest(draft.after),
        "change": _kind(draft),
        "origin": draft.origin,
        "replaced": draft.replaced,
        "steps": draft.steps,
        "lines": len(after),
        "bytes": len(draft.after or b""),
        "windows": windows,
        "more": more,
        "errors": _errors(draft),
        "diff": diffs.unified(before, after, changes, diff_room),
    }


def _kind(draft: Draft) -> str:
    if draft.after is None:
        return "deleted"
    if draft.origin:
        return "moved"
    if draft.before is None:
        return "created"
    if draft.after == draft.before and draft.mode >= 0:
        return "mode"
    return "edited" if draft.replaced else "written"


def _lines(data: Optional[bytes]) -> List[str]:
    content = text.decode(data) if data else None
    return content.lines() if content else []


def _windows(
    before: List[str], after: List[str], changes: List[diffs.Change], room: int, chars: int
) -> Tuple[List[Dict[str, Any]], int]:
    """The changed places as they are now, with some lines around, and how many are not whole."""
    spans: List[List[int]] = []
    for _, _, begin, end in changes:
        first, last = max(0, begin - AROUND_LINES), min(len(after), end + AROUND_LINES)
        if spans and first <= spans[-1][1]:
            spans[-1][1] = last
        else:
            spans.append([first, last])
    where = {c: before[a] for a, b, c, d in changes if b - a == d - c == 1}
    windows: List[Dict[str, Any]] = []
    whole = 0
    for first, end in spans[:WINDOWS_MAX]:
        last = min(end, first + room)
        if last <= first and after:
            break
        whole += last == end
        room -= last - first
        shown = [_cut(after[at], where.get(at), chars) for at in range(first, last)]
        windows.append({"first": first + 1 if shown else 0, "text": "\n".join(shown)})
    return windows, len(spans) - whole


def _cut(line: str, before: Optional[str], chars: int) -> str:
    """A line of any length, short; of a long one the part that changed."""
    if len(line) <= chars:
        return line
    same = 0 if before is None else shared(line, before)
    start = max(0, min(same - chars // 2, len(line) - chars))
    end = "…" if start + chars < len(line) else ""
    return ("…" if start else "") + line[start : start + chars] + end


def _errors(draft: Draft) -> List[Tuple[int, str]]:
    if draft.after is None or draft.after == draft.source or draft.raw is not None:
        return []
    return parsing.new_errors(draft.path, draft.source, draft.after, ERROR_SECONDS)[:ERRORS_MAX]
