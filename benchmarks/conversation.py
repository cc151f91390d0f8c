"""One turn of glovebox on a task: what its events said, and why it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.core.events import AnyEvent, CallFinished, Problem, SyncFinished, TurnFinished
from agent.core.messages import Usage
from agent.session.session import Session
from benchmarks.leaks import Heard

LIMITS = {
    "LlmContextError": "context_exhausted",
    "BudgetError": "turn_limit",
    "Reached": "cost_limit",
}
"""What the agent ran into by its own doing: its work is judged all the same."""
FAULTS = {
    "LlmAuthError": "auth_error",
    "LlmLimitError": "model_error",
    "LlmDownError": "model_error",
    "SandboxLost": "sandbox_error",
    "SandboxUnavailable": "sandbox_error",
    "SandboxError": "sandbox_error",
}
"""What is no doing of the agent's: there is no verdict."""


@dataclass(slots=True)
class Seen:
    """What the events of a trial said so far."""

    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    steps: int = 0
    calls: int = 0
    problem: Problem | None = None
    late: bool = False
    branch: str = ""
    commit: str = ""
    heard: Heard = field(default_factory=Heard)

    @property
    def limit(self) -> str:
        """Which limit ended the turn; "" when none did."""
        if self.late:
            return "agent_timeout"
        return LIMITS.get(self.problem.kind, "") if self.problem else ""

    @property
    def fault(self) -> str:
        """What prevents a verdict; "" when nothing does."""
        if self.problem is None or self.limit:
            return ""
        return FAULTS.get(self.problem.kind, "harness_error")

    def apply(self, event: AnyEvent) -> None:
        self.heard.apply(event)
        match event:
            case CallFinished():
                self.calls += 1
            case TurnFinished(usage=usage, steps=steps, problem=problem):
                self.usage += usage
                self.steps += steps
                self.problem = problem
            case SyncFinished(branch=branch, commit=commit) if commit:
                self.branch, self.commit = branch, commit
            case _:
                pass


class Clock:
    """The time of one turn, in which what it has `waited` for the provider does not count.

    `late` is called when it has taken so many `seconds`.
    """

    def __init__(
        self, seconds: float, waited: Callable[[], float], late: Callable[[], None]
    ) -> None:
        self._seconds, self._waited, self._late = seconds, waited, late
        self._loop = asyncio.get_running_loop()
        self._begun, self._before = self._loop.time(), waited()
        self._handle = self._loop.call_later(seconds, self._look)

    @property
    def took(self) -> float:
        return self._loop.time() - self._begun - (self._waited() - self._before)

    def _look(self) -> None:
        if (left := self._seconds - self.took) > 0:
            self._handle = self._loop.call_later(left, self._look)
        else:
            self._late()

    def stop(self) -> None:
        self._handle.cancel()


async def turn(
    session: Session, text: str, seconds: float, seen: Seen, waited: Callable[[], float]
) -> float:
    """Send `text`, note in `seen` what comes of it; how long it took. Ended after `seconds`."""

    def end() -> None:
        seen.late = True
        session.interrupt()

    clock, took = Clock(seconds, waited, end), 0.0
    try:
        async for record in session.send(text):
            seen.apply(record.event)
            if isinstance(record.event, TurnFinished):
                took = clock.took
                clock.stop()
    finally:
        clock.stop()
    seen.seconds += took
    return round(took, 3)
