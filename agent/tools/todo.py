"""The list of what is to do: the model's own, shown to people, part of the session's record."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.limits import TODO_ITEMS_MAX
from agent.core.messages import ToolResult
from agent.tools import wording
from agent.tools.base import MARKS, Item, Tool, ToolContext, always


class TodoList(msgspec.Struct, forbid_unknown_fields=True):
    items: Annotated[
        list[Item], msgspec.Meta(max_length=TODO_ITEMS_MAX, description="The whole new list.")
    ]


def tool(description: str) -> Tool:
    """The `todo` tool."""
    return Tool("todo", description, TodoList, _run, reads_only=False, title=_title, looks=always)


def _title(arguments: TodoList) -> str:
    done = sum(item.state == "done" for item in arguments.items)
    return f"todo {done}/{len(arguments.items)}"


async def _run(arguments: TodoList, ctx: ToolContext) -> ToolResult:
    items = tuple(arguments.items)
    details = {"todo": list(msgspec.to_builtins(items))}
    return ToolResult(ctx.call_id, ok=True, text=listed(items), details=details)


def listed(items: tuple[Item, ...]) -> str:
    """The list as text, an item a line."""
    rows = [f"{MARKS[item.state]} {' '.join(item.text.split())}" for item in items]
    return "\n".join(rows) or wording.NOTHING_TO_DO
