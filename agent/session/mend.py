"""What closes a journal that a killed process left open: history and event pairs are whole then."""

from __future__ import annotations

from collections.abc import Iterator

from agent.core.errors import SyncError
from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallStarted,
    EgressAnswered,
    StepFinished,
    SyncFinished,
    TurnFinished,
    UserAnswered,
    problem_of,
)
from agent.core.messages import ToolResult, Usage
from agent.core.text import one_line
from agent.loop import wording
from agent.session.state import State


def mending(state: State) -> Iterator[AnyEvent]:
    """The events that are missing, each to be applied to `state` before the next is asked for."""
    for call in state.history.waiting:
        if call.id not in state.running:
            yield CallStarted(call, one_line(call.name))
        text = wording.host_died()
        result = ToolResult(call.id, ok=False, text=text, details={"interrupted": True})
        yield CallFinished(result, 0.0)
    for asked in list(state.asked.values()):
        yield EgressAnswered(asked.id, asked.host, asked.port, allowed=False)
    for question in list(state.questions.values()):
        yield UserAnswered(question.id, "interrupted")
    if state.step:
        yield StepFinished(state.step, Usage(cost=None))
    if state.open:
        yield TurnFinished("interrupted", state.spent, state.steps)
    if state.syncing:
        stopped = SyncError("glovebox was stopped during the sync", "it is made up for now")
        yield SyncFinished(state.mirror, problem=problem_of(stopped))
