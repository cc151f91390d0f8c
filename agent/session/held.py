"""A session that this process holds: its journal, its events, and one thing at a time.

An event is recorded first and shown second. Delivery promise: what a job yields is complete and in
order; events between jobs (the sandbox comes up) are delivered at the start of the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path

from agent.core.channel import Channel
from agent.core.errors import GloveboxError, UserError
from agent.core.events import PASSING, AnyEvent, HostAllowed, Notice, Record, TurnStarted
from agent.core.limits import CLOSE_SECONDS
from agent.session.bounds import bounded
from agent.session.journal import Journal, read
from agent.session.mend import mending
from agent.session.parts import Parts
from agent.session.place import Workplace
from agent.session.purse import Allowed, Purse
from agent.session.questions import Questions
from agent.session.running import Running
from agent.session.state import State
from agent.session.status import Status, status_of
from agent.session.unasked import answered


class Held:
    """What every session has, whatever is done in it."""

    def __init__(self, journal: Journal, state: State) -> None:
        started = state.started
        assert started is not None
        self.id = started.id
        self.number = started.number
        self.state = state
        self._journal = journal
        self._events: Channel[Record] = Channel()
        self._parts: Parts | None = None
        self._place: Workplace | None = None
        self._turn: asyncio.Task[None] | None = None
        self._running = Running()
        self._questions = Questions(self.emit)
        self.purse = Purse(Allowed(), state.ledger, self._questions, self.emit)
        self._at_close: list[Callable[[], None]] = []
        self.listeners: list[Callable[[Record], None]] = []
        """Told of every record, passing ones too, after it was written; they must not block."""

    def equip(self, parts: Parts, place: Workplace) -> None:
        """Put in what turns need; the workplace reports through `emit`, so it comes second."""
        self._parts, self._place = parts, place
        self._questions.on_ask = parts.on_ask
        self._mend()
        self.purse = Purse(parts.allowed, self.state.ledger, self._questions, self.emit)

    def _mend(self) -> None:
        """Close what a killed process, or a disk without room, left open."""
        for event in mending(self.state):
            self.emit(event)

    def emit(self, event: AnyEvent) -> None:
        """Record an event, then show it. Raises `JournalError` when it cannot be recorded."""
        turn = self.state.turn + isinstance(event, TurnStarted)
        record = self._journal.append(turn, event, passing=isinstance(event, PASSING))
        self.state.apply(record)
        self._events.send(record)
        for tell in tuple(self.listeners):
            tell(record)
        self.purse.hear(event)
        answered(event, self._questions.on_ask, self.answer_egress, self.interrupt)

    def past(self) -> list[Record]:
        """All that was recorded of it, from the beginning. Raises `JournalError`."""
        return read(self._journal.path)[0]

    @property
    def branch(self) -> str:
        return self.state.mirror

    @property
    def busy(self) -> bool:
        return self._turn is not None and not self._turn.done()

    @property
    def interruptible(self) -> bool:
        """Whether something runs that `interrupt` would end."""
        return self._running.active

    def status(self) -> Status:
        return status_of(self.state)

    async def between(self) -> AsyncGenerator[Record]:
        """Yield what happens while no turn runs; leave the iteration before the next `send`."""
        with self._journal.resting():
            async for record in self._events:
                yield record

    def interrupt(self, why: GloveboxError | None = None) -> None:
        """End the running turn; what it did is kept and its history completed.

        With a reason the turn counts as failed by that.
        """
        self._running.interrupt(why)

    def answer_egress(self, identity: str, *, allow: bool, remember: bool = False) -> bool:
        """Answer an `EgressAsked`, for this once or for the session; False when it is over."""
        return self._equipped[1].answer_egress(identity, allow=allow, remember=remember)

    def allow_host(self, entry: str) -> None:
        """Have a host be reachable in this session: a person's word, never a model's.

        Raises `UserError` where that cannot be.
        """
        self._equipped[1].allow_host(entry)
        self.emit(HostAllowed(entry.strip()))

    def answer_user(self, identity: str, *, chosen: Sequence[str] = (), text: str = "") -> bool:
        """Answer a `UserAsked`; without options and words it is declined. False when it is over."""
        return self._questions.answer(identity, chosen, text)

    def at_close(self, end: Callable[[], None]) -> None:
        """Have `end` called when the session is closed: for what lives beside it."""
        self._at_close.append(end)

    async def close(self) -> None:
        """Interrupt, stop the sandbox, close the journal. Files are kept. Safe to call twice."""
        if self._journal.closed:
            return
        self.interrupt()
        while self._at_close:
            self._at_close.pop()()
        if self._turn is not None:
            await asyncio.wait({self._turn})
        try:
            if self._place is not None:
                await bounded(self._place.close(), CLOSE_SECONDS)
        except TimeoutError:
            text = f"the sandbox did not stop within {CLOSE_SECONDS:g} s"
            self.emit(Notice("warning", text, "what is in it is kept; `glovebox reap` clears up"))
        finally:
            try:
                self._journal.flush()
            finally:
                self._journal.close()

    async def discard(self) -> None:
        """Close, and free everything the sandbox had; its work is on the branch or nowhere."""
        await self.close()
        await self._equipped[1].discard()

    @property
    def _equipped(self) -> tuple[Parts, Workplace]:
        assert self._parts is not None, "equip() comes first"
        assert self._place is not None
        return self._parts, self._place

    def _idle(self) -> None:
        if self.busy:
            raise UserError("the agent is still busy", "wait, or interrupt it first")

    async def _run(self, job: Callable[[], Awaitable[None]]) -> AsyncGenerator[Record]:
        self._idle()
        events = self._events
        self._running.renew()
        self._turn = asyncio.create_task(self._work(job))
        try:
            async for record in events:
                yield record
        finally:
            self.interrupt()
            await self._turn

    async def _work(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            try:
                if self._journal.again():
                    self._mend()
                await job()
            finally:
                if self._journal.restore():
                    self.emit(_restored(self._journal.path))
                # A disk may take its time, and other sessions share this loop.
                await asyncio.to_thread(self._journal.flush)
        finally:
            self._events, events = Channel(), self._events
            events.close()


def _restored(path: Path) -> Notice:
    text = f"`{path}` was removed or replaced while the session ran; it was written again"
    return Notice("warning", text, "the whole conversation is in it; see what removed it")
