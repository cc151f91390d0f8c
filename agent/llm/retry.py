"""Repeat what may pass, with growing pauses, and say so.

Promise: an attempt is repeated only when its failure says that it may pass and that nothing of it
was shown; no pause is longer than the caps below; each pause is announced before it begins, with
the time at which it ends. What is finally raised is the plain `LlmError`, with the library's
exception as its cause.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from agent.core.errors import LlmError
from agent.core.events import Notice
from agent.llm.protocol import OnDelta

T = TypeVar("T")

Sleep = Callable[[float], Awaitable[None]]


class TransientError(Exception):
    """A failure that may pass: `error` is what to raise when it does not.

    `asked` is the pause the provider asked for in seconds, if any. `quick` is set where waiting
    long is pointless: nobody listens at the address; `busy` where it is asked too much.
    """

    def __init__(
        self,
        error: LlmError,
        reason: str,
        *,
        asked: float | None = None,
        quick: bool = False,
        busy: bool = False,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.reason = reason
        self.asked = asked
        self.quick = quick
        self.busy = busy


@dataclass(frozen=True, slots=True)
class Retry:
    """The policy. `attempts` counts the first one; pauses double from `first_seconds` on."""

    attempts: int = 5
    quick_attempts: int = 3
    first_seconds: float = 1.0
    quick_seconds: float = 0.3
    cap_seconds: float = 30.0
    asked_cap_seconds: float = 120.0
    sleep: Sleep = asyncio.sleep
    jitter: Callable[[], float] = random.random
    now: Callable[[], float] = time.time

    async def run(self, attempt: Callable[[], Awaitable[T]], on_delta: OnDelta) -> T:
        """The first attempt that succeeds. Raises the last failure's `LlmError`."""
        tried = 0
        while True:
            try:
                return await attempt()
            except TransientError as failure:
                tried += 1
                limit = self.quick_attempts if failure.quick else self.attempts
                pause = self._pause(failure, tried)
                if tried >= limit or pause is None:
                    raise failure.error from failure.__cause__
                counted = f"{tried + 1} of {limit}"
                on_delta(_notice(failure.reason, pause, counted, self.now() + pause))
            await self.sleep(pause)

    def _pause(self, failure: TransientError, tried: int) -> float | None:
        """Seconds to wait, or None when the provider asks for more than anyone would wait."""
        first = self.quick_seconds if failure.quick else self.first_seconds
        # Up to a quarter more, so that sessions stopped together do not come back together.
        own = min(self.cap_seconds, first * 2 ** (tried - 1)) * (1 + self.jitter() / 4)
        if failure.asked is None:
            return own
        return max(own, failure.asked) if failure.asked <= self.asked_cap_seconds else None


def _notice(reason: str, pause: float, counted: str, until: float) -> Notice:
    seconds = f"{pause:.0f} s" if pause >= 1 else f"{pause:.1f} s"
    text = f"{reason}; trying again in {seconds} ({counted})"
    return Notice("warning", text, until=round(until, 3))
