"""Our messages as the dicts a chat-completions provider takes.

A pure function of the request: the same prefix of a conversation always gives the same bytes, so
that the provider's prompt cache can recognise it. Every call is followed by exactly its results,
nothing is blank, and user and assistant take turns: servers of open models refuse the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from agent.core.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agent.llm.protocol import Request, ToolSchema
from agent.llm.thoughts import fields_of, fields_of_call, plain_id

IMAGES_OF = "Images from the results above:"
NOTHING = "(nothing)"
UNSEEN = "[images left out here: {count}; as far as is known this model cannot see them]"

MALFORMED = "malformed_arguments"
"""The key under which a model is shown what it wrote instead of a JSON object."""

_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_NAME_MAX_CHARS = 64


def encode_messages(request: Request, *, sees: bool = True) -> list[dict[str, Any]]:
    """System text and history. Raises ValueError when a call lacks its result or the reverse.

    Images go to a model that `sees`; another is told that there were some.
    """
    encoded: list[dict[str, Any]] = []
    if request.system:
        encoded.append({"role": "system", "content": valid_text(request.system)})
    open_calls: Sequence[ToolCall] = ()
    for message in request.messages:
        if bool(open_calls) != isinstance(message, ToolMessage):
            raise ValueError("a tool call in the history has no result, or a result no call")
        for each in _encode(message, open_calls, request.model, sees):
            _append(encoded, each)
        open_calls = message.calls if isinstance(message, AssistantMessage) else ()
    if open_calls:
        raise ValueError("the history ends with a call that has no result")
    return encoded


def encode_tools(tools: Sequence[ToolSchema]) -> list[dict[str, Any]]:
    """Tool schemas, in the order given."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": valid_text(tool.description),
                "parameters": tool.parameters,
            },
        }
        for tool in tools
    ]


def _append(encoded: list[dict[str, Any]], message: dict[str, Any]) -> None:
    """Add a message; what the same speaker says twice in a row becomes one.

    Two in a row come of a turn that failed, and of images after the results of its last calls.
    """
    before = encoded[-1] if encoded else {}
    role = message["role"]
    if before.get("role") != role or role == "tool" or "tool_calls" in before:
        encoded.append(message)
        return
    joined = _joined(before["content"], message["content"])
    encoded[-1] = before | message | {"content": joined}


def _joined(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return one or other
    if isinstance(one, str) and isinstance(other, str):
        return f"{one}\n\n{other}"
    return [part for each in (one, other) for part in _parts(each)]


def _parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _encode(
    message: Message, calls: Sequence[ToolCall], model: str, sees: bool
) -> Iterator[dict[str, Any]]:
    match message:
        case UserMessage():
            blank = not (message.text.strip() or message.images)
            content = NOTHING if blank else _content(message.text, message.images, sees)
            yield {"role": "user", "content": content}
        case AssistantMessage():
            signed = fields_of(message, model)
            if message.calls:
                encoded = [
                    _call(call) | fields_of_call(message, model, call.id) for call in message.calls
                ]
                yield {
                    "role": "assistant",
                    "content": valid_text(message.text) if message.text.strip() else None,
                    "tool_calls": encoded,
                    **signed,
                }
            elif message.text.strip():
                yield {"role": "assistant", "content": valid_text(message.text), **signed}
        case ToolMessage():
            results = {result.call_id: result for result in message.results}
            if len(message.results) != len(calls) or results.keys() != {c.id for c in calls}:
                raise ValueError("the results do not answer the calls before them one to one")
            for call in calls:
                text = results[call.id].text
                content = valid_text(text) if text.strip() else NOTHING
                yield {"role": "tool", "tool_call_id": plain_id(call.id), "content": content}
            images = [image for call in calls for image in results[call.id].images]
            if images:
                # Not every provider takes an image in a result; all take one from a user.
                yield {"role": "user", "content": _content(IMAGES_OF if sees else "", images, sees)}


def _content(text: str, images: Sequence[str], sees: bool) -> str | list[dict[str, Any]]:
    if images and not sees:
        return "\n".join(
            [*([valid_text(text)] if text.strip() else []), UNSEEN.format(count=len(images))]
        )
    if not images:
        return valid_text(text)
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": i}} for i in images]
    return [{"type": "text", "text": valid_text(text)}, *parts] if text.strip() else parts


def _call(call: ToolCall) -> dict[str, Any]:
    # A name that the model invented may hold characters that a provider refuses to see again.
    name = _NAME.sub("_", call.name)[:_NAME_MAX_CHARS] or "unknown"
    function = {"name": name, "arguments": _arguments(call)}
    return {"id": plain_id(call.id), "type": "function", "function": function}


def _arguments(call: ToolCall) -> str:
    if call.arguments is None:
        return json.dumps({MALFORMED: valid_text(call.raw)}, ensure_ascii=False)
    # What the model wrote, byte for byte, when we have it: that is what its cache knows.
    if call.raw and call.raw == valid_text(call.raw) and _decodes_to(call.raw, call.arguments):
        return call.raw
    return valid_text(json.dumps(call.arguments, ensure_ascii=False))


def _decodes_to(raw: str, arguments: dict[str, Any]) -> bool:
    try:
        return json.loads(raw) == arguments
    except ValueError:
        return False


def valid_text(text: str) -> str:
    """`text` without lone surrogates, which UTF-8 cannot hold: neither sent nor kept."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # By way of UTF-16, two surrogates that are a pair become the character they stand for.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
