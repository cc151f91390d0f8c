"""What a session has spent, as its records say; a session that is resumed goes on from there."""

from __future__ import annotations

from agent.core.events import (
    AnyEvent,
    Charged,
    Compacted,
    Forked,
    Granted,
    MessageFinished,
    TurnFinished,
    Worded,
)
from agent.core.messages import Usage
from agent.loop.brakes import Spent, spent_by

_UNKNOWN = Usage(cost=None)


class Ledger:
    """Folded from events: what was `spent`, and the money that was `granted` beyond a limit."""

    def __init__(self) -> None:
        self.spent = Spent()
        self.granted = 0.0

    def apply(self, event: AnyEvent) -> None:
        match event:
            case MessageFinished(message=message) if message.usage != _UNKNOWN:
                self.spent += spent_by(message.usage)
            case Worded(usage=usage) | Compacted(usage=usage):
                self.spent += spent_by(usage)
            case Charged(usage=usage):
                self.spent += spent_by(usage) if usage != Usage() else Spent()
                self._add_times(event)
            case TurnFinished():
                self._add_times(event)
            case Granted(money=money):
                self.granted += money
            case Forked():  # what came before was spent by another session
                self.spent, self.granted = Spent(), 0.0
            case _:
                pass

    def _add_times(self, event: Charged | TurnFinished) -> None:
        self.spent += Spent(seconds=event.seconds, sandbox_seconds=event.sandbox_seconds)
