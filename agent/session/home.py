"""Work on its way between the sandbox and the branch, told as events: sync, undo, redo, pull."""

from __future__ import annotations

from collections.abc import Callable

from agent.core.errors import GloveboxError, SyncError, UserError
from agent.core.events import (
    AnyEvent,
    Redone,
    SyncFinished,
    SyncStarted,
    Undone,
    Worded,
    problem_of,
)
from agent.core.limits import SYNC_SECONDS
from agent.core.text import one_line
from agent.loop.naming import Namer
from agent.session.bounds import bounded
from agent.session.place import Workplace
from agent.session.state import State

_SUBJECT_CHARS = 68


class Home:
    """The way home of one session. Not to be used by two at once."""

    def __init__(
        self,
        state: State,
        place: Workplace,
        emit: Callable[[AnyEvent], None],
        namer: Namer | None = None,
    ) -> None:
        self._state = state
        self._place = place
        self._emit = emit
        self._namer = namer

    async def sync(self, about: str) -> bool:
        """Bring home what is inside; whether all of it came. `about` is what was asked."""
        self._emit(SyncStarted())
        try:
            finished = await bounded(self._carry(about), SYNC_SECONDS)
        except GloveboxError as error:
            finished = SyncFinished(self._state.mirror, problem=problem_of(error))
        except TimeoutError:
            number = self._state.started.number if self._state.started else 0
            late = SyncError(
                f"the work did not come home within {SYNC_SECONDS:g} s; it is safe inside",
                f"`glovebox sync {number}` tries again",
            )
            finished = SyncFinished(self._state.mirror, problem=problem_of(late))
        self._emit(finished)
        return finished.problem is None

    async def _carry(self, about: str) -> SyncFinished:
        message = await self._message(about)
        return await self._place.sync(self._state, message)

    async def _message(self, about: str) -> str:
        """What the commit says: in the words of the weak model, else in those of the request."""
        if self._namer is not None:
            diff = await self._place.changes(self._state)
            named = await self._namer.name(about, diff) if diff.strip() else None
            if named is not None:
                self._emit(Worded(named.message, named.usage))
                return named.message
        return subject(about) or "Work of the agent"

    async def undo(self, turns: int) -> None:
        """Take the newest turns back. Raises `SyncError`; then nothing was undone."""
        to = self._state.tips[-turns] or (self._state.seeded.tip if self._state.seeded else "")
        if not to:
            self._emit(Undone(was="", commit="", turns=turns))
            return
        undone = await self._place.undo(self._state, to)
        self._emit(Undone(undone.was, undone.commit, undone.notes, turns))

    async def redo(self) -> None:
        """Take the newest undo back. Raises `SyncError`; then nothing was redone."""
        was, here = self._state.undone[-1].was, self._state.branch_value
        if not was:
            self._emit(Redone(was="", commit=""))
            return
        done = await self._place.undo(self._state, was)
        notes = done.notes
        if done.was != here:
            notes += (f"what was done inside since the undo is kept as commit {done.was}",)
        self._emit(Redone(done.was, done.commit, notes))

    async def settle(self, *, take: bool) -> None:
        """Decide about what the last sync held back, and sync. Raises `SyncError`."""
        if not await self._place.settle(take=take):
            raise UserError("nothing is held back inside")
        await self.sync("Take along what was held back" if take else "Leave what was held back")

    async def pull(self, name: str, *, dirty: bool) -> None:
        """Take the user's commits in. Raises `UserError`, `SyncError`; then nothing was."""
        await self._place.ready()
        if self._state.behind and not await self.sync("Work before a pull"):
            raise UserError(
                "nothing was pulled: the work inside has to come home first",
                "see what the sync says",
            )
        pulled = await self._place.pull(self._state, name, dirty=dirty)
        self._emit(pulled)
        if pulled.commit and not pulled.conflicts:
            await self.sync(f"Merge of {pulled.branch}")


def subject(request: str) -> str:
    """A commit's subject from what was asked: the first sentence, cut at a word when it is long."""
    line = one_line(request, 1000)
    sentence = line.partition(". ")[0].removesuffix(".")
    if len(sentence) <= _SUBJECT_CHARS:
        return sentence
    cut = sentence[: _SUBJECT_CHARS - 1]
    return (cut.rpartition(" ")[0].rstrip(",;:") or cut) + "…"
