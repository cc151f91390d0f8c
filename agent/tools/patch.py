"""Apply a patch of several files, made, changed, moved or removed: all of it or nothing."""

from __future__ import annotations

import re

import msgspec

from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools.base import Tool, ToolContext
from agent.tools.changes import Changes, change, done, not_done, seen_of

_NAMES = re.compile(r"^(?:\*\*\* \w+ File: |\+\+\+ (?:b/)?)(.+?)\s*$", re.MULTILINE)


class Patch(msgspec.Struct, forbid_unknown_fields=True):
    patch: str


def tool(description: str) -> Tool:
    """The `patch` tool."""
    return Tool("patch", description, Patch, _run, reads_only=False, title=_title)


def _title(arguments: Patch) -> str:
    names = dict.fromkeys(_NAMES.findall(arguments.patch))
    return one_line(f"patch {', '.join(names)}")


async def _run(arguments: Patch, ctx: ToolContext) -> ToolResult:
    text = arguments.patch
    answer = await change(ctx, "patch", patch=text, seen=seen_of(ctx, text))
    return done(ctx, answer) if isinstance(answer, Changes) else not_done(ctx, answer)
