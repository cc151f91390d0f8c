"""The conversation at a terminal: what is typed goes down, what happens comes up.

The prompt is there before the session is: repository, sandbox and provider come up behind it.
What is typed while the agent works and is not for the model at once waits its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from agent import __version__
from agent.app import Options, open_session
from agent.cli import screens
from agent.cli.badge import badge
from agent.cli.beside import Beside
from agent.cli.commands import COMMANDS
from agent.cli.commands.typed import parse
from agent.cli.exits import Exit
from agent.cli.hands import Hands
from agent.cli.inbox import Inbox
from agent.cli.known import Known, offers
from agent.cli.replay import SCREENS, recalled
from agent.cli.screen import Keys, typed
from agent.cli.shown import Shown
from agent.cli.styled import Line, marked
from agent.config import require_model
from agent.core.errors import GloveboxError, UserError
from agent.core.events import Entered, Record, TurnStarted
from agent.core.text import terminal_safe
from agent.host import terminal
from agent.overview import Sight
from agent.session.session import Session


class Repl:
    """The sessions that a person is in, one after the other; commands know it as their `Talk`."""

    def __init__(self, options: Options, *, join: bool = False) -> None:
        """With `join` the session is gone along with first, if another process runs it."""
        self._options = options
        self._join = join
        self._inbox = Inbox()
        self._hands = Hands(self._inbox, leave=self.leave, aside=self._begin_aside)
        self._known = Known()
        self._open: Session | None = None
        self._other: Session | Beside | None = None  # where the person goes next
        self._recalls = not join and (options.resume is not None or options.fork is not None)
        self._leaving = False
        self._worker: asyncio.Task[None] | None = None
        self._asides: list[asyncio.Task[None]] = []  # commands beside a turn
        # Lines get a reply as the model wrote it.
        drawn = options.settings.markdown and screens.drawn()
        self._markdown = screens.markdown if drawn else None
        self._shown: Shown

    @property
    def session(self) -> Session:
        there = self._other if isinstance(self._other, Session) else self._open
        assert there is not None, "commands wait for the session"
        return there

    @property
    def directory(self) -> Path:
        return self._options.directory

    @property
    def options(self) -> Options:
        """What opens a new session for this conversation."""
        fresh = replace(self._options, asks=True, resume=None, fork=None)
        return replace(fresh, turn=None, model=None, base="")

    async def run(self) -> Exit:
        """Converse until the person leaves. Raises what kept the session from being opened."""
        if self._options.resume is None and self._options.fork is None:
            require_model(self._options.settings)
        if not sys.stdin.isatty():
            raise UserError("there is no terminal to talk at", "give a message with `-m TEXT`")
        self._shown = self._hands.shown = self._made_shown()
        self._listen()
        self.show(marked(f"· glovebox {__version__}; /help lists the commands"))
        self._worker = asyncio.create_task(self._work())
        self._worker.add_done_callback(lambda _: self._shown.screen.stop())
        try:
            await self._shown.screen.run()
            self.leave()
            await asyncio.wait({self._worker})
        finally:
            await self._close(self._worker)
        return Exit.DONE

    async def _close(self, worker: asyncio.Task[None]) -> None:
        """Whatever happened: stop the session, say where the work is, pass an error on."""
        tasks = (worker, *self._asides)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._shown.end()
        self._known.end()
        if isinstance(self._other, Session):
            await self._other.close()
        if self._open is not None:
            await self._open.close()
            self.show(_farewell(self._open))
        if isinstance(beside := self._hands.there, Beside):
            number = beside.number
            self.show(marked(f"· session {number} runs on; `glovebox attach {number}` joins it"))
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def sights(self) -> Sequence[Sight]:
        """The sessions of this repository as they are now."""
        return await self._known.sights(self.directory)

    def show(self, lines: Sequence[Line]) -> None:
        """Add to the transcript."""
        self._shown.show(lines)

    async def follow(self, records: AsyncGenerator[Record]) -> None:
        """Show records as they come."""
        await self._shown.follow(records)

    def _seen(self, record: Record) -> None:
        self._hands.seen(record)
        if isinstance(self._hands.there, Beside):
            match record.event:
                case TurnStarted(message=message):
                    self.show(typed(message.text, here=False))
                case Entered(command=command):
                    self.show(typed(f"!{command}", here=False))
                case _:
                    pass

    def leave(self) -> None:
        """End after what is running, which is interrupted."""
        self._leaving = True
        self._hands.drop()
        if self._open is None and self._worker is not None:
            self._worker.cancel()
        elif self._open is not None:
            self._open.interrupt()
        self._inbox.put("")

    async def _go_along(self, beside: Beside, options: Options) -> Session:
        """Show what another process does with a session until it lets go of it; then it is ours."""
        self._hands.there, self._open = beside, None
        await self.follow(beside.records())
        self._inbox.put_back(beside.unheard())
        if errand := beside.errand:
            self._inbox.put(errand)
        self._hands.there = None
        return await open_session(replace(options, resume=str(beside.number)))

    async def _work(self) -> None:
        options = replace(self._options, asks=True)
        if self._join:
            beside = await Beside.of(options.directory, options.resume or "")
            session = await self._go_along(beside, options)
        else:
            session = await open_session(options)
        self._open = self._hands.there = session
        while other := await self._converse(session):
            await session.close()
            self.show(_farewell(session))
            self._other = None
            if isinstance(other, Beside):
                other = await self._go_along(other, self.options)
            self._open = self._hands.there = session = other

    async def _converse(self, session: Session) -> Session | Beside | None:
        """Be in a session until the person leaves it; where they go, None at the end."""
        if self._recalls:
            await self.recall()
        self._recalls = False
        self.show(marked(f"· session {session.number}: work arrives on {session.branch}"))
        ready = asyncio.create_task(self._await_sandbox(session))
        self._known.look(session)
        try:
            if session.state.behind:
                await self.follow(session.sync())
            while self._other is None and (text := await self._next(session)):
                await self._do(text)
                self._inbox.put_back(session.unheard())
        finally:
            ready.cancel()
            await asyncio.wait({ready})
        return self._other

    async def recall(self, *, whole: bool = False) -> None:
        """Show what was said in the session before: its end, or the `whole` of it."""
        rows = None if whole else SCREENS * terminal.size()[0]
        records, make = self.session.past, self._markdown
        self.show(await asyncio.to_thread(lambda: recalled(records(), make, rows)))

    async def change(
        self, begin: Callable[[Options], Awaitable[Session]], *, recalls: bool = False
    ) -> None:
        """Go on in the session that `begin` opens; the one here is closed and kept.

        With `recalls` what was said there is shown.
        """
        other = await begin(self.options)
        self._other, self._recalls = other, recalls
        with contextlib.suppress(GloveboxError):  # whoever needs the sandbox is told
            await other.enter()  # a copy of a sandbox is made while that one is there

    def edit(self) -> None:
        """Have the person's own editor write what is typed next."""
        if not self._shown.screen.edit():
            raise UserError("no editor can be opened here", "`-m` and `--message-file` send texts")

    async def attach(self, wanted: str) -> None:
        """Go along with session `wanted`, which another process may run; this one is kept."""
        self._other = await Beside.of(self._options.directory, wanted)

    async def confirm(self, question: str) -> bool:
        """Whether the person agrees."""
        return not self._leaving and await self._shown.confirm(question)

    def until(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Have `stop` called when the person interrupts what is done within, or leaves."""
        return self._hands.until(stop)

    async def _await_sandbox(self, session: Session) -> None:
        """Say early that there will be no sandbox; a turn that needs it would say so, later."""
        try:
            await session.enter()
            await asyncio.to_thread(screens.warm)
        except GloveboxError as error:
            if not session.busy:
                self._shown.complain(error)

    async def _offers(self, name: str) -> Sequence[tuple[str, str]]:
        """What may stand after a command, once there is a session."""
        return await offers(name, self) if self._open is not None else ()

    async def _next(self, session: Session) -> str:
        """The next thing typed, "" at the end; what happens meanwhile is shown."""

        async def rest() -> None:
            if await session.rest():
                self.show(marked("· the sandbox rests; your next message wakes it"))

        watching = asyncio.create_task(self.follow(session.between()))
        try:
            text = await self._inbox.next(60 * self._options.settings.idle or None, rest)
            return "" if self._leaving else text
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    def _begin_aside(self, text: str) -> None:
        self._asides = [task for task in self._asides if not task.done() or task.exception()]
        self._asides.append(asyncio.create_task(self._do(text)))

    async def _do(self, text: str) -> None:
        self._hands.changed()
        self.show(typed(text))
        try:
            command = parse(text)
            if command is not None:
                await command.run(self)
            else:
                await self.follow(self.session.send(text))
                self._known.look(self.session)
        except GloveboxError as error:
            self._shown.complain(error)

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._hands.signalled)
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.leave)

    def _made_shown(self) -> Shown:
        hands, settings = self._hands, self._options.settings
        keys = Keys(
            submit=hands.submit,
            interrupt=hands.interrupt,
            leave=self.leave,
            changed=hands.changed,
            answer=lambda key: self._shown.press(key),
            badge=lambda: badge(hands.status(), hands.hint),
            commands=[(name, c.about) for c in COMMANDS for name in c.names],
            offers=self._offers,
            paths=self._known.files,
        )
        return Shown(
            screens.choose_screen(keys, settings),
            self._markdown,
            cross=hands.cross,
            tell=hands.answer,
            decide=lambda take: hands.submit("/take" if take else "/ignore"),
            seen=self._seen,
            notify=settings.notify,
        )


def _farewell(session: Session) -> list[Line]:
    """Where the work is, and how to come back to it."""
    state, number = session.state, session.number
    again = f"`glovebox --resume {number}` goes on with this session"
    if state.behind:
        why = terminal_safe(f": {state.problem}") if state.problem else ""
        return marked(f"! not all of the work has reached {session.branch}{why}\n    {again}")
    if not state.branch:
        return marked(f"· nothing changed; {again}")
    return marked(f"✓ the work is on {session.branch}, at {state.branch_value[:10]}\n· {again}")
