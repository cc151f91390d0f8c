"""Search in files."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.core.limits import PLACE_HITS_MAX, TEXT_HITS_MAX
from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import finding
from agent.tools.answers import Refusal, ask
from agent.tools.base import Tool, ToolContext
from agent.tools.hits import Hits, shown
from agent.tools.places import lost, several


class Grep(msgspec.Struct, forbid_unknown_fields=True):
    pattern: Annotated[str, msgspec.Meta(description="Regular expression; a line must match.")]
    path: Annotated[str, msgspec.Meta(description="File or directory.")] = "."
    files: Annotated[str, msgspec.Meta(description="Only such files: `*.py, !tests/**`.")] = (
        msgspec.field(default="", name="glob")
    )
    type: Annotated[str, msgspec.Meta(description="Only this type: py, js, go …")] = ""
    fixed: Annotated[bool, msgspec.Meta(description="`pattern` is plain text.")] = False
    ignore_case: bool = False
    context: Annotated[int, msgspec.Meta(ge=0, le=20, description="Lines around hits.")] = 0
    mode: Annotated[
        Literal["hits", "files", "count"], msgspec.Meta(description="What to show.")
    ] = "hits"
    all: Annotated[bool, msgspec.Meta(description="Hidden and ignored files too.")] = False


def tool(description: str) -> Tool:
    """The `grep` tool."""
    return Tool("grep", description, Grep, _run, reads_only=True, title=_title)


def _title(arguments: Grep) -> str:
    places = [*([] if arguments.path == "." else [arguments.path]), *several(arguments.files)]
    where = f" in {', '.join(places)}" if places else ""
    return one_line(f"grep {arguments.pattern}{where}")


async def _run(arguments: Grep, ctx: ToolContext) -> ToolResult:
    answer = await ask(
        ctx,
        Hits,
        "grep",
        pattern=arguments.pattern,
        path=arguments.path,
        patterns=several(arguments.files),
        kind=arguments.type,
        fixed=arguments.fixed,
        ignore_case=arguments.ignore_case,
        context=arguments.context,
        mode=arguments.mode,
        all=arguments.all,
        text_hits=TEXT_HITS_MAX,
        place_hits=PLACE_HITS_MAX,
    )
    if isinstance(answer, Refusal):
        return lost(ctx, arguments.path, answer)
    lines = shown(answer)
    if not answer.total and "\\|" in arguments.pattern and not arguments.fixed:
        lines.append(finding.NO_BAR.format(pattern=one_line(arguments.pattern)))
    details = {
        "total": answer.total,
        "files": answer.files,
        "searched": answer.searched,
        "form": answer.form,
        "engine": answer.engine,
    }
    return ToolResult(ctx.call_id, ok=True, text="\n".join(lines), details=details)
