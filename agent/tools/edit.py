"""Replace text in a file, exactly or not at all."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import wording
from agent.tools.answers import EditAnswer, Refusal, ask, seen_hash
from agent.tools.base import Tool, ToolContext
from agent.tools.say import numbered, refused


class Edit(msgspec.Struct, forbid_unknown_fields=True):
    path: Annotated[str, msgspec.Meta(description="File.")]
    old: Annotated[str, msgspec.Meta(description="Text to replace, exact, without line numbers.")]
    new: Annotated[str, msgspec.Meta(description="What stands there instead.")]
    all: Annotated[bool, msgspec.Meta(description="Replace every occurrence.")] = False


def tool(description: str) -> Tool:
    """The `edit` tool."""
    return Tool("edit", description, Edit, _run, reads_only=False, title=_title)


def _title(arguments: Edit) -> str:
    return one_line(f"edit {arguments.path}")


async def _run(arguments: Edit, ctx: ToolContext) -> ToolResult:
    path = arguments.path
    answer = await ask(
        ctx,
        EditAnswer,
        "edit",
        path,
        old=arguments.old,
        new=arguments.new,
        all=arguments.all,
        hash=seen_hash(ctx, path),
    )
    if isinstance(answer, Refusal):
        return refused(ctx, path, answer, changes=True)
    head = wording.EDITED.format(path=path, count=answer.replaced)
    lines = numbered(answer.text, answer.first) if answer.first else wording.EMPTY
    return ToolResult(
        ctx.call_id,
        ok=True,
        text=f"{head}\n{lines}",
        details={
            "path": answer.path,
            "hash": answer.hash,
            "replaced": answer.replaced,
            "diff": answer.diff,
        },
    )
