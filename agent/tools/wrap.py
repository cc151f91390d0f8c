"""What is around every tool, in a fixed order and without the tool's or the loop's doing.

From inside out: the guard ends a call that hangs and turns a failing sandbox into a result; the
cut bounds what a result may put into the model's context and shows what would be invisible there.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import msgspec

from agent.core.errors import (
    SandboxError,
    SandboxLacks,
    SandboxLost,
    SandboxUnavailable,
    ToolboxError,
)
from agent.core.limits import RESULT_MAX_BYTES, RESULT_MAX_LINES
from agent.core.messages import ToolResult
from agent.core.text import model_safe
from agent.tools import wording
from agent.tools.base import Tool, ToolContext


def wrap(tool: Tool) -> Tool:
    """`tool` as a session uses it."""
    return cut(guard(tool))


def guard(tool: Tool) -> Tool:
    """End a call after `tool.seconds`; a sandbox that refuses is a result, one that is gone raises.

    The reason stays in the details: it is written for people and may name the host's files.
    """

    async def run(arguments: Any, ctx: ToolContext) -> ToolResult:
        deadline = asyncio.timeout(tool.seconds(arguments))
        try:
            async with deadline:
                return await tool.run(arguments, ctx)
        except TimeoutError:
            if not deadline.expired():
                raise
            text = wording.HUNG.format(seconds=tool.seconds(arguments))
            return ToolResult(ctx.call_id, ok=False, text=text, details={"timed_out": True})
        except (SandboxLost, SandboxUnavailable):
            raise
        except SandboxLacks as error:
            details = {"problem": "SandboxLacks", "message": error.message}
            text = wording.LACKS.format(tool=tool.name)
            return ToolResult(ctx.call_id, ok=False, text=text, details=details)
        except (SandboxError, ToolboxError) as error:
            details = {"problem": type(error).__name__, "message": error.message}
            return ToolResult(ctx.call_id, ok=False, text=wording.BROKEN, details=details)

    return dataclasses.replace(tool, run=run)


def cut(tool: Tool) -> Tool:
    """Bound the text of each result and make everything in it visible and encodable."""

    async def run(arguments: Any, ctx: ToolContext) -> ToolResult:
        result = await tool.run(arguments, ctx)
        return msgspec.structs.replace(
            result, text=shorten(model_safe(result.text)), details=_encodable(result.details)
        )

    return dataclasses.replace(tool, run=run)


def shorten(text: str, *, size: int = RESULT_MAX_BYTES, lines: int = RESULT_MAX_LINES) -> str:
    """Head and tail of `text` within `size` bytes and `lines` lines, and a note between them."""
    data = text.encode("utf-8", "replace")
    if len(data) <= size and text.count("\n") < lines:
        return text
    front = data[: size // 3].decode("utf-8", "ignore").split("\n")[: lines // 3]
    back = (
        data[-(size - size // 3) :].decode("utf-8", "ignore").split("\n")[-(lines - lines // 3) :]
    )
    head, tail = "\n".join(front), "\n".join(back)
    dropped = len(data) - len(head.encode()) - len(tail.encode())
    return f"{head}\n{wording.CUT.format(dropped=dropped)}\n{tail}"


def _encodable(value: Any) -> Any:
    """`value` without lone surrogates, as names inside may have: the journal is UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}  # pyright: ignore
    if isinstance(value, list):
        return [_encodable(item) for item in value]  # pyright: ignore
    return value
