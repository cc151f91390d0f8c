"""What came of a repository's sessions: listed, looked at, compared, merged.

Journals are read and not taken, so a session may go on meanwhile; only a new name is written into
one, by whoever holds it. Everything that is shown of an agent's commits goes through `git.view`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from agent.core.errors import JournalError, UserError
from agent.core.events import Renamed
from agent.core.text import one_line
from agent.git import export
from agent.git.keys import masked
from agent.git.merging import How, Proposal, Work, accept, proposing
from agent.git.plain import repository_at
from agent.git.replay import Conflict
from agent.git.repository import Repository
from agent.git.view import FileChange, View, viewing
from agent.host import env
from agent.llm.redact import secrets_in
from agent.session import about
from agent.session.catalog import Catalog, Entry
from agent.session.children import conversations
from agent.session.door import NAME, Question, knock
from agent.session.fork import folded
from agent.session.journal import Journal, in_use, read
from agent.session.names import checked
from agent.session.search import Hit, Mask, search
from agent.session.state import State
from agent.session.transcript import Transcript, is_image, transcript_of

__all__ = [
    "Attempt",
    "Conflict",
    "Hit",
    "How",
    "Outcomes",
    "Proposal",
    "Session",
    "everywhere",
    "masking",
    "message_of",
    "session_of",
    "transcript",
    "words_in",
]

TITLE_CHARS = 72


@dataclass(frozen=True, slots=True)
class Session:
    """One session as its journal has it. `running` says that a process holds it now."""

    entry: Entry
    state: State
    running: bool

    @property
    def number(self) -> int:
        return self.entry.number

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def title(self) -> str:
        """What was asked first, on one line."""
        return one_line(next(iter(self.state.history.said()), ""), TITLE_CHARS)

    @property
    def work(self) -> Work:
        """Its commits. Raises `UserError` when nothing has come home yet."""
        seeded = self.state.seeded
        if seeded is None or not self.state.branch_value:
            raise UserError(
                f"nothing has come home from session {self.number} yet",
                f"`glovebox --resume {self.number}` goes on with it",
            )
        return Work(seeded.base, seeded.tip, self.state.branch_value)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A session beside others: what it changed, by path."""

    session: Session
    changes: tuple[FileChange, ...]

    @property
    def added(self) -> int:
        return sum(c.lines[0] for c in self.changes if c.lines)

    @property
    def removed(self) -> int:
        return sum(c.lines[1] for c in self.changes if c.lines)


class Outcomes:
    """The sessions of one repository."""

    def __init__(self, repository: Repository, catalog: Catalog, project: str) -> None:
        self.repository = repository
        self._catalog = catalog
        self._project = project

    @classmethod
    async def of(cls, directory: Path) -> Outcomes:
        """Those of the repository around `directory`. Raises `UserError` where there is none."""
        catalog = Catalog(env.state_dir())
        repository = await repository_at(directory, catalog.root)
        return cls(repository, catalog, await repository.project_id())

    def sessions(self) -> tuple[list[Session], list[str]]:
        """All of them, the one used last at the end; and what could not be read."""
        found: list[Session] = []
        problems: list[str] = []
        for entry in self._catalog.entries(self._project):
            try:
                found.append(self._read(entry))
            except JournalError as error:
                problems.append(f"session {entry.number}: {error.message}")
        return found, problems

    def find(self, wanted: str) -> Session:
        """By number, name, id or beginning of an id; "" is the one used last."""
        return self._read(self._catalog.find(self._project, wanted))

    async def rename(self, wanted: str, name: str) -> int:
        """Call a session `name`, "" for its number alone; the number.

        A process that holds it does so itself. Raises `UserError` for a name that cannot be, and
        `JournalError` where nobody can write it.
        """
        entry = self._catalog.find(self._project, wanted)
        name = checked(name)
        self._catalog.require_free(self._project, name, entry.id)
        place = self._catalog.journal(entry.id)
        if await knock(place.parent / NAME, Question("rename", text=name)) is not None:
            return entry.number
        journal = Journal(place)
        try:
            journal.append(journal.turn, Renamed(name))
            journal.flush()
        finally:
            journal.close()
        return entry.number

    def _read(self, entry: Entry) -> Session:
        return session_of(self._catalog, entry)

    @asynccontextmanager
    async def look(self, session: Session) -> AsyncGenerator[tuple[View, Work]]:
        """A view of the repository, and the session's commits."""
        work = session.work
        async with viewing(self.repository) as view:
            yield view, work

    async def attempts(self, wanted: Sequence[str]) -> list[Attempt]:
        """Sessions side by side."""
        sessions = [self.find(one) for one in wanted]
        async with viewing(self.repository) as view:
            return [
                Attempt(one, await view.changes(one.work.start, one.work.tip)) for one in sessions
            ]

    async def patch(self, session: Session) -> bytes:
        """What a session changed, for `git apply` where it began."""
        work = session.work
        return await export.patch(self.repository, work.start, work.tip)

    async def folder(self, session: Session, target: Path) -> export.Exported:
        """The files as a session left them, in a new folder."""
        return await export.folder(self.repository, session.work.tip, target)

    @asynccontextmanager
    async def merging(self, session: Session, how: How) -> AsyncGenerator[Proposal]:
        """What merging a session would do; see `git.merging`."""
        async with proposing(self.repository, session.work, how) as proposal:
            yield proposal

    async def branches(self) -> list[str]:
        """The user's own branches, the one committed to last first."""
        words = ("for-each-ref", "--sort=-committerdate", "--format=%(refname:short)", "refs/heads")
        return (await self.repository.git.run(*words)).text.splitlines()

    async def accept(self, proposal: Proposal, message: str, *, hooks: bool) -> str:
        """Do it, with the user's own git; the commit their branch is at then."""
        return await accept(self.repository, proposal, message, hooks=hooks)


