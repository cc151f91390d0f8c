"""Show what is in a directory."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import finding
from agent.tools.answers import Refusal, ask
from agent.tools.base import Tool, ToolContext
from agent.tools.places import bounded, line, lost


class Ls(msgspec.Struct, forbid_unknown_fields=True):
    path: Annotated[str, msgspec.Meta(description="Directory.")] = "."
    depth: Annotated[int, msgspec.Meta(ge=1, le=5, description="Levels.")] = 1


class Entry(msgspec.Struct, frozen=True):
    """One name: a folder's ends in a slash. `more` of what is in it are left out.

    `files` is -1 where they were not counted.
    """

    name: str
    size: int = 0
    files: int = 0
    target: str = ""
    ignored: bool = False
    more: int = 0


class Entries(msgspec.Struct, frozen=True):
    """What is in a folder and, as far as wanted, in those below it."""

    entries: list[Entry]
    total: int
    complete: bool = True


def tool(description: str) -> Tool:
    """The `ls` tool."""
    return Tool("ls", description, Ls, _run, reads_only=True, title=_title)


def _title(arguments: Ls) -> str:
    return one_line(f"ls {arguments.path}")


async def _run(arguments: Ls, ctx: ToolContext) -> ToolResult:
    return await listing(arguments.path, arguments.depth, ctx)


async def listing(path: str, depth: int, ctx: ToolContext) -> ToolResult:
    """The result of looking at a directory, also when another tool was asked to."""
    answer = await ask(ctx, Entries, "ls", path=path, depth=depth)
    if isinstance(answer, Refusal):
        return lost(ctx, path, answer)
    details = {"entries": len(answer.entries), "total": answer.total}
    text = "\n".join(bounded(_lines(path, answer)))
    return ToolResult(ctx.call_id, ok=True, text=text, details=details)


def _lines(path: str, answer: Entries) -> list[str]:
    if not answer.entries:
        return [finding.EMPTY_FOLDER.format(path=path)]
    lines: list[str] = []
    left_out: list[tuple[int, int]] = []
    for entry in answer.entries:
        depth = entry.name.rstrip("/").count("/")
        while left_out and left_out[-1][0] >= depth:
            lines.append(_more(*left_out.pop()))
        lines.append("  " * depth + _shown(entry))
        if entry.more:
            left_out.append((depth, entry.more))
    lines += [_more(*each) for each in reversed(left_out)]
    top = sum(1 for entry in answer.entries if "/" not in entry.name.rstrip("/"))
    if answer.total > top:
        lines.append(finding.ENTRIES_CUT.format(total=answer.total, shown=top))
    if not answer.complete:
        lines.append(finding.NOT_COUNTED)
    return lines


def _more(depth: int, count: int) -> str:
    return "  " * (depth + 1) + finding.MORE_IN.format(count=count)


def _shown(entry: Entry) -> str:
    folder = entry.name.endswith("/")
    name = line(entry.name.rstrip("/").rpartition("/")[2]) + ("/" if folder else "")
    if entry.target:
        return finding.LINKED.format(name=name, target=line(entry.target))
    if entry.ignored:
        return finding.IGNORED.format(name=name)
    if not folder:
        return finding.SIZED.format(name=name, size=_size(entry.size))
    if entry.files < 0:
        return name
    template = finding.ONE_FILE_IN if entry.files == 1 else finding.FILES_IN
    return (template if entry.files else finding.NO_FILE_IN).format(name=name, files=entry.files)


def _size(size: int) -> str:
    for unit, step in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if size >= step:
            return f"{size / step:.1f}{unit}"
    return str(size)
