"""Hosts that something inside wants to reach, where nobody is there to say: what was declared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from agent.core.errors import AnswerNeeded, GloveboxError
from agent.core.events import AnyEvent, EgressAsked
from agent.session.questions import OnAsk


class Answer(Protocol):
    def __call__(self, identity: str, *, allow: bool) -> bool: ...


def answered(
    event: AnyEvent, on_ask: OnAsk, answer: Answer, end: Callable[[GloveboxError], None]
) -> None:
    """Answer what `event` asks, at the next turn of the loop; a person answers for themselves.

    `fail` ends the turn besides: `end` is called with why.
    """
    if not isinstance(event, EgressAsked) or on_ask == "person":
        return
    loop, named = asyncio.get_running_loop(), f"{event.host}:{event.port}"
    loop.call_soon(lambda: answer(event.id, allow=on_ask == "allow"))
    if on_ask == "fail":
        why = AnswerNeeded(
            f"the sandbox wants to reach {named}, and nobody is here to allow it",
            f"allow it from the start with `--allow-host {event.host}`",
        )
        loop.call_soon(end, why)
