"""Several replacements, in one file or several: all of them or none."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools.base import Tool, ToolContext
from agent.tools.changes import Changes, change, done, not_done, seen_of
from agent.tools.edit import Edit


class Multiedit(msgspec.Struct, forbid_unknown_fields=True):
    edits: Annotated[list[Edit], msgspec.Meta(min_length=1)]


def tool(description: str) -> Tool:
    """The `multiedit` tool."""
    return Tool("multiedit", description, Multiedit, _run, reads_only=False, title=_title)


def _title(arguments: Multiedit) -> str:
    names = dict.fromkeys(edit.path for edit in arguments.edits)
    return one_line(f"edit {', '.join(names)}")


async def _run(arguments: Multiedit, ctx: ToolContext) -> ToolResult:
    names = "\n".join(edit.path for edit in arguments.edits)
    edits = msgspec.to_builtins(arguments.edits)
    answer = await change(ctx, "multiedit", edits=edits, seen=seen_of(ctx, names))
    return done(ctx, answer) if isinstance(answer, Changes) else not_done(ctx, answer)
