"""`patch`: several files changed, made, moved and removed by one text, all or nothing."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

from agent.toolbox.changes import envelope, reports, unified
from agent.toolbox.changes.drafts import Draft, Drafts, Refused, alone
from agent.toolbox.changes.edits import LISTED_MAX, failed
from agent.toolbox.changes.hunks import Hunk
from agent.toolbox.changes.placing import Fit, NoFit, Placing
from agent.toolbox.changes.sections import ADD, DELETE, BadPatch, Section, unwrapped
from agent.toolbox.changes.similar import similar_lines
from agent.toolbox.files.paths import Answer, refusal

LINE_SHOWN = 200


def patch(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Do what the patch says, in its order; one part that cannot be done, and nothing is."""
    try:
        sections = parse(arguments["patch"])
    except BadPatch as bad:
        return refusal("", "bad_patch", why=bad.why, line=bad.at, text=bad.line[:LINE_SHOWN])
    with alone(limits):
        drafts = Drafts(limits, arguments.get("seen", {}))
        failures: List[Answer] = []
        for section in sections:
            failures += _done(drafts, section)
        if failures:
            return failed(failures, sum(max(1, len(section.hunks)) for section in sections))
        try:
            drafts.commit()
        except Refused as refused:
            return refused.answer
        return reports.report(drafts, limits)


def parse(text: str) -> List[Section]:
    """The sections of a patch of either format. Raises `BadPatch`."""
    whole = unwrapped(text)
    lines = envelope.inside(whole)
    if not any(line.strip() for _, line in lines):
        raise BadPatch("empty")
    if envelope.fits(lines):
        return envelope.parse(lines)
    if unified.fits(lines):
        return unified.parse(lines)
    if len(lines) < len(whole):
        return envelope.parse(lines)  # says which of its lines means nothing
    raise BadPatch("escaped" if len(lines) == 1 and "\\n" in lines[0][1] else "format", *lines[0])


def _done(drafts: Drafts, section: Section) -> List[Answer]:
    """What could not be done of one section."""
    if section.named:
        _settle_names(drafts, section)
    try:
        if section.kind == ADD:
            drafts.create(section.path, section.text, mode=section.mode)
            return []
        if section.kind == DELETE:
            return _deleted(drafts, section)
        draft = drafts.open(section.path, raw=not section.hunks)
        failures = _changed(draft, section.hunks)
        if section.mode >= 0:
            draft.mode = section.mode
        if section.to and not failures:
            drafts.move(section.path, section.to)
        return failures
    except Refused as refused:
        return [dict(refused.answer, line=section.at)]


def _settle_names(drafts: Drafts, section: Section) -> None:
    """The names of a diff, where only one thing can be meant: it had two, or lost its slash."""
    workdir: str = drafts.limits["workdir"].rstrip("/")
    inside = workdir.lstrip("/") + "/"
    if not os.path.lexists(os.path.join(workdir, inside.split("/")[0])):
        section.path = "/" * section.path.startswith(inside) + section.path
        section.to = "/" * section.to.startswith(inside) + section.to
    if section.to and not drafts.has(section.path) and drafts.has(section.to):
        section.path, section.to = section.to, ""


def _deleted(drafts: Drafts, section: Section) -> List[Answer]:
    if section.hunks:
        # A diff shows the whole file: what is not in it would be lost unseen.
        draft = drafts.open(section.path)
        failures = _changed(draft, section.hunks)
        if failures:
            return failures
        if (draft.text or "").strip():
            return [refusal(draft.path, "remains", count=len(draft.lines()), line=section.at)]
    drafts.delete(section.path)
    return []


def _changed(draft: Draft, hunks: List[Hunk]) -> List[Answer]:
    """Apply `hunks` to `draft`, each where the file as it was has its place."""
    placing = Placing(draft.lines(), hunks)
    fits: List[Fit] = []
    failures: List[Answer] = []
    for number, hunk in enumerate(hunks):
        try:
            fit = _placed(placing, hunk, 0)
            if fit is None and fits:
                # It may have been written with the hunks before it in mind.
                _apply(draft, fits, hunks)
                fits, placing = [], Placing(draft.lines(), hunks[number:])
            fit = fit or placing.place(hunk)
        except NoFit as no_fit:
            failures.append(_failure(draft, hunk, no_fit))
            continue
        fits.append(fit)
        if fit.step != "exact" and fit.step not in draft.steps:
            draft.steps.append(fit.step)
    _apply(draft, fits, hunks)
    return failures


def _placed(placing: Placing, hunk: Hunk, fuzz: int) -> Optional[Fit]:
    try:
        return placing.place(hunk, fuzz=fuzz)
    except NoFit as no_fit:
        if no_fit.reason != "not_found":
            raise
        return None


def _apply(draft: Draft, fits: List[Fit], hunks: List[Hunk]) -> None:
    said = [hunk.newline for hunk in hunks if hunk.newline is not None]
    splices = [splice for fit in fits for splice in fit.splices]
    draft.splice(splices, said[-1] if said else None)
    draft.replaced += len(fits)


def _failure(draft: Draft, hunk: Hunk, no_fit: NoFit) -> Answer:
    more: Dict[str, Any] = {"number": hunk.number, "line": hunk.at}
    if no_fit.starts:
        lines = [start + 1 for start in no_fit.starts[:LISTED_MAX]]
        more.update(count=len(no_fit.starts), lines=lines, step=no_fit.step)
        more.update(text=hunk.headings[0][:LINE_SHOWN] if no_fit.reason == "no_heading" else "")
    elif no_fit.reason == "not_found":
        more.update(nearest=similar_lines("\n".join(hunk.old), draft.lines()))
    return refusal(draft.path, no_fit.reason, **more)
