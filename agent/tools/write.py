"""Write a whole file. One that exists must have been seen, as it is now, before it is replaced."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools.answers import seen_hash
from agent.tools.base import Tool, ToolContext
from agent.tools.changes import Changes, Failure, change, done, not_done


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
    answer = await _write(arguments, ctx, seen_hash(ctx, path))
    if isinstance(answer, Failure) and answer.reason == "unread":
        # `~` is another name for a place that only the inside knows; its answer has the real one.
        known = ctx.seen.hashes.get(answer.path)
        answer = await _write(arguments, ctx, known) if known else answer
    if isinstance(answer, Changes):
        return done(ctx, answer, path=path)
    return not_done(ctx, answer, path=path)


async def _write(arguments: Write, ctx: ToolContext, seen: str | None) -> Changes | Failure:
    path, text = arguments.path, arguments.content
    return await change(ctx, "write", path=path, text=text, hash=seen)
