"""Hand a piece of the work to a child with a context of its own."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.limits import CALL_GRACE_SECONDS, TASK_SECONDS
from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import wording
from agent.tools.base import Task, Tool, ToolContext


class TaskCall(msgspec.Struct, forbid_unknown_fields=True):
    task: Annotated[
        str,
        msgspec.Meta(min_length=1, description="All it has to know, and what to report."),
    ]
    fork: bool = False


def tool(description: str) -> Tool:
    """The `task` tool."""
    return Tool(
        "task",
        description,
        TaskCall,
        _run,
        reads_only=False,
        title=_title,
        seconds=_seconds,
        together=True,
    )


def _title(arguments: TaskCall) -> str:
    return one_line(f"task{' in a fork' if arguments.fork else ''}: {arguments.task}")


def _seconds(_: TaskCall) -> float:
    return TASK_SECONDS + CALL_GRACE_SECONDS


async def _run(arguments: TaskCall, ctx: ToolContext) -> ToolResult:
    done = await ctx.run_task(Task(ctx.call_id, arguments.task, arguments.fork, ctx.on_output))
    details = {"outcome": done.outcome, "steps": done.steps, "branch": done.branch}
    text = done.text or wording.TASK_SILENT
    if done.outcome != "done":
        text = wording.TASK_ENDED.format(why=done.why or done.outcome, text=text)
    if arguments.fork:
        where = wording.TASK_BRANCH if done.branch else wording.TASK_NO_BRANCH
        text = f"{text}\n\n{where.format(branch=done.branch)}"
    return ToolResult(ctx.call_id, ok=done.outcome == "done", text=text, details=details)
