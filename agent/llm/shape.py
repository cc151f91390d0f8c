"""The shape of a question: what a recorded answer depends on, in a form two can be compared by.

In it: names and schemas of the tools, roles and order of the messages, what the user said, what
the model called with which arguments, and which calls succeeded. Not in it: the system text and
the results' texts, which hold paths, times and facts of the machine.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from agent.core.messages import AssistantMessage, Message, ToolMessage, ToolResult, UserMessage
from agent.llm.protocol import Request

_SHORT_CHARS = 200


class Shape(msgspec.Struct, frozen=True):
    """`tools` maps each name to a digest of its schema; `messages` are readable, long texts cut."""

    tools: dict[str, str]
    messages: tuple[dict[str, Any], ...]


def shape_of(request: Request) -> Shape:
    """The shape of `request`."""
    return Shape(
        tools={tool.name: _digest(_canonical(tool.parameters)) for tool in request.tools},
        messages=tuple(_entry(message) for message in request.messages),
    )


def difference(recorded: Shape, asked: Shape) -> str:
    """What differs, for people; "" when nothing does."""
    if recorded.tools != asked.tools:
        return _tools_difference(recorded.tools, asked.tools)
    for at, (old, new) in enumerate(zip(recorded.messages, asked.messages, strict=False), start=1):
        if old != new:
            return f"message {at} is another: recorded {_show(old)}, now {_show(new)}"
    old_count, new_count = len(recorded.messages), len(asked.messages)
    if old_count != new_count:
        return f"the conversation has {new_count} messages, recorded were {old_count}"
    return ""


def _tools_difference(recorded: dict[str, str], asked: dict[str, str]) -> str:
    new = [f"`{name}` is new" for name in asked if name not in recorded]
    gone = [f"`{name}` is gone" for name in recorded if name not in asked]
    other = [
        f"`{name}` has another schema"
        for name, digest in asked.items()
        if recorded.get(name, digest) != digest
    ]
    return "the tools changed: " + ", ".join([*new, *gone, *other])


def _entry(message: Message) -> dict[str, Any]:
    match message:
        case UserMessage():
            images = {"images": [_digest(image) for image in message.images]}
            return {"role": "user", "text": _short(message.text)} | (
                images if message.images else {}
            )
        case AssistantMessage():
            calls = [
                {
                    "name": call.name,
                    "arguments": _short(
                        call.raw if call.arguments is None else _canonical(call.arguments)
                    ),
                }
                for call in message.calls
            ]
            return {"role": "assistant", "calls": calls}
        case ToolMessage():
            results = [_result(result) for result in message.results]
            return {"role": "tool", "results": results}


def _result(result: ToolResult) -> dict[str, Any]:
    images = [_digest(image) for image in result.images]
    return {"call": result.call_id, "ok": result.ok} | ({"images": images} if images else {})


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _short(text: str) -> str:
    if len(text) <= _SHORT_CHARS:
        return text
    return f"{text[:_SHORT_CHARS]}… ({len(text)} characters, {_digest(text)})"


def _show(entry: dict[str, Any]) -> str:
    return "`" + _short(_canonical(entry)) + "`"
