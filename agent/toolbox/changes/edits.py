"""`edit` and `multiedit`: one text for another, found by the ladder of `hunks`, all or nothing."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from agent.toolbox.changes import anchored, hunks, literal, reports
from agent.toolbox.changes.drafts import Draft, Drafts, Refused, alone
from agent.toolbox.changes.hunks import LINE_STEPS, Hunk, Page, Splice
from agent.toolbox.changes.similar import similar_lines
from agent.toolbox.files.paths import Answer, absolute, refusal

LISTED_MAX = 50
FAILURES_MAX = 5


def edit(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Replace `old` by `new`: the one place where it is, or all of them with `all`."""
    path, seen = absolute(arguments["path"], limits["workdir"]), arguments.get("hash")
    with alone(limits):
        drafts = Drafts(limits, arguments.get("seen", {}) if seen is None else {path: seen})
        try:
            _apply(drafts, arguments)
            drafts.commit()
        except Refused as refused:
            return refused.answer
        (told,) = reports.report(drafts, limits)["files"]
        return _flat(told)


def _flat(told: Answer) -> Answer:
    """The report of one file, its first place shown as the place of the edit."""
    kept = ("path", "hash", "replaced", "steps", "more", "errors", "diff")
    windows: List[Dict[str, Any]] = told["windows"] or [{"first": 0, "text": ""}]
    first, shown = windows[0]["first"], windows[0]["text"]
    last = first + shown.count("\n") if first else 0
    place = {"first": first, "last": last, "text": shown, "windows": windows[1:]}
    return {"ok": True, **place, **{key: told[key] for key in kept}}


def multiedit(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Do `edits` in order, each on what the one before left. If one fails, none is done."""
    edits = arguments["edits"]
    with alone(limits):
        drafts = Drafts(limits, arguments.get("seen", {}))
        failures: List[Answer] = []
        for number, one in enumerate(edits, 1):
            try:
                _apply(drafts, one)
            except Refused as refused:
                failures.append(dict(refused.answer, number=number))
        if failures:
            return failed(failures, len(edits))
        try:
            drafts.commit()
        except Refused as refused:
            return refused.answer
        return reports.report(drafts, limits)


def failed(failures: List[Answer], total: int) -> Answer:
    """The refusal of a request with several parts; each failure names its part."""
    shown = failures[:FAILURES_MAX]
    if len(failures) > 1:
        shown = [dict(one, nearest=one.get("nearest", [])[:1]) for one in shown]
    return refusal("", "failed", failures=shown, count=len(failures), total=total)


def _apply(drafts: Drafts, arguments: Dict[str, Any]) -> None:
    """One edit of one draft. Raises `Refused`."""
    path = absolute(arguments["path"], drafts.limits["workdir"])
    old, new, everywhere = arguments["old"], arguments["new"], bool(arguments.get("all", False))
    if not old:
        raise Refused(refusal(path, "empty_old"))
    if old == new:
        raise Refused(refusal(path, "same"))
    draft = drafts.open(path)
    found = literal.find(draft.text or "", old, new, apart=everywhere)
    if len(found.places) > 1 and not everywhere:
        raise Refused(_ambiguous(path, "exact", found.lines()))
    if found.places:
        draft.text = literal.replaced(draft.text or "", found)
        draft.replaced += len(found.places)
    else:
        _climb(draft, old.replace("\r\n", "\n"), new.replace("\r\n", "\n"), everywhere)


def _climb(draft: Draft, old: str, new: str, everywhere: bool) -> None:
    """The steps above `exact`: whole lines that are not quite as written."""
    page = Page(draft.lines())
    for hunk in _hunks(old, new):
        for step in LINE_STEPS:
            starts = hunks.starts(page, hunk.old, step)
            if everywhere:
                starts = _apart(starts, len(hunk.old))
            elif len(starts) > 1:
                raise Refused(_ambiguous(draft.path, step, [start + 1 for start in starts]))
            splices = [hunks.fitted(page, hunk, start, step) for start in starts]
            if splices and None not in splices:
                _splice(draft, splices, "trailing" if step == "exact" else step)
                return
        starts, one = anchored.found(page, hunk)
        if len(starts) > 1:
            raise Refused(_ambiguous(draft.path, "anchored", [start + 1 for start in starts]))
        if one is not None:
            _splice(draft, [one], "anchored")
            return
    there = hunks.starts(page, new.strip("\n").split("\n"), "indentation") if new.strip() else []
    raise Refused(
        refusal(
            draft.path,
            "not_found",
            nearest=similar_lines(old, page.lines),
            lines=[start + 1 for start in there[:LISTED_MAX]],
        )
    )


def _splice(draft: Draft, splices: List[Optional[List[Splice]]], step: str) -> None:
    draft.splice([splice for one in splices for splice in one or []])
    draft.replaced += len(splices)
    if step not in draft.steps:
        draft.steps.append(step)


def _apart(starts: List[int], size: int) -> List[int]:
    """Those that do not overlap one before them."""
    apart: List[int] = []
    for start in starts:
        if not apart or start >= apart[-1] + size:
            apart.append(start)
    return apart


def _hunks(old: str, new: str) -> List[Hunk]:
    """`old` and `new` as lines; then without blank lines around them that the file may not have."""
    whole = _lines(old, new)
    if whole is None:
        return []
    olds, news = whole
    first = next(at for at, line in enumerate(olds) if line.strip())
    last = next(at for at, line in enumerate(reversed(olds)) if line.strip())
    if not first and not last:
        return [hunks.between(olds, news)]
    bare = olds[first : len(olds) - last]
    while first and news and not news[0].strip():
        first, news = first - 1, news[1:]
    while last and news and not news[-1].strip():
        last, news = last - 1, news[:-1]
    return [hunks.between(*whole), hunks.between(bare, news)]


def _lines(old: str, new: str) -> Optional[Tuple[List[str], List[str]]]:
    """Both as whole lines; None when they are no such thing."""
    if not old.strip():
        return None
    if not old.endswith("\n"):
        return old.split("\n"), new.split("\n") if new else [""]
    if new and not new.endswith("\n"):
        return None
    return old.split("\n")[:-1], new.split("\n")[:-1]


def _ambiguous(path: str, step: str, lines: List[int]) -> Answer:
    return refusal(path, "ambiguous", count=len(lines), lines=lines[:LISTED_MAX], step=step)
