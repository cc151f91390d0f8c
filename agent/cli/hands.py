"""What a person's keys do: to the session that is there, to what waits, to what is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence

from agent.cli.beside import Beside
from agent.cli.commands.typed import at_once, is_command
from agent.cli.inbox import Inbox
from agent.cli.screen import typed
from agent.cli.shown import Shown
from agent.core.events import Record, Steered, TurnFinished
from agent.session.session import Session
from agent.session.status import Status

_AGAIN = "Ctrl-C again, or Ctrl-D, leaves"


class Hands:
    """Nothing here blocks. `leave` is called to go, `aside` for a command beside a turn."""

    def __init__(
        self, inbox: Inbox, *, leave: Callable[[], None], aside: Callable[[str], None]
    ) -> None:
        self.there: Session | Beside | None = None
        """Where the person is; it may be another process that runs it."""
        self.hint = ""
        """A word beside the badge, until the next key or event replaces it."""
        self.shown: Shown
        self._inbox = inbox
        self._leave = leave
        self._aside = aside
        self._stop: Callable[[], None] | None = None

    def submit(self, text: str) -> None:
        there = self.there
        if there is not None and text.strip().lower() in ("/quit", "/exit"):
            self.shown.show(typed(text))
            self._leave()
        elif self.shown.say(text) or self._steer(text):
            return
        elif isinstance(there, Session) and there.busy and at_once(text):
            self._aside(text)
        else:
            self._inbox.put(text)
            busy = bool(self._stop or isinstance(there, Beside) or (there and there.busy))
            self.tell(f"{self._inbox.waiting} waiting" if busy else "")

    def _steer(self, text: str) -> bool:
        """Whether the model gets it while it works: a message with nothing that waits before it."""
        there = self.there
        if there is None or is_command(text) or self._inbox.waiting:
            return False
        if isinstance(there, Beside):
            return there.steer(text, self._tell_taken)
        if taken := there.steer(text):
            self._tell_taken(taken)
        return taken

    def _tell_taken(self, taken: bool) -> None:
        self.tell("the model reads it next" if taken else "it waits")

    def interrupt(self, typing: bool) -> bool:
        """Ctrl-C: the turn if there is one, else the line, else the first of two to leave."""
        if self.shown.decline():
            return typing
        if self._stop is not None:
            self._stop()
            self.tell("interrupting")
            return False
        there = self.there
        if isinstance(there, Beside) or (there is not None and there.interruptible):
            there.interrupt()
            self.tell("interrupting")
            return False  # What is being typed may be why.
        if self.hint == _AGAIN and not typing:
            self._leave()
        else:
            self.tell("" if typing else _AGAIN)
        return typing

    def signalled(self) -> None:
        """A signal that the terminal sends to all who use it may be for another program there."""
        if not self.shown.screen.lent:
            self.interrupt(False)

    @contextlib.contextmanager
    def until(self, stop: Callable[[], None]) -> Generator[None]:
        """Have `stop` called when the person interrupts what is done within, or leaves."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None
            self.tell("")

    def drop(self) -> None:
        """The person goes: end what waits for them."""
        self.shown.decline()
        if self._stop is not None:
            self._stop()

    def changed(self) -> None:
        self.hint = ""

    def tell(self, hint: str) -> None:
        self.hint = hint
        self.shown.show([])

    def seen(self, record: Record) -> None:
        """A record is about to be shown: what was told of before may be over."""
        if isinstance(record.event, TurnFinished | Steered):
            self.hint = ""

    def status(self) -> Status | None:
        return self.there.status() if self.there else None

    def cross(self, identity: str, allow: bool, remember: bool) -> None:
        """Answer what the sandbox asks."""
        if self.there is not None:
            self.there.answer_egress(identity, allow=allow, remember=remember)
        self.shown.show([])

    def answer(self, identity: str, chosen: Sequence[str], words: str) -> None:
        """Answer what the model asks."""
        if self.there is not None:
            self.there.answer_user(identity, chosen=chosen, text=words)
        self.shown.show([])
