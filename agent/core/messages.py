"""What a conversation is made of. Frozen, JSON-codable, no behaviour beyond construction."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

StopReason = Literal["done", "calls", "length", "filtered", "cut", "interrupted"]


class Usage(msgspec.Struct, frozen=True):
    """Tokens and money of one or more requests.

    `prompt` counts all input tokens, `cached` those of them read from the provider's cache.
    `cost` is US dollars, or None where the price is not known: unknown is never shown as 0.
    """

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    cost: float | None = 0.0

    def __add__(self, other: Usage) -> Usage:
        known = self.cost is not None and other.cost is not None
        return Usage(
            prompt=self.prompt + other.prompt,
            cached=self.cached + other.cached,
            completion=self.completion + other.completion,
            cost=(self.cost or 0.0) + (other.cost or 0.0) if known else None,
        )


class ToolCall(msgspec.Struct, frozen=True):
    """One call the model asked for.

    `arguments` is the decoded JSON object, or None when `raw`, the text as it arrived, is not one.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None
    raw: str = ""


class ToolResult(msgspec.Struct, frozen=True):
    """The one answer to one call: `text` is for the model, `details` for people and tests.

    `images` are data URLs, for a model that can see.
    """

    call_id: str
    ok: bool
    text: str
    details: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    images: tuple[str, ...] = ()


class UserMessage(msgspec.Struct, frozen=True, tag="user"):
    """What a person said. `images` are data URLs; `at` is seconds since the epoch."""

    text: str
    images: tuple[str, ...] = ()
    at: float = 0.0


class AssistantMessage(msgspec.Struct, frozen=True, tag="assistant"):
    """What the model said, with the calls it wants run.

    `thoughts` are blocks of reasoning as the provider has signed them, for the same model to have
    back; `reasoning` is for people.
    """

    text: str
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()
    stop: StopReason = "done"
    usage: Usage = Usage()
    model: str = ""
    thoughts: tuple[dict[str, str], ...] = ()


class ToolMessage(msgspec.Struct, frozen=True, tag="tool"):
    """The results of all the calls of the assistant message before it, in the model's order."""

    results: tuple[ToolResult, ...]


Message = UserMessage | AssistantMessage | ToolMessage
