"""Find files by name."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.limits import NAMES_MAX
from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import finding
from agent.tools.answers import Refusal, ask
from agent.tools.base import Tool, ToolContext
from agent.tools.places import bounded, line, lost, several


class Glob(msgspec.Struct, forbid_unknown_fields=True):
    pattern: Annotated[
        str, msgspec.Meta(description="Such as `src/**/*.{ts,tsx}`. Several: `*.py, !tests/**`.")
    ]
    path: Annotated[str, msgspec.Meta(description="Directory to look in.")] = "."
    all: Annotated[bool, msgspec.Meta(description="Hidden and ignored files too.")] = False


class Names(msgspec.Struct, frozen=True):
    """Files, newest first, of `total`; where there are none, folders that fit."""

    paths: list[str]
    total: int
    searched: int
    widened: bool = False
    as_written: bool = False
    complete: bool = True
    folders: list[str] = msgspec.field(default_factory=list[str])


def tool(description: str) -> Tool:
    """The `glob` tool."""
    return Tool("glob", description, Glob, _run, reads_only=True, title=_title)


def _title(arguments: Glob) -> str:
    place = "" if arguments.path == "." else f" in {arguments.path}"
    return one_line(f"glob {', '.join(several(arguments.pattern))}{place}")


async def _run(arguments: Glob, ctx: ToolContext) -> ToolResult:
    patterns = several(arguments.pattern)
    answer = await ask(
        ctx,
        Names,
        "glob",
        patterns=patterns,
        path=arguments.path,
        all=arguments.all,
        limit=NAMES_MAX,
    )
    if isinstance(answer, Refusal):
        return lost(ctx, arguments.path, answer)
    details = {"total": answer.total, "searched": answer.searched, "shown": len(answer.paths)}
    return ToolResult(ctx.call_id, ok=True, text="\n".join(_lines(answer)), details=details)


def _lines(answer: Names) -> list[str]:
    lines = [_head(answer), *bounded(map(line, answer.paths or answer.folders))]
    if answer.as_written:
        lines.append(finding.AS_WRITTEN)
    if answer.widened:
        lines.append(finding.WIDENED)
    if answer.total > len(answer.paths):
        lines.append(finding.NAMES_NEXT)
    if not answer.complete:
        lines.append(finding.TOO_MANY_FILES)
    return lines


def _head(answer: Names) -> str:
    if not answer.total:
        template = finding.NO_NAME_FOLDERS if answer.folders else finding.NO_NAME
    elif answer.total > len(answer.paths):
        template = finding.NAMES_CUT
    else:
        template = finding.ONE_NAME if answer.total == 1 else finding.NAMES
    return template.format(total=answer.total, shown=len(answer.paths), searched=answer.searched)
