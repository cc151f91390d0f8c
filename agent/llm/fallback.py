"""A chain of models: when one does not answer, the next is asked, and it is said which.

The next is asked when a provider is down, refuses the key or is at its limit, after the repeats
that the model inside makes by itself. It is not asked when something of the reply was shown: that
would be shown twice. Nor for a conversation that is too long: that has to become shorter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from agent.core.errors import LlmAuthError, LlmDownError, LlmError, LlmLimitError
from agent.core.events import Notice
from agent.core.messages import AssistantMessage
from agent.llm.protocol import Delta, Llm, OnDelta, Request

REST_SECONDS = 300.0
_PASSED_ON = (LlmAuthError, LlmDownError, LlmLimitError)


class Fallback:
    """An `Llm` that asks `models` in turn after the one that was wanted.

    A model that failed rests for a while and is asked last: each step would wait for it again, and
    the cache of the one that answers would be lost with each change.
    """

    def __init__(
        self, llm: Llm, models: Sequence[str], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._llm = llm
        self._models = tuple(models)
        self._now = now
        self._rested: dict[str, float] = {}

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """The first answer, whose `model` says who gave it. Raises the last one's failure."""
        shown = False

        def show(delta: Delta) -> None:
            nonlocal shown
            shown = shown or not isinstance(delta, Notice)
            on_delta(delta)

        models = self._in_turn(request.model)
        for model, then in zip(models, [*models[1:], ""], strict=True):
            try:
                return await self._llm.ask(replace(request, model=model), show)
            except _PASSED_ON as error:
                self._rested[model] = self._now() + REST_SECONDS
                if shown or not then:
                    raise
                on_delta(_passed_on(error, then))
        raise AssertionError("a chain has a model")

    def _in_turn(self, wanted: str) -> list[str]:
        chain = list(dict.fromkeys((wanted, *self._models)))
        return sorted(chain, key=lambda model: self._rested.get(model, 0.0) > self._now())


def _passed_on(error: LlmError, then: str) -> Notice:
    return Notice("warning", f"{error.message}; asking `{then}` instead", error.hint)
