"""A person's own command in the sandbox, as the model would run one; the model is told of it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

import msgspec

from agent.core.errors import SandboxError, UserError
from agent.core.events import AnyEvent, CallOutput, Entered, Ran
from agent.core.limits import BASH_MAX_SECONDS, OUTPUT_TAIL_BYTES
from agent.core.messages import ToolCall
from agent.loop import wording
from agent.tools.base import ToolContext, Toolset

BY_HAND = "by hand"
"""In the place of a call's id, on what such a command prints while it runs."""
SHELL = "bash"

Context = Callable[[ToolCall, Callable[[str], None]], Awaitable[ToolContext]]


async def run_by_hand(
    command: str, script: str, *, tools: Toolset, context: Context, emit: Callable[[AnyEvent], None]
) -> None:
    """Run `script`, which a person calls `command`: `Entered`, what it prints, `Ran`.

    Raises `SandboxError`, `SyncError`; once it has begun there is a `Ran` in every case.
    """
    tool = tools.find(SHELL)
    if tool is None:
        raise UserError("this session has no shell")
    heard = ""

    def on_output(text: str) -> None:
        nonlocal heard
        heard = (heard + text)[-OUTPUT_TAIL_BYTES:]
        emit(CallOutput(BY_HAND, text))

    given = {"command": script, "seconds": BASH_MAX_SECONDS}
    own = await context(ToolCall(f"you-{secrets.token_hex(4)}", SHELL, given), on_output)
    emit(Entered(command))
    began = time.monotonic()
    try:
        result = await tool.run(msgspec.convert(given, tool.arguments), own)
    except (asyncio.CancelledError, SandboxError):
        text = wording.interrupted(begun=True, output=heard)
        emit(Ran(command, text, None, round(time.monotonic() - began, 3)))
        raise
    code = result.details.get("exit_code")
    seconds = round(time.monotonic() - began, 3)
    emit(Ran(command, result.text, code if isinstance(code, int) else None, seconds))
