"""Reasoning that a provider has signed: the model must have it back as it was, to go on from it.

Claude calls tools in the middle of its thoughts, and its provider refuses a conversation in which
those that led to the last calls are missing or are another model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from agent.core.messages import AssistantMessage, ToolMessage
from agent.llm.protocol import Request


class Thoughts:
    """Puts blocks together from the pieces of a stream. One without a signature is left out."""

    def __init__(self) -> None:
        self._blocks: list[dict[str, str]] = []
        self._text: list[str] = []

    def add(self, pieces: Any) -> None:
        """Take what a chunk carries; anything that is no list of blocks carries nothing."""
        for piece in cast("list[Any]", pieces) if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                self._add(cast("dict[str, Any]", piece))

    def _add(self, piece: dict[str, Any]) -> None:
        if piece.get("type") == "redacted_thinking":
            self._text.clear()
            if data := piece.get("data"):
                self._blocks.append({"type": "redacted_thinking", "data": str(data)})
            return
        self._text.append(str(piece.get("thinking") or ""))
        if signature := piece.get("signature"):
            text = "".join(self._text)
            self._text.clear()
            self._blocks.append({"type": "thinking", "thinking": text, "signature": str(signature)})

    @property
    def blocks(self) -> tuple[dict[str, str], ...]:
        """The blocks that are whole, in order."""
        return tuple(self._blocks)


def of_model(message: AssistantMessage, model: str) -> Sequence[dict[str, str]]:
    """The blocks that `model` wrote itself: another's signature means nothing to its provider."""
    return message.thoughts if message.model == model else ()


def are_missing(request: Request) -> bool:
    """Whether the calls that are being answered were made without signed thoughts of this model."""
    match request.messages:
        case (*_, AssistantMessage() as reply, ToolMessage()):
            return not of_model(reply, request.model)
        case _:
            return False
