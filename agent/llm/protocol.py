"""The port to a language model: one request in, one reply out, pieces of it on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from agent.core.events import Notice, ReasoningDelta, TextDelta
from agent.core.messages import AssistantMessage, Message

Delta = TextDelta | ReasoningDelta | Notice
"""What may come up before the reply is whole; a Notice tells of a retry or a wait."""

OnDelta = Callable[[Delta], None]


class ToolSchema(msgspec.Struct, frozen=True):
    """What the model is told of one tool. `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: dict[str, Any]


class Request(msgspec.Struct, frozen=True):
    """One question to a model. `messages` is well formed: every call has its result.

    `reply_max` is how many tokens the reply may have at most, 0 what the model does by itself;
    `size` how many the question has by an estimate, 0 where nobody has made one.
    """

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = ()
    reply_max: int = 0
    size: int = 0


class Price(msgspec.Struct, frozen=True):
    """The most that a token of a question and one of a reply can cost, in US dollars.

    `reply_max` is how many tokens a reply can have, 0 where that is not known.
    """

    prompt: float
    completion: float
    reply_max: int = 0


class Llm(Protocol):
    """Something that answers."""

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """Answer `request`, handing pieces to `on_delta` as they arrive.

        Transient failures are retried inside. Raises only the kinds of `LlmError`, and
        `UserError` when a recording does not fit the question. Cancelling closes the connection.
        `on_delta` must not block and must not raise.
        """
        ...
