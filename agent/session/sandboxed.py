"""A session and its sandbox: what is done inside without the model, and brought home."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from agent.core.errors import SandboxLost, SyncError, UserError
from agent.core.events import Entered, Record, SyncStarted
from agent.core.limits import MAP_TOKENS
from agent.core.messages import ToolCall
from agent.core.text import one_line
from agent.session.byhand import run_by_hand
from agent.session.held import Held
from agent.session.home import Home
from agent.session.parts import Parts
from agent.session.place import Chart, Workplace
from agent.tools.base import ToolContext


class Sandboxed(Held):
    """What a front end can have done with the work, and see of it."""

    def equip(self, parts: Parts, place: Workplace) -> None:
        super().equip(parts, place)
        self._take(parts)
        self._used = self.state.behind

    def _take(self, parts: Parts) -> None:
        self._parts = parts
        namer = parts.namer and replace(parts.namer, llm=self.purse.metered(parts.namer.llm))
        self._home = Home(self.state, self._equipped[1], self.emit, namer)

    async def enter(self) -> ToolContext:
        """The sandbox, ready, for a front end's own programs (a benchmark's check, a shell).

        What is run there is no part of the conversation and does not cause a sync. Raises
        `SandboxError` and `SyncError`, as a turn would.
        """
        return await self._equipped[1].context(ToolCall("front-end", "", None), lambda _: None)

    async def visit(self, command: str) -> ToolContext:
        """The sandbox, ready, for a person's own program, whose work `sync` brings home.

        It is brought home later if this process dies before.
        """
        context = await self.enter()
        self.emit(Entered(command))
        self._used = True
        return context

    def run(self, command: str, script: str = "") -> AsyncGenerator[Record]:
        """Run a person's `command` inside and bring home what it changed; the model hears of it.

        `script` is what the shell is given where that is more.
        """
        return self._run(lambda: self._by_hand(command, script or command))

    def sync(self, about: str = "Work of an interrupted turn") -> AsyncGenerator[Record]:
        """Bring home what is only inside, and yield the records of it."""
        return self._run(lambda: self._sync(about))

    async def snapshot(self, about: str = "Work before a fork") -> str:
        """Bring home what is inside at this moment, also while a turn runs; its commit.

        Raises `SandboxError`, `SyncError`.
        """
        _, place = self._equipped
        await place.ready()
        finished = await place.sync(self.state, about)
        if not self.busy:  # the sync after the turn tells of it otherwise
            self.emit(SyncStarted())
            self.emit(finished)
        if finished.problem is not None:
            raise SyncError(finished.problem.message, finished.problem.hint)
        return finished.commit

    async def standing(self) -> str:
        """Where the work is: `synced`, `ahead N`, `failed (why)`; asks inside when it is up."""
        return await self._equipped[1].standing() if self.state.seeded else "nothing to sync"

    async def diff(self) -> str:
        """All changes since the start of the session, as a unified diff; empty before the first."""
        return await self._equipped[1].diff(self.state) if self.state.seeded else ""

    async def map(self, words: str = "", *, tokens: int = MAP_TOKENS) -> Chart:
        """What in the repository matters for these words, or for what was touched so far.

        Raises `SandboxError`, `ToolboxError`.
        """
        touched = () if words else tuple(self.state.seen.hashes)
        return await self._equipped[1].map(words, tokens=tokens, touched=touched, hidden=())

    async def paths(self) -> Sequence[str]:
        """The files inside. Raises `SandboxError`, `ToolboxError`."""
        return await self._equipped[1].paths()

    def undo(self, turns: int = 1) -> AsyncGenerator[Record]:
        """Take the newest turns back: their messages, file changes and commits on the branch.

        What they had led to is kept for `redo`. Raises `UserError` when there are not so many.
        """
        if not 1 <= turns <= len(self.state.tips):
            count = len(self.state.tips)
            words = f"there are only {count} turns to undo" if count else "there is no turn to undo"
            raise UserError(words)
        return self._run(lambda: self._home.undo(turns))

    def redo(self) -> AsyncGenerator[Record]:
        """Take the newest undo back. Raises `UserError` when something was done since."""
        if not self.state.undone:
            raise UserError("there is nothing to redo")
        return self._run(self._home.redo)

    def settle(self, *, take: bool) -> AsyncGenerator[Record]:
        """What the last sync held back: take it along, or have git inside ignore it from now on."""
        return self._run(lambda: self._home.settle(take=take))

    def pull(self, name: str = "", *, dirty: bool = False) -> AsyncGenerator[Record]:
        """Merge the user's newer commits into the work inside: those of `name`, "" for HEAD.

        With `dirty` their uncommitted work comes along. What conflicts is left as a branch inside.
        """
        return self._run(lambda: self._home.pull(name, dirty=dirty))

    async def rest(self) -> bool:
        """Stop the sandbox until it is needed again; False where something still runs in it."""
        return not self.busy and await self._equipped[1].rest()

    def lend(self) -> tuple[Parts, Workplace, Path]:
        """What a child of this session works with, and the folder for its records."""
        return (*self._equipped, self._journal.path.parent)

    async def _context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        context = await self._equipped[1].context(call, on_output)
        self._used = True
        state, run_task = self.state, self._equipped[0].run_task
        own = replace(context, seen=state.seen, todo=state.todo, run_task=run_task)
        return replace(own, ask_user=self._questions.ask)

    async def _by_hand(self, command: str, script: str) -> None:
        parts, place = self._equipped
        work = run_by_hand(
            command, script, tools=parts.tools, context=self._context, emit=self.emit
        )
        try:
            await self._running.alone(work)
        except SandboxLost:
            await place.lost()
            raise
        finally:
            if self.state.behind:
                await self._sync(f"Run {one_line(command)}")

    async def _sync(self, about: str) -> None:
        self._used = not await self._home.sync(about) and self._used
