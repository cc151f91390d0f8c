"""Write a whole file. One that exists must have been seen, as it is now, before it is replaced."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import wording
from agent.tools.answers import Refusal, WriteAnswer, ask, seen_hash
from agent.tools.base import Tool, ToolContext
from agent.tools.say import refused


class Write(msgspec.Struct, forbid_unknown_fields=True):
    path: Annotated[str, msgspec.Meta(description="File; its directories are made.")]
    content: Annotated[str, msgspec.Meta(description="The whole new content.")]


def tool(description: str) -> Tool:
    """The `write` tool."""
    return Tool("write", description, Write, _run, reads_only=False, title=_title)


def _title(arguments: Write) -> str:
    return one_line(f"write {arguments.path}")


async def _run(arguments: Write, ctx: ToolContext) -> ToolResult:
    path = arguments.path
    seen = seen_hash(ctx, path)
    answer = await ask(ctx, WriteAnswer, "write", path, text=arguments.content, hash=seen)
    if isinstance(answer, Refusal):
        return refused(ctx, path, answer, changes=True)
    template = wording.CREATED if answer.created else wording.WRITTEN
    return ToolResult(
        ctx.call_id,
        ok=True,
        text=template.format(path=path, lines=answer.lines, size=answer.bytes),
        details={
            "path": answer.path,
            "hash": answer.hash,
            "created": answer.created,
            "lines": answer.lines,
            "diff": answer.diff,
        },
    )
