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
        self._goes_on = False

    @property
    def active(self) -> bool:
        """Whether there is something that `interrupt` would end, or keep from beginning."""
        return self._goes_on or self._runs

    @property
    def _runs(self) -> bool:
        return self._task is not None and not self._task.done()

    @contextlib.contextmanager
    def round(self) -> Generator[None]:
        """What comes one after the other: interrupted between two, it begins no more checks."""
        self._goes_on = True
        try:
            yield
        finally:
            self._goes_on = False

    def interrupt(self, why: GloveboxError | None = None) -> None:
        """End what runs. With a reason a turn counts as failed by that."""
        self._goes_on = False
        if self._task is not None and self._runs:
            self._why = why
            self._task.cancel()

    async def answer(
        self, loop: Coroutine[Any, Any, object], place: Workplace
    ) -> tuple[Outcome, Problem | None]:
        """Run the loop of a turn, and end it early when it turns out that there is no sandbox."""
        ready = asyncio.create_task(place.ready())
        self._why, task = None, self._begin(loop)
        try:
            await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and ready.exception() is not None:
                task.cancel()
            return await self._ended(task, ready, place)
        finally:
            if not ready.done():
                ready.cancel()

    async def check(self, work: Coroutine[Any, Any, str]) -> str:
        """What `work` says, within a `round`; "" when that was interrupted, before or meanwhile."""
        if not self._goes_on:
            work.close()
            return ""
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