def everywhere() -> tuple[list[tuple[str, Session]], list[str]]:
    """All sessions of all repositories, with where each repository was seen last; and problems."""
    catalog = Catalog(env.state_dir())
    found: list[tuple[str, Session]] = []
    problems: list[str] = []
    for project in catalog.projects():
        known = about.read(catalog.root, project)
        for entry in catalog.entries(project):
            try:
                found.append((known.path if known else "", session_of(catalog, entry)))
            except JournalError as error:
                problems.append(f"session {entry.number} ({entry.id}): {error.message}")
    return sorted(found, key=lambda one: one[1].entry.used), problems


def words_in(session: Session, words: Sequence[str]) -> list[Hit] | None:
    """Where the words are in all that was said and done; None unless each is somewhere."""
    place = Catalog(env.state_dir()).journal(session.entry.id)
    records = read(place)[0]
    return search(records, words, conversations(place, records), masking())


def transcript(session: Session) -> Transcript:
    """The conversation of a session, without what opens doors: keys, tokens, passwords."""
    place = Catalog(env.state_dir()).journal(session.entry.id)
    records = read(place)[0]
    found = transcript_of(records, conversations(place, records))
    return msgspec.convert(masking()(msgspec.to_builtins(found)), Transcript)


def masking() -> Mask:
    """What takes keys, tokens and passwords out of texts, those of our environment as well."""
    secrets = secrets_in(env.variables())

    def mask(value: Any) -> Any:
        if isinstance(value, str):
            if is_image(value):
                return value
            for secret in secrets:
                value = value.replace(secret, "[secret]")
            return masked(value)
        if isinstance(value, list | tuple):
            return [mask(item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {k: mask(v) for k, v in cast("dict[str, Any]", value).items()}
        return value

    return mask


def session_of(catalog: Catalog, entry: Entry) -> Session:
    """What is known of a session. Raises `JournalError`."""
    place = catalog.journal(entry.id)
    return Session(entry, folded(read(place)[0]), in_use(place))


async def message_of(session: Session, proposal: Proposal) -> str:
    """What a merge commit or a squash says: what was asked, and what the agent's commits say."""
    commits = await proposal.view.log(proposal.work.start, proposal.work.tip)
    subjects = [commit.subject for commit in reversed(commits)]
    title = one_line(session.title.partition(". ")[0], TITLE_CHARS) or f"Work of {session.number}"
    if proposal.how == "merge":
        title = one_line(f"Merge {session.state.branch}: {title}", TITLE_CHARS)
    body = "".join(f"* {subject}\n" for subject in subjects if subject != title)
    return f"{title}\n\n{body}".rstrip() + "\n"
