"""The repository map for the model: made beside everything else, given only when it is there.

No request waits for it. It comes with what is sent next when it is ready, in most turns with the
results of the first calls; it is journalled then and stays at that place of the conversation.
"""

from __future__ import annotations

import asyncio

from agent.core.errors import GloveboxError
from agent.core.events import Mapped
from agent.core.limits import MAP_FILES_LEAST, MAP_REPOSITORY_LEAST
from agent.loop import wording
from agent.session.place import Chart, Workplace
from agent.session.state import State

_RECENT = 3  # messages of the user whose words count


class Guide:
    """The map of one turn at a time, at most `tokens` long; 0 is none."""

    def __init__(self, state: State, place: Workplace, tokens: int) -> None:
        self._state = state
        self._place = place
        self._tokens = tokens
        self._making: asyncio.Task[Chart | None] | None = None

    def begin(self) -> None:
        """Have a map made for the newest message."""
        self.end()
        if self._tokens > 0:
            self._making = asyncio.create_task(self._make())

    def take(self) -> Mapped | None:
        """The map, once, if it is ready at this moment and says enough to be of use."""
        if self._making is None or not self._making.done() or self._making.cancelled():
            return None
        chart, self._making = self._making.result(), None
        if chart is None or chart.code_files < MAP_REPOSITORY_LEAST:
            return None
        if len(chart.files) < MAP_FILES_LEAST:
            return None
        return Mapped(wording.repository_map(chart.text), tuple(chart.files))

    def end(self) -> None:
        """Forget the map that is being made."""
        if self._making is not None:
            self._making.cancel()
            self._making = None

    async def _make(self) -> Chart | None:
        said = self._state.history.said()
        try:
            return await self._place.map(
                "\n".join(said[-_RECENT:]),
                tokens=self._tokens,
                touched=tuple(self._state.seen.hashes),
                hidden=self._state.history.mapped,
            )
        except GloveboxError:
            return None  # whoever needs the sandbox is told; a turn goes without a map
