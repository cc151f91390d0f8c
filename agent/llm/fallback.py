"""A chain of models: when one does not answer, the next is asked, and it is said which.

The next is asked when a provider is down, refuses the key or is at its limit, after the repeats
that the model inside makes by itself. It is not asked when something of the reply was shown: that
would be shown twice. Nor for a conversation that is too long for the model that was wanted: that
has to become shorter. One in whose window it does not fit is passed over; when nobody else answers
either, the failure says for whom it has to become shorter.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from agent.core.errors import (
    LlmAuthError,
    LlmContextError,
    LlmDownError,
    LlmError,
    LlmLimitError,
)
from agent.core.events import Notice
from agent.core.messages import AssistantMessage
from agent.llm.protocol import Delta, Llm, OnDelta, Request

REST_SECONDS = 300.0
_PASSED_ON = (LlmAuthError, LlmDownError, LlmLimitError)


class Fallback:
    """An `Llm` that asks `models` in turn after the one that was wanted.

    A model that failed rests for a while and is asked last: each step would wait for it again, and
    the cache of the one that answers would be lost with each change. `window` says how many tokens
    a question to a model may have, 0 when it cannot.
    """

    def __init__(
        self,
        llm: Llm,
        models: Sequence[str],
        *,
        window: Callable[[str], Awaitable[int]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._llm = llm
        self._models = tuple(models)
        self._window = window
        self._now = now
        self._rested: dict[str, float] = {}
        self._refused: dict[str, int] = {}
        self._passed_over: set[str] = set()

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """The first answer, whose `model` says who gave it. Raises the last one's failure.

        A question that was too long for one of those asked instead is the first such failure.
        """
        shown = False
        short: LlmContextError | None = None

        def show(delta: Delta) -> None:
            nonlocal shown
            shown = shown or not isinstance(delta, Notice)
            on_delta(delta)

        models = self._in_turn(request.model)
        for model, then in zip(models, [*models[1:], ""], strict=True):
            try:
                return await self._ask(request, model, show)
            except _PASSED_ON as error:
                self._rested[model] = self._now() + REST_SECONDS
                failure, tell = error, True
            except LlmContextError as error:
                if model == request.model:
                    raise
                tell = model not in self._passed_over
                self._passed_over.add(model)
                short = short or error
                failure = error
            if shown:
                raise failure
            if not then:
                raise short or failure
            if tell:
                on_delta(_passed_on(failure, then))
        raise AssertionError("a chain has a model")

    async def _ask(self, request: Request, model: str, show: OnDelta) -> AssistantMessage:
        """What `model` answers. One that is asked instead has to have room for the question."""
        if model == request.model:
            return await self._llm.ask(request, show)
        room = min(filter(None, (await self._window(model), self._refused.get(model))), default=0)
        if room and request.size > room:
            raise LlmContextError(
                f"`{model}` takes {room:,} tokens and this is about {request.size:,}",
                model=model,
                window=room,
            )
        try:
            reply = await self._llm.ask(replace(request, model=model), show)
        except LlmContextError as error:
            self._refused[model] = request.size - 1
            raise LlmContextError(
                error.message, error.hint, partial=error.partial, model=model
            ) from error
        self._passed_over.discard(model)
        return reply

    def _in_turn(self, wanted: str) -> list[str]:
        chain = list(dict.fromkeys((wanted, *self._models)))
        return sorted(chain, key=lambda model: self._rested.get(model, 0.0) > self._now())


def _passed_on(error: LlmError, then: str) -> Notice:
    return Notice("warning", f"{error.message}; asking `{then}` instead", error.hint)
