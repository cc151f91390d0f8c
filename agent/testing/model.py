"""A model that says what a test wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from agent.core.errors import LlmError
from agent.core.events import ReasoningDelta, TextDelta
from agent.core.messages import AssistantMessage
from agent.llm.protocol import OnDelta, Request

Line = AssistantMessage | LlmError | Callable[[Request], AssistantMessage]
"""A reply, a failure, or a function of the question (which may raise `LlmError`)."""


class Scripted:
    """An `Llm` that answers with the given lines in order and keeps the questions.

    Text and reasoning come as deltas of `piece` characters, with a chance for other tasks between
    them, so that an interrupt can arrive in the middle. A question beyond the script is a fault of
    the test and raises AssertionError.
    """

    def __init__(self, replies: Sequence[Line], *, piece: int = 8) -> None:
        self._replies = tuple(replies)
        self._piece = piece
        self.requests: list[Request] = []

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """The next line of the script."""
        at = len(self.requests)
        self.requests.append(request)
        if at >= len(self._replies):
            raise AssertionError(f"the script has only {len(self._replies)} replies")
        line = self._replies[at]
        if isinstance(line, LlmError):
            await self._stream(line.partial, TextDelta, on_delta)
            raise line
        reply = line if isinstance(line, AssistantMessage) else line(request)
        await self._stream(reply.reasoning, ReasoningDelta, on_delta)
        await self._stream(reply.text, TextDelta, on_delta)
        return reply

    async def _stream(
        self,
        text: str,
        delta: Callable[[str], TextDelta | ReasoningDelta],
        on_delta: OnDelta,
    ) -> None:
        for at in range(0, len(text), self._piece):
            await asyncio.sleep(0)
            on_delta(delta(text[at : at + self._piece]))
        await asyncio.sleep(0)
