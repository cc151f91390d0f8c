"""The order of events that every recorded run keeps: `assert_nested(records)`.

Turn holds steps, a step holds one message and the calls it asked for; every started has its
finished; each call of a message has exactly one result; nothing of a turn comes after it.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.core import events
from agent.core.events import PASSING, Record


def assert_nested(records: Iterable[Record]) -> None:
    """Raises AssertionError that names the first record out of order."""
    check = _Nesting()
    for place, record in enumerate(records):
        try:
            check.take(record)
        except AssertionError as error:
            raise AssertionError(f"record {place} ({record.event}): {error}") from None
    assert check.turn is False, "the run ends inside a turn"
    assert check.sync is False, "the run ends inside a sync"


class _Nesting:
    def __init__(self) -> None:
        self.seq = -1
        self.number = 0  # turns so far
        self.turn = self.step = self.sync = False
        self.steps = 0
        self.asked: set[str] = set()  # calls of this step's message
        self.running: set[str] = set()
        self.answered: set[str] = set()

    def take(self, record: Record) -> None:
        self._numbered(record)
        taker = getattr(self, "_" + type(record.event).__name__, None)
        if taker is not None:
            taker(record.event)

    def _numbered(self, record: Record) -> None:
        if self.seq >= 0:
            passing = isinstance(record.event, PASSING)
            want = self.seq if passing else self.seq + 1
            assert record.seq == want, f"seq {record.seq}, expected {want}"
        self.seq = record.seq

    def _TurnStarted(self, _: events.TurnStarted) -> None:
        assert not self.turn, "a turn inside a turn"
        assert not self.sync, "a turn inside a sync"
        self.turn, self.steps = True, 0

    def _TurnFinished(self, event: events.TurnFinished) -> None:
        assert self.turn, "no turn to finish"
        assert not self.step, "a step is not finished"
        assert event.steps == self.steps, f"{event.steps} steps told, {self.steps} seen"
        assert (event.problem is not None) == (event.outcome in ("failed", "limit"))
        self.turn = False

    def _StepStarted(self, event: events.StepStarted) -> None:
        assert self.turn and not self.step, "a step belongs into a turn, one after another"
        self.steps += 1
        assert event.step == self.steps, f"step {event.step}, expected {self.steps}"
        self.step = True
        self.asked, self.running, self.answered = set(), set(), set()

    def _StepFinished(self, event: events.StepFinished) -> None:
        assert self.step, "no step to finish"
        assert event.step == self.steps
        assert not self.running, f"calls without a result: {sorted(self.running)}"
        assert self.answered == self.asked, f"never run: {sorted(self.asked - self.answered)}"
        self.step = False

    def _TextDelta(self, _: events.Event) -> None:
        assert self.step and not self.asked, "text outside a reply"

    _ReasoningDelta = _TextDelta

    def _MessageFinished(self, event: events.MessageFinished) -> None:
        assert self.step, "a message outside a step"
        assert not self.asked, "calls of the message before it are open"
        self.asked = {call.id for call in event.message.calls}
        assert len(self.asked) == len(event.message.calls), "two calls with one id"

    def _CallStarted(self, event: events.CallStarted) -> None:
        assert event.call.id in self.asked, "a call that no message asked for"
        assert event.call.id not in self.running | self.answered, "a call begun twice"
        self.running.add(event.call.id)

    def _CallOutput(self, event: events.CallOutput) -> None:
        assert event.call_id in self.running, "output of a call that does not run"

    def _CallFinished(self, event: events.CallFinished) -> None:
        identity = event.result.call_id
        assert identity in self.running, "a result of a call that does not run"
        self.running.remove(identity)
        self.answered.add(identity)

    def _SyncStarted(self, _: events.SyncStarted) -> None:
        assert not self.turn and not self.sync, "a sync comes when idle, one at a time"
        self.sync = True

    def _SyncFinished(self, _: events.SyncFinished) -> None:
        assert self.sync, "no sync to finish"
        self.sync = False
