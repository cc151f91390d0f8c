"""Replace text in a file: literally, at one place, and told when it was not quite as written."""

from __future__ import annotations

import msgspec

from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools.base import Tool, ToolContext
from agent.tools.changes import Changes, change, done, not_done, seen_of


class Edit(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    old: str
    new: str
    all: bool = False


def tool(description: str) -> Tool:
    """The `edit` tool."""
    return Tool("edit", description, Edit, _run, reads_only=False, title=_title)


def _title(arguments: Edit) -> str:
    return one_line(f"edit {arguments.path}")


async def _run(arguments: Edit, ctx: ToolContext) -> ToolResult:
    path = arguments.path
    answer = await change(
        ctx,
        "edit",
        path=path,
        old=arguments.old,
        new=arguments.new,
        all=arguments.all,
        seen=seen_of(ctx, path),
    )
    if isinstance(answer, Changes):
        return done(ctx, answer, path=path)
    return not_done(ctx, answer, path=path)
