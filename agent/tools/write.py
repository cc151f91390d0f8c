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
    answer = await _write(arguments, ctx, seen_hash(ctx, path))
    if isinstance(answer, Refusal) and answer.reason == "unread":
        # `~` is another name for a place that only the inside knows; its answer has the real one.
        known = ctx.seen.hashes.get(answer.path)
        answer = await _write(arguments, ctx, known) if known else answer
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


async def _write(arguments: Write, ctx: ToolContext, seen: str | None) -> WriteAnswer | Refusal:
    path, text = arguments.path, arguments.content
    return await ask(ctx, WriteAnswer, "write", path, text=text, hash=seen)
