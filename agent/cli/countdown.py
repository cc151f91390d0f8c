"""The seconds until something that waits goes on, told as they pass."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Protocol

from agent.core.events import (
    AnyEvent,
    MessageFinished,
    Notice,
    ReasoningDelta,
    StepFinished,
    TextDelta,
    TurnFinished,
)

# What shows that it has gone on, or never will. A sandbox that comes up meanwhile does not.
_GOES_ON = (TextDelta, ReasoningDelta, MessageFinished, StepFinished, TurnFinished)


def waiting(seconds: int) -> str:
    """The line that changes with each second."""
    return f"· trying again in {seconds} s"


class Timer(Protocol):
    """Something that will be done, unless it is called off."""

    def cancel(self) -> None: ...


def later(seconds: float, do: Callable[[], None]) -> Timer:
    """Have the running loop `do` something."""
    return asyncio.get_running_loop().call_later(seconds, do)


class Countdown:
    """Tells how many seconds are left: at once, with each that passes, and 0 when it is over."""

    def __init__(
        self,
        tell: Callable[[int], None],
        *,
        now: Callable[[], float] = time.time,
        later: Callable[[float, Callable[[], None]], Timer] = later,
    ) -> None:
        self._tell = tell
        self._now = now
        self._later = later
        self._until = 0.0
        self._timer: Timer | None = None

    def apply(self, event: AnyEvent) -> None:
        """Begin with a notice that says until when something waits, end with what follows it."""
        if isinstance(event, Notice) and event.until:
            self.end()
            self._until = event.until
            self._tick()
        elif isinstance(event, _GOES_ON):
            self.end()

    def end(self) -> None:
        """Count no more; nothing is told when nothing was counted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._tell(0)

    def _tick(self) -> None:
        left = self._until - self._now()
        seconds = math.ceil(left)
        if seconds <= 0:
            self.end()
            return
        self._timer = self._later(left - (seconds - 1), self._tick)
        self._tell(seconds)
