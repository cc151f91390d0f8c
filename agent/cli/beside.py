"""Going along with a session that another process runs, until that process lets go of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import Any

from agent.core.errors import GloveboxError, UserError
from agent.core.events import PASSING, AnyEvent, Record, Steered, TurnFinished, TurnStarted
from agent.overview import Overview, Sight
from agent.session.door import NAME, Question, follow, knock
from agent.session.status import Status, status_of
from agent.session.tail import Tail

JOURNAL = "journal.jsonl"
_POLL_SECONDS = 0.1


class Beside:
    """What a conversation has of a session as long as it is not its own.

    Everything that happens is seen as it happens; what is asked can be answered, the model be told
    something while it works, and the turn be ended. Nothing here ends the session, and nothing of
    it is lost when we go away.
    """

    def __init__(self, overview: Overview, sight: Sight) -> None:
        self._overview = overview
        self._sight = sight
        self._folder = overview.folder(sight.entry)
        self._seen = -1
        self._sent: set[asyncio.Task[Any]] = set()
        self._said: list[str] = []
        self._working = False

    @classmethod
    async def of(cls, directory: Path, wanted: str) -> Beside:
        """That of session `wanted`. Raises `UserError` when it waits for somebody else's words."""
        overview = await Overview.of(directory)
        sight = overview.find(wanted)
        if sight.standing == "idle" and sight.held:
            raise UserError(
                f"session {sight.number} waits for a message in another terminal",
                "go on there, or leave it there first",
            )
        return cls(overview, sight)

    @property
    def number(self) -> int:
        return self._sight.number

    @property
    def errand(self) -> str:
        """What it was to do and has never begun; "" for nothing."""
        return self._overview.errand_of(self._sight.entry)

    async def records(self) -> AsyncGenerator[Record]:
        """The newest turn from its beginning, and what follows, until nobody runs it any more."""
        tail = Tail(self._folder / JOURNAL)
        while True:
            # Before the journal is read: whoever has let go has written its end by then.
            self._sight = self._overview.see(self._sight.entry)
            following = await follow(self._folder / NAME) if self._sight.live else None
            for record in self._new(tail.news()):
                self._hear(record.event)
                yield record
            if not self._sight.live:
                return
            if following is None:
                await asyncio.sleep(_POLL_SECONDS)
                continue
            async for record in following:
                if isinstance(record.event, PASSING) or record.seq > self._seen:
                    self._seen = record.seq
                    self._hear(record.event)
                    yield record

    def _new(self, records: Sequence[Record]) -> list[Record]:
        new = [record for record in records if record.seq > self._seen]
        if self._seen < 0 and new:
            turn = new[-1].turn
            begun = dropwhile(
                lambda one: not (isinstance(one.event, TurnStarted) and one.turn == turn), new
            )
            new, self._seen = list(begun), new[-1].seq
        if new:
            self._seen = new[-1].seq
        return new

    def status(self) -> Status:
        """What a badge shows of it."""
        return status_of(self._overview.see(self._sight.entry).glance.state)

    def _hear(self, event: AnyEvent) -> None:
        match event:
            case TurnStarted(message=message):
                self._working = True
                self._said = [text for text in self._said if text not in message.text]
            case Steered(message=message) if message.text in self._said:
                self._said.remove(message.text)
            case TurnFinished():
                self._working = False
            case _:
                pass

    def steer(self, text: str, told: Callable[[bool], None]) -> bool:
        """Have the model hear `text` with its next request; False when no turn is under way.

        `told` is called with whether it was taken. Until a record has it, it is ours: `unheard`
        gives it back, whatever became of the process that took it.
        """
        if self._working:
            self._said.append(text)
            self._send(Question("steer", text=text), told)
        return self._working

    def unheard(self) -> list[str]:
        """What was said here and never heard."""
        texts, self._said = self._said, []
        return texts

    def interrupt(self) -> None:
        """End the running turn; its work is brought home, and then the session is ours."""
        self._send(Question("interrupt"), _nothing)

    def answer_user(self, identity: str, *, chosen: Sequence[str] = (), text: str = "") -> None:
        """Answer what the model asks."""
        answer = Question("answer", id=identity, chosen=tuple(chosen), text=text)
        self._send(answer, _nothing)

    def answer_egress(self, identity: str, *, allow: bool, remember: bool = False) -> None:
        """Answer what the sandbox asks."""
        self._send(Question("cross", id=identity, allow=allow, remember=remember), _nothing)

    def _send(self, question: Question, told: Callable[[bool], None]) -> None:
        task = asyncio.create_task(self._knock(question, told))
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)

    async def _knock(self, question: Question, told: Callable[[bool], None]) -> None:
        try:
            reply = await knock(self._folder / NAME, question)
        except GloveboxError:
            return  # its process ends just now, and the question with it
        told(reply is not None and reply.done)


def _nothing(taken: bool) -> None:
    """For what shows by itself whether it was taken."""
