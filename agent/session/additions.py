"""What the model is given beside what is said: files that a message mentions, notes, the map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from agent.core.events import AnyEvent
from agent.loop.tokens import BYTES
from agent.session.guide import Guide
from agent.session.mentions import Mentions
from agent.session.notes import Notes
from agent.session.place import Workplace
from agent.session.state import State
from agent.tools.base import Toolset


class Wanted(Protocol):
    """What a session wants to be given beside what is said."""

    @property
    def tools(self) -> Toolset: ...
    @property
    def map_tokens(self) -> int: ...
    @property
    def notes(self) -> bool: ...


class Additions:
    """The additions of one session; each comes with what is sent next and stays at its place."""

    def __init__(
        self,
        state: State,
        place: Workplace,
        emit: Callable[[AnyEvent], None],
        wanted: Wanted,
    ) -> None:
        self._emit = emit
        self._mentions = Mentions(place, wanted.tools)
        self._notes = Notes(state, place, wanted=wanted.notes)
        self._guide = Guide(state, place, wanted.map_tokens)

    def begin(self, text: str) -> None:
        """A message was sent: have made what goes with it."""
        self._mentions.begin(text)
        self._notes.begin()
        self._guide.begin()

    def more(self, text: str) -> None:
        """More was said: have made what goes with that, too."""
        self._mentions.more(text)

    async def add(self, window: int) -> None:
        """Add what is ready now to what is sent next. Only mentioned files are waited for.

        `window` is how many tokens the model takes; notes have no more than a tenth of it.
        """
        for event in await self._mentions.take():
            self._emit(event)
        noted = await self._notes.take(window * BYTES // 10)
        if noted is not None:
            self._emit(noted)
        mapped = self._guide.take()
        if mapped is not None:
            self._emit(mapped)

    def end(self) -> None:
        """Forget what is being made."""
        self._notes.end()
        self._guide.end()
