"""One operation of the toolbox that is not about a single file: its answer as a type, or a no."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from agent.core.errors import ToolboxError
from agent.tools.base import ToolContext


class No(msgspec.Struct, frozen=True):
    """Why an operation was not done. Which fields are set depends on `reason`."""

    reason: str
    name: str = ""
    names: list[str] = msgspec.field(default_factory=list[str])
    near: list[str] = msgspec.field(default_factory=list[str])
    line: int = 0
    count: int = 0
    why: str = ""
    state: str = ""
    exit_code: int | None = None


Answer = TypeVar("Answer", bound=msgspec.Struct)


async def operate(ctx: ToolContext, answer: type[Answer], op: str, **arguments: Any) -> Answer | No:
    """Call the toolbox and parse what it says; what does not fit is a `ToolboxError`."""
    raw = await ctx.sandbox.toolbox.call(op, **arguments)
    try:
        return msgspec.convert(raw, answer if raw.get("ok") is True else No)
    except msgspec.ValidationError as error:
        raise ToolboxError(f"the toolbox answered `{op}` with something else: {error}") from error
