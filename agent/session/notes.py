"""The repository's notes for the model: read inside, given once each, at the place where they came.

Those at the root come with the first request if the sandbox is up by then, else with what is sent
next: no request waits for them. Those of a folder come after a file there was read or changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent.core.errors import GloveboxError
from agent.core.events import Noted
from agent.core.limits import NOTES_MAX_BYTES
from agent.loop import wording
from agent.session.place import Note, Workplace
from agent.session.state import State

_TRIP_SECONDS = 3.0


class Notes:
    """The notes of one session; none when they are not `wanted`."""

    def __init__(self, state: State, place: Workplace, *, wanted: bool) -> None:
        self._state = state
        self._place = place
        self._wanted = wanted
        self._reading: asyncio.Task[Sequence[Note]] | None = None
        self._found: dict[str, Note] = {}
        self._looked: set[str] | None = None

    def begin(self) -> None:
        """Have them read, when the sandbox is up."""
        self.end()
        if self._wanted and self._looked is None:
            self._reading = asyncio.create_task(self._read(list(self._state.seen.hashes)))

    async def take(self, most: int) -> Noted | None:
        """Those that are there at this moment and not in the conversation, cut to `most` bytes."""
        if self._reading is not None:
            if self._state.sandbox == "ready":  # it is but one trip
                await asyncio.wait({self._reading}, timeout=_TRIP_SECONDS)
            if self._reading.done():
                self._keep(self._reading.result())
                self._reading = None
        elif self._looked is not None:
            new = [file for file in self._state.seen.hashes if file not in self._looked]
            if new:
                self._keep(await self._read(new))
        given = self._state.history.noted
        notes = [_cut(n, most) for path, n in self._found.items() if path not in given]
        if not notes:
            return None
        text = wording.project_notes([(note.path, note.text, note.cut) for note in notes])
        return Noted(text, tuple(note.path for note in notes))

    def end(self) -> None:
        """Forget those that are being read."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _keep(self, notes: Sequence[Note]) -> None:
        self._found |= {note.path: note for note in notes}

    async def _read(self, files: list[str]) -> Sequence[Note]:
        try:
            notes = await self._place.notes(files, known=list(self._found), most=NOTES_MAX_BYTES)
        except GloveboxError:
            return ()  # whoever needs the sandbox is told; a turn goes without notes
        self._looked = (self._looked or set()) | set(files)
        return notes


def _cut(note: Note, most: int) -> Note:
    data = note.text.encode("utf-8", "replace")
    if len(data) <= most:
        return note
    return Note(note.path, data[:most].decode("utf-8", "ignore"), cut=True)
