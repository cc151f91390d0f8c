"""What the three that look for files have in common: patterns, paths on a line, refusals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent.core.limits import RESULT_MAX_BYTES
from agent.core.messages import ToolResult
from agent.core.text import terminal_safe
from agent.tools import finding
from agent.tools.answers import Refusal
from agent.tools.base import ToolContext
from agent.tools.say import short

PATH_MAX_CHARS = 4_096


def lost(ctx: ToolContext, path: str, answer: Refusal) -> ToolResult:
    """The result of a call that found nothing to look in."""
    template = finding.REFUSALS.get(answer.reason, finding.REFUSED)
    if answer.reason == "absent" and set("*?{") & set(path):
        template = finding.PATTERN_AS_PATH
    elif answer.reason == "absent" and answer.nearest:
        template = finding.ABSENT_NEAR
    text = template.format(
        path=path,
        reason=answer.reason,
        why=answer.why,
        nearest=", ".join(line(short(ctx, name)) for name in answer.nearest),
    )
    return ToolResult(ctx.call_id, ok=False, text=text, details={"reason": answer.reason})


def several(patterns: str) -> list[str]:
    """The patterns in a text that are separated by commas, those in braces not counted."""
    parts, depth, taken = [""], 0, False
    for char in patterns:
        if char == "," and depth <= 0 and not taken:
            parts.append("")
            continue
        depth += 0 if taken else {"{": 1, "[": 1, "}": -1, "]": -1}.get(char, 0)
        taken = char == "\\" and not taken
        parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def line(path: str) -> str:
    """A path as one line, whatever its name."""
    return terminal_safe(path[:PATH_MAX_CHARS]).replace("\n", "␊").replace("\t", "␉")


def bounded(lines: Iterable[str]) -> Iterator[str]:
    """The first of `lines`, as many as a result may hold: a toolbox that lies costs no more."""
    room = RESULT_MAX_BYTES
    for each in lines:
        room -= len(each) + 1
        if room < 0:
            return
        yield each
