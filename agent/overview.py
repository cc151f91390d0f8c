"""The sessions of a repository, looked at again and again while others run them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.errors import GloveboxError, UserError
from agent.core.text import one_line
from agent.git.plain import repository_at
from agent.host import env
from agent.session import errand
from agent.session.catalog import Catalog, Entry
from agent.session.door import NAME, Question, knock
from agent.session.errand import Outlook
from agent.session.glance import BUSY, Glance, Standing
from agent.session.journal import at_rest, in_use
from agent.session.tail import Tail

RECENT_SECONDS = 86_400.0
STOP_SECONDS = 600.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Sight:
    """One session as it is now."""

    entry: Entry
    glance: Glance
    held: bool
    waits: bool
    outlook: Outlook
    log: str

    @property
    def number(self) -> int:
        return self.entry.number

    @property
    def standing(self) -> Standing:
        return self.glance.standing(held=self.held, waits=self.waits, outlook=self.outlook)

    @property
    def live(self) -> bool:
        """Whether a process holds it, or is about to."""
        return self.held or self.standing == "starting"

    @property
    def now(self) -> str:
        """What it does, or how it ended."""
        if self.standing == "failed" and self.outlook == "lost" and self.glance.state.turn == 0:
            return f"it was never begun: see {self.log}"
        return self.glance.now(held=self.held, waits=self.waits)

    @property
    def sync(self) -> str:
        """Where its work is, as far as its journal knows."""
        return self.glance.state.sync

    def facts(self) -> dict[str, Any]:
        """It as data, for programs."""
        state, usage = self.glance.state, self.glance.usage
        return {
            "number": self.number,
            "id": self.entry.id,
            "name": state.name,
            "title": self.glance.title,
            "state": self.standing,
            "turn": state.turn,
            "step": state.step or state.steps,
            "model": state.model,
            "tokens": usage.prompt + usage.completion,
            "cost": usage.cost,
            "began": self.glance.began,
            "age": round(max(0.0, time.time() - self.glance.began), 1),  # the clock may be set back
            "changed": self.glance.at,
            "sync": self.sync,
            "branch": state.branch,
            "commit": state.branch_value,
            "now": self.now,
        }


class Overview:
    """Reads on where it stopped the time before, so that looking often costs little."""

    def __init__(self, catalog: Catalog, project: str) -> None:
        self._catalog = catalog
        self._project = project
        self._known: dict[str, tuple[Tail, Glance]] = {}

    @classmethod
    async def of(cls, directory: Path) -> Overview:
        """That of the repository around `directory`. Raises `UserError` where there is none."""
        catalog = Catalog(env.state_dir())
        repository = await repository_at(directory, catalog.root)
        return cls(catalog, await repository.project_id())

    def look(self, *, every: bool = False) -> tuple[list[Sight], list[str]]:
        """Those that live or were used within a day, or `every` one; and what is unreadable."""
        sights: list[Sight] = []
        problems: list[str] = []
        since = time.time() - RECENT_SECONDS
        for entry in sorted(self._catalog.entries(self._project), key=lambda one: one.number):
            if every or entry.used >= since or in_use(self._catalog.journal(entry.id)):
                try:
                    sights.append(self.see(entry))
                except GloveboxError as error:
                    problems.append(f"session {entry.number}: {error.message}")
        return sights, problems

    def find(self, wanted: str) -> Sight:
        """By number, name, id or beginning of an id; "" is the one used last."""
        return self.see(self._catalog.find(self._project, wanted))

    def see(self, entry: Entry) -> Sight:
        """One as it is now. Raises `JournalError`."""
        place = self._catalog.journal(entry.id)
        # The errand before the lock: it is taken away after that. The journal last: what was let
        # go of, and who waits for a person, has written its end by then.
        task = errand.read(place.parent)
        outlook = errand.outlook(task)
        waits = at_rest(place)
        held = in_use(place)
        tail, glance = self._known.setdefault(entry.id, (Tail(place), Glance()))
        for record in tail.news():
            glance.apply(record)
        return Sight(entry, glance, held, waits, outlook, str(task.log) if task else "")

    def folder(self, entry: Entry) -> Path:
        """Where what is kept of a session is."""
        return self._catalog.journal(entry.id).parent

    def errand_of(self, entry: Entry) -> str:
        """What it is to do and has not begun, though nobody is at it any more; "" for nothing."""
        sight = self.see(entry)
        if sight.outlook != "lost" or sight.held or sight.glance.state.turn:
            return ""
        task = errand.read(self.folder(entry))
        return task.text if task else ""

    async def stop(self, wanted: Sequence[str]) -> list[Sight]:
        """Interrupt sessions wherever they run, and wait until their work is home.

        Raises `UserError` for one that does not run, or that a person's own program runs in.
        """
        sights = [self.find(one) for one in wanted]
        for sight in sights:
            if not sight.live:
                raise UserError(f"session {sight.number} is not running", "nothing was stopped")
            if sight.glance.visit:
                command = one_line(sight.glance.visit, 60)
                raise UserError(
                    f"a person runs `{command}` in session {sight.number}",
                    "leave it there; nothing was stopped",
                )
        return list(await asyncio.gather(*(self._stop(sight.entry) for sight in sights)))

    async def _stop(self, entry: Entry) -> Sight:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self._ended(entry)
        except TimeoutError:
            raise UserError(f"session {entry.number} does not end", "see what it does") from None

    async def _ended(self, entry: Entry) -> Sight:
        # Again and again: an interrupt that comes before a turn has begun ends nothing.
        while (sight := self.see(entry)).standing in BUSY:
            if not sight.glance.state.syncing:
                with contextlib.suppress(GloveboxError):  # it lets go of the session just now
                    await knock(self.folder(entry) / NAME, Question("interrupt"))
            await asyncio.sleep(_POLL_SECONDS)
        return sight
