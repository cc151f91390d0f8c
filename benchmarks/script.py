"""A model that says what a task's author wrote, so that the harness can be tried without a key.

[[reply]]
text = "I look first."
[[reply.calls]]
name = "bash"
arguments = { command = "ls" }
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agent.core.errors import LlmDownError, UserError
from agent.core.messages import AssistantMessage, ToolCall
from agent.host import files
from agent.llm.protocol import Llm, Request
from agent.testing.model import Line, Scripted

PREFIX = "script:"


class _Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any]


class _Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str = ""
    calls: tuple[_Call, ...] = ()


class _Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reply: tuple[_Reply, ...]


def script(path: Path) -> Llm:
    """The model in the file at `path`. Raises `UserError` when the file holds something else."""
    try:
        replies = msgspec.toml.decode(files.read_bytes(path), type=_Script).reply
    except msgspec.MsgspecError as error:
        raise UserError(f"`{path}` is no script: {error}", "see `benchmarks/README.md`") from error
    lines: list[Line] = [_message(reply, at) for at, reply in enumerate(replies)]

    def over(_: Request) -> AssistantMessage:
        raise LlmDownError(f"the script `{path}` has only {len(replies)} replies")

    return Scripted([*lines, over])


def _message(reply: _Reply, at: int) -> AssistantMessage:
    calls = tuple(
        ToolCall(f"call-{at}-{number}", call.name, call.arguments)
        for number, call in enumerate(reply.calls)
    )
    return AssistantMessage(reply.text, calls=calls, stop="calls" if calls else "done")
