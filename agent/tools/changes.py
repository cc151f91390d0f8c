"""What the tools that change files share: the toolbox's answers, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename
from typing import Any

import msgspec

from agent.core.errors import ToolboxError
from agent.core.messages import ToolResult
from agent.tools import changewords, wording
from agent.tools.answers import Refusal
from agent.tools.base import NO_PLACE, ToolContext
from agent.tools.say import listed, numbered, sentence, short

FAILURES_ALLOWED = 2


class Near(msgspec.Struct, frozen=True):
    """Lines that resemble what was looked for, and how they differ from it."""

    first: int
    last: int
    text: str
    why: str


class Window(msgspec.Struct, frozen=True):
    """Lines of a changed file as they are now, from line `first`."""

    first: int
    text: str


class FileChange(msgspec.Struct, frozen=True):
    """What became of one file; `hash` is empty when it is gone."""

    path: str
    hash: str
    change: str
    origin: str = ""
    replaced: int = 0
    steps: list[str] = msgspec.field(default_factory=list[str])
    lines: int = 0
    bytes: int = 0
    windows: list[Window] = msgspec.field(default_factory=list[Window])
    more: int = 0
    errors: list[tuple[int, str]] = msgspec.field(default_factory=list[tuple[int, str]])
    diff: str = ""


class Changes(msgspec.Struct, frozen=True):
    """Everything was done."""

    files: list[FileChange]


class Failure(msgspec.Struct, frozen=True):
    """Why a change was not done, or one part of it. Which fields are set depends on `reason`."""

    reason: str
    path: str = ""
    nearest: list[str | Near] = msgspec.field(default_factory=list[str | Near])
    entries: list[str] = msgspec.field(default_factory=list[str])
    kind: str = ""
    size: int = 0
    count: int = 0
    lines: list[int] = msgspec.field(default_factory=list[int])
    why: str = ""
    step: str = "exact"
    number: int = 0
    line: int = 0
    text: str = ""
    total: int = 0
    failures: list[Failure] = msgspec.field(default_factory=list["Failure"])


async def change(ctx: ToolContext, op: str, **arguments: Any) -> Changes | Failure:
    """Ask the toolbox for a change of files. What does not fit its promise is a `ToolboxError`."""
    raw = await ctx.sandbox.toolbox.call(op, **arguments)
    try:
        if raw.get("ok") is not True:
            return msgspec.convert(raw, Failure)
        if "files" in raw:
            return msgspec.convert(raw, Changes)
        return Changes([_one(raw)])
    except (msgspec.ValidationError, TypeError) as error:
        raise ToolboxError(f"the toolbox answered `{op}` with something else: {error}") from error


def _one(raw: dict[str, Any]) -> FileChange:
    """The answer about a single file, whose first place is shown as the place of the edit."""
    known = dict(raw)
    if "replaced" in raw:
        shown = {"first": raw.get("first", 0), "text": raw.get("text", "")}
        known |= {"change": "edited", "windows": [shown, *raw.get("windows", [])]}
    else:
        known |= {"change": "created" if raw.get("created") else "written"}
    return msgspec.convert(known, FileChange)


def seen_of(ctx: ToolContext, text: str) -> dict[str, str]:
    """What the model last saw of the files that `text` may be about: those whose name is in it."""
    return {path: seen for path, seen in ctx.seen.hashes.items() if basename(path) in text}


def done(ctx: ToolContext, changes: Changes, *, path: str = "") -> ToolResult:
    """The result of a change that was made. `path` is the name by which the model knows it."""
    files = changes.files
    text = "\n".join(_said(ctx, file, path or short(ctx, file.path)) for file in files)
    if len(files) == 1:
        return ToolResult(ctx.call_id, ok=True, text=text, details=_details(files[0]))
    diffs = [f"--- {file.origin or file.path}\n+++ {file.path}\n{file.diff}" for file in files]
    details = {
        "files": [{"path": file.path, "hash": file.hash} for file in files]
        + [{"path": file.origin, "hash": ""} for file in files if file.origin],
        "diff": "\n".join(diffs),
    }
    return ToolResult(ctx.call_id, ok=True, text=text, details=details)


def _details(file: FileChange) -> dict[str, object]:
    details: dict[str, object] = {"path": file.path, "hash": file.hash, "diff": file.diff}
    if file.change == "edited":
        return details | {"replaced": file.replaced}
    if file.origin:
        details["files"] = [{"path": file.origin, "hash": ""}]
    return details | {"created": file.change == "created", "lines": file.lines}


def _said(ctx: ToolContext, file: FileChange, path: str) -> str:
    template = {
        "created": changewords.CREATED,
        "written": changewords.WRITTEN,
        "deleted": changewords.DELETED,
        "mode": changewords.MODE,
        "moved": changewords.MOVED_EDITED if file.replaced else changewords.MOVED,
    }.get(file.change, changewords.EDITED if file.windows or file.more else changewords.SAME_AGAIN)
    head = template.format(
        path=path,
        origin=short(ctx, file.origin),
        count=file.replaced,
        lines=file.lines,
        size=file.bytes,
    )
    lines = [head, *(changewords.STEPS[step] for step in file.steps if step in changewords.STEPS)]
    for window in file.windows:
        lines += [changewords.GAP] if window is not file.windows[0] else []
        lines.append(numbered(window.text, window.first) if window.first else wording.EMPTY)
    if file.more:
        lines.append(changewords.MORE_PLACES.format(count=file.more))
    if file.errors:
        errors = ", ".join(
            changewords.NEW_ERROR.format(line=line, what=what) for line, what in file.errors
        )
        lines.append(changewords.NEW_ERRORS.format(path=path, errors=errors))
    return "\n".join(lines)


def not_done(ctx: ToolContext, failure: Failure, *, path: str = "") -> ToolResult:
    """The result of a change that was refused, of one file or of several parts."""
    torn = "" if failure.reason == "torn" else changewords.UNCHANGED
    if failure.reason == "bad_patch":
        template = changewords.BAD_PATCHES.get(failure.why, changewords.BAD_PATCHES["format"])
        said = template.format(line=failure.line, text=failure.text)
        return _refused(ctx, torn + said, {"reason": failure.reason})
    if not failure.failures:
        said = _sentence(ctx, failure, path or short(ctx, failure.path))
        details = {"path": failure.path or path, "reason": failure.reason}
        return _refused(ctx, torn + said, details)
    parts = [
        _part(ctx, one, failure.total) + _sentence(ctx, one, short(ctx, one.path))
        for one in failure.failures
    ]
    left = failure.count - len(parts)
    parts += [changewords.FAILURES_LEFT.format(count=left)] if left > 0 else []
    reasons = [{"path": one.path, "reason": one.reason} for one in failure.failures]
    return _refused(ctx, torn + "\n".join(parts), {"reason": "failed", "failures": reasons})


def _refused(ctx: ToolContext, text: str, details: dict[str, Any]) -> ToolResult:
    return ToolResult(ctx.call_id, ok=False, text=text, details=details)


def _part(ctx: ToolContext, one: Failure, total: int) -> str:
    """Which edit, or which place of the patch."""
    name = short(ctx, one.path)
    if one.line and one.number:
        return changewords.HUNK_NUMBER.format(line=one.line, number=one.number, path=name)
    if one.line:
        return changewords.SECTION.format(line=one.line)
    return changewords.EDIT_NUMBER.format(number=one.number, total=total)


def _sentence(ctx: ToolContext, failure: Failure, path: str) -> str:
    of_hunk = failure.line and failure.reason in changewords.HUNK_REFUSALS
    refusals = changewords.HUNK_REFUSALS if of_hunk else changewords.REFUSALS
    template = refusals.get(failure.reason)
    if failure.reason == "torn":
        return changewords.TORN.format(entries=", ".join(short(ctx, e) for e in failure.entries))
    if template is None:
        names = [short(ctx, name) for name in failure.nearest if isinstance(name, str)]
        plain = Refusal(
            failure.reason,
            nearest=names,
            kind=failure.kind,
            size=failure.size,
            why=failure.why,
        )
        return sentence(path, plain)
    said = template.format(
        path=path,
        count=failure.count,
        lines=listed(failure.lines),
        step=changewords.READ_AS.get(failure.step, ""),
        why=failure.why,
        text=failure.text,
    )
    lines = [said, *(_near(failure) if failure.reason == "not_found" else [])]
    failures = ctx.seen.failures.get(failure.path, 0)
    if failure.reason in NO_PLACE and failures >= FAILURES_ALLOWED:
        lines.append(changewords.AGAIN.format(count=failures + 1))
    return "\n".join(lines)


def _near(failure: Failure) -> list[str]:
    lines: list[str] = []
    if failure.lines:
        lines.append(changewords.THERE_ALREADY.format(lines=listed(failure.lines)))
    near: Sequence[Near] = [place for place in failure.nearest if isinstance(place, Near)]
    lines += [_shown(place) for place in near]
    if near:
        return [*lines, changewords.NEAR_NEXT]
    return lines or [changewords.NO_NEAR_NEXT]


def _shown(place: Near) -> str:
    template = changewords.NEAR if place.last > place.first else changewords.NEAR_LINE
    head = template.format(first=place.first, last=place.last, why=place.why)
    return f"{head}\n{numbered(place.text, place.first)}"
