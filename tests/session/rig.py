"""A session over a fake workplace, for what does not need a sandbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent.core.errors import GloveboxError
from agent.core.events import (
    AnyEvent,
    Record,
    SandboxState,
    Seeded,
    SessionStarted,
    SyncFinished,
    Undone,
)
from agent.core.messages import ToolCall
from agent.llm.protocol import Llm
from agent.session.journal import Journal
from agent.session.place import Chart
from agent.session.questions import OnAsk
from agent.session.session import Parts, Session
from agent.session.state import State
from agent.tools.base import Tool, ToolContext, Toolset


class Bench:
    """A workplace that keeps a counter for a tree: `work` raises it, a sync carries it out."""

    def __init__(self, state: State, emit: Callable[[AnyEvent], None]) -> None:
        self._state = state
        self._emit = emit
        self.gate = asyncio.Event()
        self.gate.set()
        self.charted = asyncio.Event()
        self.chart = Chart()
        self.failure: GloveboxError | None = None
        self.sync_failure: GloveboxError | None = None
        self.calls: list[str] = []
        self.sandbox: Any = None
        self.hangs: set[str] = set()
        self._up = False

    async def ready(self) -> None:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if not self._up:
            self._up = True
            self._emit(SandboxState("ready", "bench", "bench:1"))
            if self._state.seeded is None:
                self._emit(Seeded("base", "tip-0"))

    async def context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        await self.ready()
        return ToolContext(self.sandbox, call.id, on_output, self._state.seen)

    async def sync(self, state: State, message: str) -> SyncFinished:
        self.calls.append(f"sync {state.last} {message}")
        await self._hang("sync")
        if self.sync_failure is not None:
            raise self.sync_failure
        return SyncFinished("glovebox/1", f"tip-{state.turn}", files=1)

    async def undo(self, state: State, to: str) -> Undone:
        self.calls.append(f"undo {to}")
        return Undone(state.last, to)

    async def standing(self) -> str:
        return "ahead 3"

    async def diff(self, state: State) -> str:
        return f"since {state.seeded.tip}" if state.seeded else ""

    async def map(
        self, words: str, *, tokens: int, touched: Sequence[str], hidden: Sequence[str]
    ) -> Chart:
        self.calls.append(f"map {words} {tokens} {list(touched)} {list(hidden)}")
        await self.charted.wait()
        return self.chart

    def answer_egress(self, identity: str, *, allow: bool, remember: bool) -> bool:
        self.calls.append(f"answer {identity} {allow} {remember}")
        return True

    def allow_host(self, entry: str) -> None:
        self.calls.append(f"allow {entry}")

    async def lost(self) -> None:
        self._up = False

    async def rest(self) -> bool:
        self.calls.append("rest")
        return True

    async def close(self) -> None:
        self.calls.append("close")
        await self._hang("close")
        if self._up:
            self._up = False
            self._emit(SandboxState("closed", "bench", "bench:1"))

    async def _hang(self, what: str) -> None:
        """Never end, and obey no cancel but the second one, with which the test's loop ends."""
        with contextlib.suppress(asyncio.CancelledError):
            while what in self.hangs:
                await asyncio.sleep(3600)
        while what in self.hangs:
            await asyncio.sleep(3600)


def open_session(
    path: Path, llm: Llm, *tools: Tool, on_ask: OnAsk = "deny", **more: Any
) -> tuple[Session, Bench]:
    """The session whose journal is at `path`, new or resumed."""
    journal, state = Journal(path), State()
    if not journal.records:
        state.apply(journal.append(0, SessionStarted("abcd", 1, "p", "scripted", "bench", "none")))
    else:
        for record in journal.records:
            state.apply(record)
    session = Session(journal, state)
    bench = Bench(state, session.emit)
    parts = Parts(llm, "scripted", lambda: "system", (), Toolset(tools), 20, on_ask, **more)
    session.equip(parts, bench)
    return session, bench


async def send(session: Session, text: str) -> list[Record]:
    return [record async for record in session.send(text)]


def names(records: list[Record]) -> list[str]:
    return [type(record.event).__name__ for record in records]
