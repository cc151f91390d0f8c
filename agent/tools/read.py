"""Read files: text by lines, pictures for a model that sees, directories as lists."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Annotated

import msgspec

from agent.core.errors import ToolboxError
from agent.core.limits import (
    IMAGE_MAX_BYTES,
    LINE_MAX_CHARS,
    READ_MAX_BYTES,
    READ_MAX_LINES,
    READ_PATHS_MAX,
)
from agent.core.messages import ToolResult
from agent.core.text import model_safe, one_line
from agent.tools import wording
from agent.tools.answers import ReadAnswer, Refusal, ask
from agent.tools.base import Tool, ToolContext
from agent.tools.ls import listing
from agent.tools.say import listed, numbered, refused

MEDIA = ("image/png", "image/jpeg", "image/gif", "image/webp")
_IMAGE_MAX_CHARS = IMAGE_MAX_BYTES * 4 // 3 + 4
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


class Read(msgspec.Struct, forbid_unknown_fields=True):
    path: Annotated[
        str | list[str], msgspec.Meta(description="File or directory, or several of them.")
    ]
    offset: Annotated[int, msgspec.Meta(ge=1, description="First line, from 1.")] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, description="Number of lines.")] = READ_MAX_LINES


def tool(description: str) -> Tool:
    """The `read` tool."""
    return Tool("read", description, Read, _run, reads_only=True, title=_title)


def _title(arguments: Read) -> str:
    place = f":{arguments.offset}" if arguments.offset > 1 else ""
    return one_line(f"read {', '.join(_paths(arguments))}{place}")


def _paths(arguments: Read) -> list[str]:
    path = arguments.path
    if isinstance(path, str) and path.startswith("["):
        # A list that a model has put into a string; else a name with a bracket.
        with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
            return msgspec.json.decode(path, type=list[str])
    return [path] if isinstance(path, str) else path


async def _run(arguments: Read, ctx: ToolContext) -> ToolResult:
    paths = _paths(arguments)
    if len(paths) == 1:
        return await _read(paths[0], arguments, ctx, 1)
    if not paths or len(paths) > READ_PATHS_MAX:
        text = wording.READ_COUNT.format(most=READ_PATHS_MAX)
        return ToolResult(ctx.call_id, ok=False, text=text)
    results = await asyncio.gather(*(_read(p, arguments, ctx, len(paths)) for p in paths))
    return _together(ctx, paths, results)


def _together(ctx: ToolContext, paths: list[str], results: list[ToolResult]) -> ToolResult:
    """Several results as one, each below the path it is about."""
    parts: list[str] = []
    images: list[str] = []
    room = _IMAGE_MAX_CHARS
    for path, result in zip(paths, results, strict=True):
        parts += [wording.OF_FILE.format(path=path), result.text]
        room -= sum(map(len, result.images))
        if room >= 0:
            images += result.images
        elif result.images:
            parts.append(wording.IMAGE_LEFT_OUT)
    return ToolResult(
        ctx.call_id,
        ok=any(result.ok for result in results),
        text="\n".join(parts),
        details={"files": [result.details for result in results]},
        images=tuple(images),
    )


async def _read(path: str, arguments: Read, ctx: ToolContext, count: int) -> ToolResult:
    """One of `count` files: they share what a result may hold."""
    answer = await ask(
        ctx,
        ReadAnswer,
        "read",
        path=path,
        offset=arguments.offset,
        limit=min(arguments.limit, READ_MAX_LINES // count),
        bytes=READ_MAX_BYTES // count,
    )
    if isinstance(answer, Refusal):
        if answer.reason == "directory":
            return await listing(path, 1, ctx)
        return refused(ctx, path, answer)
    if answer.image:
        return _picture(path, answer, ctx)
    return ToolResult(ctx.call_id, ok=True, text=_text(answer), details=_details(answer))


def _picture(path: str, answer: ReadAnswer, ctx: ToolContext) -> ToolResult:
    fits = len(answer.image) <= _IMAGE_MAX_CHARS and _BASE64.fullmatch(answer.image)
    if answer.kind not in MEDIA or not fits:
        raise ToolboxError("the toolbox answered `read` with something that is no image")
    text = wording.IMAGE.format(path=path, kind=answer.kind, why=answer.why, size=answer.size)
    return ToolResult(
        ctx.call_id,
        ok=True,
        text=text,
        details={"path": answer.path, "hash": answer.hash},
        images=(f"data:{answer.kind};base64,{answer.image}",),
    )


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
    if answer.document:
        notes.append(wording.DOCUMENT.format(kind=answer.document))
    if answer.encoding != "utf-8":
        notes.append(wording.ENCODING.format(encoding=answer.encoding))
    if answer.newline != "\n":
        notes.append(wording.CRLF if answer.newline == "\r\n" else wording.MIXED)
    changed = sum(a != b for a, b in zip(answer.text, model_safe(answer.text), strict=False))
    if changed:
        notes.append(wording.INVISIBLE.format(count=changed))
    return notes
