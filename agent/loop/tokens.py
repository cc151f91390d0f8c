"""How many tokens a request has: estimated without a tokenizer, set right by what was counted.

A provider counts the tokens of each request it answers. How far the estimate was off then is how
far it is taken to be off the next time; for what a conversation consists of that differs little
from one request to the next, and much between models.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from agent.core.text import one_line
from agent.llm.protocol import Request, ToolSchema
from agent.loop.history import History

BYTES = 4  # of a token of English prose or of code, about
MESSAGE_TOKENS = 4  # what stands around one
IMAGE_TOKENS = 1_500
_LEAST, _MOST = 0.5, 3.0


def of_text(text: str) -> int:
    """An estimate for some text."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size // BYTES)


def of_result(result: ToolResult) -> int:
    """An estimate for one result, its images included."""
    return of_text(result.text) + MESSAGE_TOKENS + IMAGE_TOKENS * len(result.images)


def of_call(call: ToolCall) -> int:
    """An estimate for one call."""
    written = call.raw or msgspec.json.encode(call.arguments).decode()
    return of_text(call.name) + of_text(written) + 2 * MESSAGE_TOKENS


def of_message(message: Message) -> int:
    """An estimate for one message."""
    match message:
        case UserMessage():
            return of_text(message.text) + MESSAGE_TOKENS + IMAGE_TOKENS * len(message.images)
        case AssistantMessage():
            return of_text(message.text) + MESSAGE_TOKENS + sum(map(of_call, message.calls))
        case ToolMessage():
            return sum(map(of_result, message.results))


def of_tool(schema: ToolSchema) -> int:
    """An estimate for what a model is told of one tool."""
    return of_text(msgspec.json.encode(schema).decode())


def of_request(request: Request) -> int:
    """An estimate for all of a request."""
    fixed = of_text(request.system) + sum(map(of_tool, request.tools))
    return fixed + sum(map(of_message, request.messages))


def scale_of(request: Request, history: History) -> float:
    """What estimates for this model have to be multiplied by: 1.0 before it has answered."""
    answered = history.answered
    if answered is None:
        return 1.0
    reply, messages = answered
    if reply.model not in ("", request.model):
        return 1.0
    before = Request(request.model, request.system, messages, request.tools)
    return min(_MOST, max(_LEAST, reply.usage.prompt / max(1, of_request(before))))


@dataclass(frozen=True, slots=True)
class Item:
    """One part of a request: what kind of thing it is, which one, and its tokens."""

    kind: str
    what: str
    tokens: int


def items(request: Request, history: History) -> tuple[Item, ...]:
    """The parts that the next request with this head will have, in their order."""
    scale = scale_of(request, history)
    found = [
        Item("system prompt", "", of_text(request.system)),
        *(Item("tools", tool.name, of_tool(tool)) for tool in request.tools),
    ]
    sent, first = list(history.messages), history.first
    if history.summary:
        found.append(Item("summary", "", of_message(sent.pop(0))))
    calls: dict[str, ToolCall] = {}
    for at, message in enumerate(sent, first):
        besides = history.asides(at, at + 1)
        extra = [Item(a.kind, ", ".join(a.files), of_text(a.text)) for a in besides]
        if isinstance(message, AssistantMessage):
            calls = {call.id: call for call in message.calls}
        own = _parts(message, calls)
        if extra and own:
            last = own[-1]
            rest = max(0, last.tokens - sum(item.tokens for item in extra))
            own[-1] = Item(last.kind, last.what, rest)
        found += [*own, *extra]
    return tuple(Item(i.kind, i.what, round(i.tokens * scale)) for i in found)


def _parts(message: Message, calls: dict[str, ToolCall]) -> list[Item]:
    match message:
        case UserMessage():
            pictures = [Item("images", "", IMAGE_TOKENS) for _ in message.images]
            words = of_text(message.text) + MESSAGE_TOKENS
            return [*pictures, Item("your messages", one_line(message.text, 60), words)]
        case AssistantMessage():
            said = of_text(message.text) + MESSAGE_TOKENS
            asked = [Item("calls", _named(call), of_call(call)) for call in message.calls]
            return [*asked, Item("replies", one_line(message.text, 60), said)]
        case ToolMessage():
            parts: list[Item] = []
            for result in message.results:
                named = _named(calls[result.call_id]) if result.call_id in calls else ""
                parts += [Item("images", named, IMAGE_TOKENS) for _ in result.images]
                parts.append(Item("results", named, of_text(result.text) + MESSAGE_TOKENS))
            return parts


def _named(call: ToolCall) -> str:
    """A call in a few words: its name and what it was given first."""
    given = next(iter((call.arguments or {}).values()), "")
    return one_line(f"{call.name} {given}", 60)
