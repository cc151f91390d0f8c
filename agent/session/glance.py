"""How a session stands, as its journal and its lock tell somebody who only looks."""

from __future__ import annotations

import time
from typing import Literal

from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallStarted,
    Checked,
    Checking,
    Entered,
    MessageFinished,
    Notice,
    Outcome,
    Problem,
    Record,
    StepStarted,
    SyncFinished,
    SyncStarted,
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
BUSY: tuple[Standing, ...] = ("starting", "running", "waiting")
"""Those of which more is to come, their work included, though nobody says another word."""
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
        self._until = 0.0
        self._check = ""
        self.visit = ""
        """What a person runs inside, beside the conversation."""

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
                self.visit = self._check = ""
            case Checking(command=command):
                self._check = command
            case Checked():
                self._check = ""
            case Entered(command=command):
                self.visit = command
            case SyncStarted():
                self.visit = ""
            case StepStarted():
                self._asking, self._until = True, 0.0
            case MessageFinished():
                self._asking = False
            case Notice(until=until) if until:
                self._until = until
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
        return self.state.used

    def standing(self, *, held: bool, waits: bool = False, outlook: Outlook = "") -> Standing:
        """How it stands, by whether a process holds it, and `waits` for a message.

        `outlook` is what is to become of its errand.
        """
        state, begun = self.state, self.state.open or self._outcome is not None
        if held and (state.questions or state.asked):
            return "waiting"
        if held and (state.open or state.syncing):
            return "running"
        if not begun and outlook == "begins":
            return "starting"
        if held:  # What no conversation holds will say itself when it is over: by letting go of it.
            return "idle" if waits else "running"
        if state.open or (not begun and (outlook == "lost" or self._said)):
            return "failed"
        return self._outcome or "idle"

    def now(self, *, held: bool, waits: bool = False) -> str:
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
            return "" if waits else self._between()
        return self._waited_for() if self._asking else "begins"

    def _waited_for(self) -> str:
        if self._until <= time.time():
            return "waits for the model"
        clock = time.strftime("%H:%M:%S", time.localtime(self._until))
        return f"waits for the provider until {clock}"

    def _between(self) -> str:
        """What is done before a turn and after it, where nobody waits for a person."""
        if self._check:
            return one_line(f"checks: {self._check}", _CHARS)
        if self.visit:
            return one_line(f"$ {self.visit}", _CHARS)
        if self.state.sync == "ahead":
            return "brings the work home"
        return "" if self._outcome else "begins"
