"""Where sessions are kept and how one is found again.

    <state>/sessions/<id>/journal.jsonl       the session
    <state>/projects/<project>/<n>/session    the id of session n of a repository

`<project>` is the random id in the repository's git common directory, so that moving, renaming or
rewriting the repository loses nothing.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import UserError
from agent.host import files
from agent.session.names import name_in

_ID = re.compile(r"[a-z0-9]{4,32}")
_SHORTEST_BEGINNING = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One session of a repository; `used` is when its journal was written last (epoch seconds)."""

    number: int
    id: str
    used: float


class Catalog:
    """The sessions under one state directory. Safe to use from several processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def journal(self, session: str) -> Path:
        return self.root / "sessions" / session / "journal.jsonl"

    def new_id(self) -> str:
        """An id nobody has, with its directory."""
        files.make_private_dir(self.root / "sessions")
        while True:
            session = secrets.token_hex(6)
            if files.claim_dir(self.root / "sessions" / session):
                return session

    def record(self, project: str, number: int, session: str) -> None:
        """Say that session `number` of `project` is `session`."""
        place = self.root / "projects" / project / str(number) / "session"
        files.write_whole(place, session.encode())

    def sessions(self) -> tuple[str, ...]:
        """The ids of all sessions, of whatever repository."""
        return tuple(folder.name for folder in files.children(self.root / "sessions"))

    def forget(self, project: str, number: int, session: str) -> None:
        """Remove all that is kept of a session. It must not be in use."""
        files.remove_tree(self.root / "projects" / project / str(number))
        files.remove_tree(self.root / "sessions" / session)

    def require_free(self, project: str, name: str, session: str) -> None:
        """Raise `UserError` when another session of `project` than `session` is called `name`."""
        for entry in self.entries(project):
            if name and entry.id != session and name_in(self.journal(entry.id)) == name:
                raise UserError(
                    f"session {entry.number} is called `{name}` already",
                    f"choose another name, or rename that one: `glovebox rename {entry.number} …`",
                )

    def projects(self) -> tuple[str, ...]:
        """The ids of all repositories that had a session."""
        return tuple(folder.name for folder in files.children(self.root / "projects"))

    def leave(self, project: str, number: int) -> None:
        """Forget that there is a session `number` of `project`; it is another's now."""
        files.remove_tree(self.root / "projects" / project / str(number))

    def entries(self, project: str) -> list[Entry]:
        """The sessions of a repository, the one used last at the end."""
        found = [
            entry
            for folder in files.children(self.root / "projects" / project)
            if folder.name.isdigit() and (entry := self._entry(folder)) is not None
        ]
        return sorted(found, key=lambda e: (e.used, e.number))

    def settle(self, project: str) -> None:
        """Have what was used in the future, for the clock was set back since, be of now.

        Their order stays, and what is used from now on comes after them.
        """
        now = time.time()
        ahead = [entry for entry in self.entries(project) if entry.used > now]
        for before, entry in enumerate(reversed(ahead)):
            files.set_modified(self.journal(entry.id), now - before / 1000)

    def _entry(self, folder: Path) -> Entry | None:
        place = folder / "session"
        if not files.exists(place):
            return None
        session = files.read_text(place, limit=100).strip()
        if not _ID.fullmatch(session) or not files.exists(self.journal(session)):
            return None
        return Entry(int(folder.name), session, files.modified(self.journal(session)))

    def find(self, project: str, wanted: str) -> Entry:
        """By number, name, id or its beginning; an empty `wanted` is the one used last.

        Raises `UserError` with what there is when nothing or more than one fits.
        """
        entries = self.entries(project)
        if not entries:
            raise UserError("this repository has no session yet", "start one without --continue")
        if not wanted:
            return entries[-1]
        exact = [e for e in entries if wanted in (str(e.number), e.id)]
        exact = exact or [e for e in entries if name_in(self.journal(e.id)) == wanted]
        # A short number that no session has must not fit one whose random id happens to begin so.
        number = wanted.isdigit() and len(wanted) < _SHORTEST_BEGINNING
        fits = exact or [e for e in entries if e.id.startswith(wanted) and not number]
        if len(fits) == 1:
            return fits[0]
        known = ", ".join(f"{e.number} ({e.id})" for e in sorted(entries, key=lambda e: e.number))
        problem = "more than one session fits" if fits else "no session fits"
        raise UserError(f"{problem} `{wanted}`", f"this repository has: {known}")
