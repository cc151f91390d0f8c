"""Sessions that run without a terminal: made here, run by one process that outlives its starter."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.app import Options, new_sessions, open_session, tree_of
from agent.config import Settings
from agent.core.errors import BudgetError, GloveboxError, UserError
from agent.core.events import Notice, Problem, TurnFinished, TurnStarted, problem_of
from agent.core.messages import Usage, UserMessage
from agent.git.packing import Packing
from agent.host import env, process
from agent.loop.brakes import Budget
from agent.session import errand
from agent.session.catalog import Catalog, Entry
from agent.session.errand import Errand
from agent.session.journal import Journal
from agent.session.session import Session

COMMAND = "host"


async def spawn(options: Options, texts: Sequence[str], name: str = "") -> list[Entry]:
    """Make a session for each text, and one process for all of them, which runs on by itself.

    Returns when their numbers are known, before anything of it has begun. Raises as `open_session`.
    """
    catalog = Catalog(options.state or env.state_dir())
    entries = await new_sessions(options, [options.settings.model] * len(texts), name)
    folders = [catalog.journal(entry.id).parent for entry in entries]
    settings = msgspec.to_builtins(options.settings)
    for folder, text in zip(folders, texts, strict=True):
        Errand(str(options.directory), text, str(folders[0]), settings).keep(folder)
    lock = errand.lock_of(folders[0])
    if not lock.acquire():
        raise AssertionError("a new session has a host already")
    argv = process.ourselves(COMMAND, *(entry.id for entry in entries))
    # The child holds the lock from its first moment on, as long as it lives.
    log = folders[0] / errand.LOG
    process.detach(argv, env=env.variables(), log=log, pass_fds=[lock.fileno()])
    lock.release()
    return entries


class Host:
    """Runs the errands of sessions side by side, each to its end. What breaks one is its own."""

    def __init__(self) -> None:
        self._catalog = Catalog(env.state_dir())
        self._packing = Packing()
        self._tree: Budget | None = None  # what they may spend together
        self._open: set[Session] = set()
        self._stopping = False

    async def run(self, identities: Sequence[str]) -> list[tuple[str, BaseException]]:
        """Do them all; what was a defect of ours, with the session's id."""
        tasks = [asyncio.create_task(self._one(one), name=one) for one in identities]
        await asyncio.wait(tasks)
        await self._packing.close()
        return [(task.get_name(), error) for task in tasks if (error := task.exception())]

    def stop(self) -> None:
        """End every turn; its work is brought home. What has not begun does not begin."""
        self._stopping = True
        for session in self._open:
            session.interrupt()

    async def _one(self, identity: str) -> None:
        folder = self._catalog.journal(identity).parent
        task = errand.read(folder)
        if task is None or self._stopping:
            return
        settings = msgspec.convert(task.settings, Settings)
        self._tree = self._tree or tree_of(settings)
        options = Options(
            Path(task.directory),
            settings,
            resume=identity,
            on_ask="person",
            packing=self._packing,
            tree=self._tree,
        )
        try:
            session = await open_session(options)
        except GloveboxError as error:
            self._refused(identity, task.text, problem_of(error))
            return
        self._open.add(session)
        try:
            if not self._stopping:
                await self._said(session, [task.text])
        finally:
            self._open.discard(session)
            try:
                await session.close()
            finally:
                # Only now: whoever looks meanwhile sees that it is not over yet.
                if session.state.turn:
                    errand.done(folder)

    async def _said(self, session: Session, texts: list[str]) -> None:
        """A turn, and others for what came too late to be heard in the one before."""
        while texts and not self._stopping:
            try:
                async for _ in session.send("\n\n".join(texts)):
                    pass  # who wants to see it asks its door, or reads its journal
            except BudgetError as error:
                session.emit(Notice("error", error.message, error.hint))
            texts = session.unheard()

    def _refused(self, identity: str, text: str, problem: Problem) -> None:
        """Put on record why a session could not be opened: nobody else is here to be told."""
        try:
            journal = Journal(self._catalog.journal(identity))
        except GloveboxError:
            return  # somebody else has it, and will see for themselves
        turn = journal.turn + 1
        journal.append(turn, TurnStarted(UserMessage(text)))
        journal.append(turn, TurnFinished("failed", Usage(), 0, problem))
        journal.flush()
        journal.close()
        errand.done(journal.path.parent)


def require_tasks(texts: Sequence[str]) -> None:
    """Raise `UserError` for a task without a word in it."""
    if not all(text.strip() for text in texts):
        raise UserError("a task is empty", 'say what is to be done: `glovebox spawn "…"`')
