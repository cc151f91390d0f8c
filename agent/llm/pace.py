"""How fast many sessions ask a provider that limits them: they slow down and come back together.

Promise: nobody asks before the time that the provider named is over, and no more than so many at
once: half as many as when it refused, and one more each time as many were answered. What was
refused for its pace is asked again, for an hour at most, and is no attempt of `Retry`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

from agent.core.events import Notice
from agent.llm.protocol import OnDelta
from agent.llm.retry import Retry, Sleep, TransientError

T = TypeVar("T")

FIRST_SECONDS, CAP_SECONDS = 1.0, 60.0
"""The pauses, doubling, where a provider names none."""
PATIENCE_SECONDS = 3_600.0


class Pace:
    """What the sessions of one provider share; each of them asks through a `Share`."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.allowed = math.inf
        self.clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._asking = 0
        self._until = -math.inf
        self._slowed = -math.inf
        self._refusals = 0
        self._changed = asyncio.Event()

    async def enter(self) -> float:
        """Wait for the turn of a request; when it came. `leave` has to follow."""
        while True:
            if (pause := self._until - self.clock()) > 0:
                await self._sleep(pause)
            elif self._asking + 1 > self.allowed:
                await self._changed.wait()
            else:
                self._asking += 1
                return self.clock()

    def leave(self) -> None:
        self._asking -= 1
        self._changed.set()
        self._changed = asyncio.Event()

    def answered(self) -> None:
        self._refusals = 0
        self.allowed += 1 / self.allowed

    def refused(self, begun: float, asked: float | None) -> float:
        """A request that has its turn since `begun` was refused; the pause that follows for all."""
        # Those that were sent together are refused together, and have been too fast once.
        if begun > self._slowed:
            self.allowed = max(1.0, min(self.allowed, self._asking) / 2)
            self._refusals += 1
            self._slowed = self.clock()
        own = min(CAP_SECONDS, FIRST_SECONDS * 2 ** (self._refusals - 1)) * (1 + self._jitter() / 4)
        pause = own if asked is None else asked
        self._until = max(self._until, self.clock() + pause)
        return pause


class Share:
    """One session's part in a `Pace`, in the place of its `Retry`; `waited` are its seconds."""

    def __init__(self, pace: Pace, retry: Retry | None = None) -> None:
        self._pace = pace
        self._retry = retry or Retry()
        self._waited = 0.0
        self._waiting = 0
        self._since = 0.0

    @property
    def waited(self) -> float:
        """How long it has waited for its turn, once however many of its requests did."""
        return self._waited + (self._pace.clock() - self._since if self._waiting else 0.0)

    async def run(self, attempt: Callable[[], Awaitable[T]], on_delta: OnDelta) -> T:
        """The first attempt that succeeds; see `Retry.run`."""
        return await self._retry.run(lambda: self._answered(attempt, on_delta), on_delta)

    async def _answered(self, attempt: Callable[[], Awaitable[T]], on_delta: OnDelta) -> T:
        first, pace = math.inf, self._pace
        while True:
            with self._in_line():
                begun = await pace.enter()
            try:
                answer = await attempt()
            except TransientError as failure:
                if not failure.busy:
                    raise
                first = min(first, begun)
                if pace.clock() + (failure.asked or 0.0) - first > PATIENCE_SECONDS:
                    raise failure.error from failure.__cause__
                pause = pace.refused(begun, failure.asked)
                text = f"{failure.reason}; all who ask it wait for {pause:.1f} s"
                on_delta(Notice("warning", text))
            else:
                pace.answered()
                return answer
            finally:
                pace.leave()

    @contextlib.contextmanager
    def _in_line(self) -> Generator[None]:
        if not self._waiting:
            self._since = self._pace.clock()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._waited += self._pace.clock() - self._since
