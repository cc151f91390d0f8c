"""What a session runs and a person may interrupt: the loop of a turn, a check, a summary."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from agent.core.errors import BudgetError, GloveboxError, SandboxLost
from agent.core.events import Outcome, Problem, problem_of
from agent.session.place import Workplace

T = TypeVar("T")


class Running:
    """One thing at a time, each in a task of its own; `interrupt` ends it wherever it is."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._why: GloveboxError | None = None
        self._over = False
        self._more = False

    @property
    def active(self) -> bool:
        """Whether there is something that `interrupt` would end, or keep from beginning."""
        return self._runs or (self._more and not self._over)

    @property
    def _runs(self) -> bool:
        return self._task is not None and not self._task.done()

    def renew(self) -> None:
        """Another job: what ended the last one is forgotten."""
        self._over, self._why = False, None

    @contextlib.contextmanager
    def round(self) -> Generator[None]:
        """Things that come one after the other, with what cannot be interrupted between them."""
        self._more = True
        try:
            yield
        finally:
            self._more = False

    def interrupt(self, why: GloveboxError | None = None) -> None:
        """End what runs, and in this job whatever would still begin.

        With a reason a turn counts as failed by that.
        """
        if not self._over:
            self._over, self._why = True, why
        if self._task is not None:
            self._task.cancel()

    async def answer(
        self, loop: Coroutine[Any, Any, object], place: Workplace
    ) -> tuple[Outcome, Problem | None]:
        """Run the loop of a turn, and end it early when it turns out that there is no sandbox."""
        ready = asyncio.create_task(place.ready())
        task = self._begin(loop)
        try:
            await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and ready.exception() is not None:
                task.cancel()
            return await self._ended(task, ready, place)
        finally:
            if not ready.done():
                ready.cancel()

    async def check(self, work: Coroutine[Any, Any, str]) -> str:
        """What `work` says; "" when it was interrupted."""
        task = self._begin(work)
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled() or _ourselves():
                raise
            return ""

    async def alone(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` until it is done or interrupted."""
        task = self._begin(work)
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def summary(self, work: Coroutine[Any, Any, bool]) -> bool:
        """Whether `work` did something; True when it was interrupted."""
        task = self._begin(work)
        await asyncio.wait({task})
        return task.cancelled() or task.result()

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        self._task = task = asyncio.create_task(work)
        if self._over:
            task.cancel()
        return task

    async def _ended(
        self, loop: asyncio.Task[object], ready: asyncio.Task[None], place: Workplace
    ) -> tuple[Outcome, Problem | None]:
        try:
            await loop
        except asyncio.CancelledError:
            missing = self._why or (ready.exception() if ready.done() else None)
            if missing is None:
                return "interrupted", None
            if not isinstance(missing, GloveboxError):
                raise missing from None
            return "failed", problem_of(missing)
        except BudgetError as error:
            return "limit", problem_of(error)
        except SandboxLost as error:
            await place.lost()
            return "failed", problem_of(error)
        except GloveboxError as error:
            return "failed", problem_of(error)
        return "done", None


def _ourselves() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
