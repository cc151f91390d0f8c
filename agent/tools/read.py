"""Read a text file by lines, or list a directory."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.limits import LINE_MAX_CHARS, READ_MAX_LINES
from agent.core.messages import ToolResult
from agent.core.text import model_safe, one_line
from agent.tools import wording
from agent.tools.answers import ReadAnswer, Refusal, ask
from agent.tools.base import Tool, ToolContext
from agent.tools.say import listed, numbered, refused

DIRECTORY_MAX_ENTRIES = 200


class Read(msgspec.Struct, forbid_unknown_fields=True):
    path: Annotated[str, msgspec.Meta(description="File or directory.")]
    offset: Annotated[int, msgspec.Meta(ge=1, description="First line, from 1.")] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, description="Number of lines.")] = READ_MAX_LINES


def tool(description: str) -> Tool:
    """The `read` tool."""
    return Tool("read", description, Read, _run, reads_only=True, title=_title)


def _title(arguments: Read) -> str:
    place = f":{arguments.offset}" if arguments.offset > 1 else ""
    return one_line(f"read {arguments.path}{place}")


async def _run(arguments: Read, ctx: ToolContext) -> ToolResult:
    limit = min(arguments.limit, READ_MAX_LINES)
    answer = await ask(
        ctx, ReadAnswer, "read", arguments.path, offset=arguments.offset, limit=limit
    )
    if isinstance(answer, ReadAnswer):
        return ToolResult(ctx.call_id, ok=True, text=_text(answer), details=_details(answer))
    if answer.reason == "directory":
        return _directory(arguments.path, answer, ctx)
    return refused(ctx, arguments.path, answer)


def _details(answer: ReadAnswer) -> dict[str, object]:
    return {
        "path": answer.path,
        "hash": answer.hash,
        "first": answer.first,
        "last": answer.last,
        "total": answer.total,
    }


def _text(answer: ReadAnswer) -> str:
    body = numbered(answer.text, answer.first) if answer.total else wording.EMPTY
    return "\n".join([body, *_notes(answer)])


def _notes(answer: ReadAnswer) -> list[str]:
    notes: list[str] = []
    place = {"first": answer.first, "last": answer.last, "total": answer.total}
    if answer.last < answer.total:
        notes.append(wording.MORE.format(**place, next=answer.last + 1))
    elif answer.first > 1:
        notes.append(wording.LAST.format(**place))
    if answer.long_lines:
        lines = listed(answer.long_lines)
        notes.append(wording.LONG_LINES.format(limit=LINE_MAX_CHARS, lines=lines))
    if answer.encoding != "utf-8":
        notes.append(wording.ENCODING.format(encoding=answer.encoding))
    if answer.newline != "\n":
        notes.append(wording.CRLF if answer.newline == "\r\n" else wording.MIXED)
    changed = sum(a != b for a, b in zip(answer.text, model_safe(answer.text), strict=False))
    if changed:
        notes.append(wording.INVISIBLE.format(count=changed))
    return notes


def _directory(path: str, answer: Refusal, ctx: ToolContext) -> ToolResult:
    details = {"path": answer.path, "entries": len(answer.entries)}
    head = wording.DIRECTORY if answer.entries else wording.DIRECTORY_EMPTY
    lines = [head.format(path=path), *answer.entries]
    if len(answer.entries) >= DIRECTORY_MAX_ENTRIES:
        lines.append(wording.DIRECTORY_MORE.format(count=len(answer.entries)))
    return ToolResult(ctx.call_id, ok=True, text="\n".join(lines), details=details)
