"""How a session stands, as its journal and its lock tell somebody who only looks."""

from __future__ import annotations

from typing import Literal

from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallStarted,
    MessageFinished,
    Notice,
    Outcome,
    Problem,
    Record,
    StepStarted,
    SyncFinished,
    TurnFinished,
    TurnStarted,
)
from agent.core.messages import Usage
from agent.core.text import one_line
from agent.loop.history import last_text
from agent.session.errand import Outlook
from agent.session.state import State

Standing = Literal[
    "starting", "running", "waiting", "idle", "done", "failed", "limit", "interrupted"
]
"""`waiting` is for an answer of a person, `idle` for a message."""
LIVE: tuple[Standing, ...] = ("starting", "running", "waiting", "idle")
"""Those that a process holds."""
_CHARS = 100


class Glance:
    """Folded from a session's records, all of them in order; holds no resource."""

    def __init__(self) -> None:
        self.state = State()
        self.began = 0.0
        self.at = 0.0
        self._outcome: Outcome | None = None
        self._problem: Problem | None = None
        self._said = ""
        self._titles: dict[str, str] = {}
        self._asking = False

    def apply(self, record: Record) -> None:
        self.state.apply(record)
        self.began = self.began or record.at
        self.at = record.at
        self._apply(record.event)

    def _apply(self, event: AnyEvent) -> None:
        match event:
            case TurnStarted():
                self._outcome = self._problem = None
                self._titles.clear()
            case StepStarted():
                self._asking = True
            case MessageFinished():
                self._asking = False
            case CallStarted(call=call, title=title):
                self._titles[call.id] = title
            case CallFinished(result=result):
                self._titles.pop(result.call_id, None)
            case TurnFinished(outcome=outcome, problem=problem):
                self._outcome, self._problem = outcome, problem
            case SyncFinished(problem=problem) if problem is not None:
                self._problem = self._problem or problem
            case Notice(level="error", text=text):
                self._said = text
            case _:
                pass

    @property
    def title(self) -> str:
        """Its name, or what was asked first, on one line."""
        asked = next(iter(self.state.history.said()), "")
        return self.state.name or one_line(asked, _CHARS)

    @property
    def usage(self) -> Usage:
        """What it took until now, the running turn included."""
        return self.state.usage + self.state.spent if self.state.open else self.state.usage

    def standing(self, *, held: bool, outlook: Outlook = "") -> Standing:
        """How it stands: whether a process holds it, and what is to become of its errand."""
        state, begun = self.state, self.state.open or self._outcome is not None
        if held and (state.questions or state.asked):
            return "waiting"
        if held and (state.open or state.syncing):
            return "running"
        if not begun and outlook == "begins":
            return "starting"
        if held:  # Nobody can say anything to one that does its errand, not even when it ends.
            return "running" if outlook == "begins" else "idle"
        if state.open or (not begun and (outlook == "lost" or self._said)):
            return "failed"
        return self._outcome or "idle"

    def now(self, *, held: bool) -> str:
        """What it does, or how it ended, in a few words."""
        state = self.state
        if not held:
            if state.open:
                return "its process ended in the middle of a turn"
            if self._problem is not None:
                return one_line(self._problem.message, _CHARS)
            return one_line(last_text(state.history.messages) or self._said, _CHARS)
        for question in state.questions.values():
            return one_line(f"asks: {question.question}", _CHARS)
        for asked in state.asked.values():
            return one_line(f"wants to reach {asked.host}:{asked.port}", _CHARS)
        if state.syncing:
            return "brings the work home"
        if self._titles:
            return one_line(list(self._titles.values())[-1], _CHARS)
        if not state.open:
            return ""
        return "waits for the model" if self._asking else "begins"
