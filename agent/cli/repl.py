"""The conversation at a terminal: what is typed goes down, what happens comes up.

The prompt is there before the session is: repository, sandbox and provider come up behind it.
What is typed while the agent works waits its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent import __version__
from agent.app import Options, open_session
from agent.cli.asking import Asking
from agent.cli.badge import badge
from agent.cli.beside import Beside
from agent.cli.commands import COMMANDS
from agent.cli.commands.typed import at_once, is_command, parse
from agent.cli.confirming import Confirming
from agent.cli.countdown import Countdown
from agent.cli.crossing import Crossings
from agent.cli.exits import Exit
from agent.cli.holding import Holding
from agent.cli.lines import problem_text
from agent.cli.live import Live
from agent.cli.notifying import Notifying
from agent.cli.screen import Keys, Screen, typed
from agent.cli.styled import Line, marked
from agent.config import require_model
from agent.core.errors import GloveboxError, UserError
from agent.core.events import Record, Steered, TurnFinished, TurnStarted, problem_of
from agent.core.text import terminal_safe
from agent.host import env, terminal
from agent.session.session import Session
from agent.session.status import Status

if TYPE_CHECKING:
    from agent.cli.markdown import Markdown

HISTORY = "history"
_AGAIN = "Ctrl-C again, or Ctrl-D, leaves"


class Repl:
    """One session and the screen it is shown on."""

    def __init__(self, options: Options, *, join: bool = False) -> None:
        """With `join` the session is gone along with first, if another process runs it."""
        self._options = options
        self._join = join
        self._beside: Beside | None = None
        # Lines get a reply as the model wrote it.
        self._live = Live(_markdown if options.settings.markdown and _drawn() else None)
        self._countdown = Countdown(self._wait)
        self._crossings = Crossings(self._cross)
        self._asking = Asking(self._tell_model)
        self._holding = Holding(lambda take: self._submit("/take" if take else "/ignore"))
        self._confirming = Confirming(lambda: self.show([]))
        self._notifying = Notifying(options.settings.notify, self._warn)
        self._inbox: asyncio.Queue[str] = asyncio.Queue()
        self._unheard = ""  # what was meant for a turn that was over; it comes before the inbox
        self._open: Session | None = None
        self._other: Session | Beside | None = None  # where the person goes next
        self._stop: Callable[[], None] | None = None
        self._leaving = False
        self._hint = ""
        self._paths: Sequence[str] = ()
        self._looking: asyncio.Task[None] | None = None
        self._worker: asyncio.Task[None] | None = None
        self._asides: list[asyncio.Task[None]] = []  # commands beside a turn
        self._screen: Screen

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
        self._screen = self._choose_screen()
        self._listen()
        self.show(marked(f"· glovebox {__version__}; /help lists the commands"))
        self._worker = asyncio.create_task(self._work())
        self._worker.add_done_callback(lambda _: self._screen.stop())
        try:
            await self._screen.run()
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
        self._countdown.end()
        if self._looking is not None:
            self._looking.cancel()
        if isinstance(self._other, Session):
            await self._other.close()
        if self._open is not None:
            await self._open.close()
            self.show(_farewell(self._open))
        if self._beside is not None:
            number = self._beside.number
            self.show(marked(f"· session {number} runs on; `glovebox attach {number}` joins it"))
        for task in tasks:
            if not task.cancelled():
                task.result()

    def show(self, lines: Sequence[Line]) -> None:
        """Add to the transcript."""
        asked = [*self._holding.area(), *self._asking.area(), *self._crossings.area()]
        asked += self._confirming.area()
        self._screen.update(lines, [*self._live.area(), *asked])

    async def follow(self, records: AsyncGenerator[Record]) -> None:
        """Show records as they come."""
        async for record in records:
            if isinstance(record.event, TurnStarted) and self._beside is not None:
                self.show(typed(record.event.message.text))  # not at this terminal
            if isinstance(record.event, TurnFinished):
                self._hint = ""
            self._countdown.apply(record.event)
            self._crossings.apply(record.event)
            self._asking.apply(record.event)
            self._holding.apply(record.event)
            self._notifying.apply(record.event)
            self.show(self._live.apply(record.event))
            if isinstance(record.event, Steered):
                self._hint = ""
                self.show(typed(record.event.message.text))

    def _wait(self, seconds: int) -> None:
        self._live.waits = seconds
        self.show([])

    def leave(self) -> None:
        """End after what is running, which is interrupted."""
        self._leaving = True
        self._confirming.decline()
        if self._stop is not None:
            self._stop()
        if self._open is None and self._worker is not None:
            self._worker.cancel()
        elif self._open is not None:
            self._open.interrupt()
        self._inbox.put_nowait("")

    async def _go_along(self, beside: Beside, options: Options) -> Session:
        """Show what another process does with a session until it lets go of it; then it is ours."""
        self._beside, self._open = beside, None
        await self.follow(beside.records())
        if errand := beside.errand:
            self._inbox.put_nowait(errand)
        self._beside = None
        return await open_session(replace(options, resume=str(beside.number)))

    async def _work(self) -> None:
        options = replace(self._options, asks=True)
        if self._join:
            beside = await Beside.of(options.directory, options.resume or "")
            session = await self._go_along(beside, options)
        else:
            session = await open_session(options)
        self._open = session
        while other := await self._converse(session):
            await session.close()
            self.show(_farewell(session))
            self._other = None
            if isinstance(other, Beside):
                other = await self._go_along(other, self.options)
            self._open = session = other

    async def _converse(self, session: Session) -> Session | Beside | None:
        """Be in a session until the person leaves it; where they go, None at the end."""
        self.show(marked(f"· session {session.number}: work arrives on {session.branch}"))
        ready = asyncio.create_task(self._await_sandbox(session))
        self._look(session)
        try:
            if session.state.behind:
                await self.follow(session.sync())
            while self._other is None and (text := await self._next(session)):
                await self._obey(text)
        finally:
            ready.cancel()
            await asyncio.wait({ready})
        return self._other

    async def change(self, begin: Callable[[Options], Awaitable[Session]]) -> None:
        """Go on in the session that `begin` opens; the one here is closed and kept."""
        other = await begin(self.options)
        self._other = other
        with contextlib.suppress(GloveboxError):  # whoever needs the sandbox is told
            await other.enter()  # a copy of a sandbox is made while that one is there

    def edit(self) -> None:
        """Have the person's own editor write what is typed next."""
        if not self._screen.edit():
            raise UserError("no editor can be opened here", "`-m` and `--message-file` send texts")

    async def attach(self, wanted: str) -> None:
        """Go along with session `wanted`, which another process may run; this one is kept."""
        self._other = await Beside.of(self._options.directory, wanted)

    async def confirm(self, question: str) -> bool:
        """Whether the person agrees."""
        return not self._leaving and await self._confirming.ask(question)

    @contextlib.contextmanager
    def until(self, stop: Callable[[], None]) -> Generator[None]:
        """Have `stop` called when the person interrupts what is done within, or leaves."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None
            self._tell("")

    async def _await_sandbox(self, session: Session) -> None:
        """Say early that there will be no sandbox; a turn that needs it would say so, later."""
        try:
            await session.enter()
            await asyncio.to_thread(_warm)
        except GloveboxError as error:
            if not session.busy:
                self._complain(error)

    async def _files(self) -> Sequence[str]:
        """The files inside, for whoever mentions one."""
        if self._looking is not None and not self._paths:
            await asyncio.wait({self._looking})
        return self._paths

    async def _offers(self, name: str) -> Sequence[tuple[str, str]]:
        """What may stand after a command, once there is a session."""
        command = next((c for c in COMMANDS if name in c.names), None)
        if command is None or command.offers is None or self._open is None:
            return ()
        with contextlib.suppress(GloveboxError):  # whoever runs it is told
            return await command.offers(self)
        return ()

    def _look(self, session: Session) -> None:
        """Learn what files there are now."""

        async def look() -> None:
            with contextlib.suppress(GloveboxError):  # without the list nothing is completed
                self._paths = await session.paths()

        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(look())

    async def _next(self, session: Session) -> str:
        """The next thing typed, "" at the end; what happens meanwhile is shown."""
        watching = asyncio.create_task(self.follow(session.between()))
        try:
            text = await self._typed(session)
            return "" if self._leaving else text
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def _typed(self, session: Session) -> str:
        """The next line; the sandbox is stopped when it does not come for long."""
        seconds = 60 * self._options.settings.idle or None
        if self._unheard:
            text, self._unheard = self._unheard, ""
            return text
        while True:
            try:
                async with asyncio.timeout(seconds):
                    return await self._inbox.get()
            except TimeoutError:
                if await session.rest():
                    self.show(marked("· the sandbox rests; your next message wakes it"))

    async def _obey(self, text: str) -> None:
        here = self._open
        try:
            await self._do(text)
        finally:
            self._unheard = "\n\n".join(here.unheard()) if here else ""

    async def _do(self, text: str) -> None:
        self._hint = ""
        self.show(typed(text))
        try:
            command = parse(text)
            if command is not None:
                await command.run(self)
            else:
                await self.follow(self.session.send(text))
                self._look(self.session)
        except GloveboxError as error:
            self._complain(error)

    def _warn(self, text: str) -> None:
        self.show(marked(f"! {terminal_safe(text)}"))

    def _complain(self, error: GloveboxError) -> None:
        self.show(marked(f"✗ {problem_text(problem_of(error))}"))

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._signalled)
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.leave)

    def _choose_screen(self) -> Screen:
        keys = Keys(
            submit=self._submit,
            interrupt=self._interrupt,
            leave=self.leave,
            changed=self._changed,
            answer=self._answer,
            badge=lambda: badge(self._status(), self._hint),
            commands=[(name, c.about) for c in COMMANDS for name in c.names],
            offers=self._offers,
            paths=self._files,
        )
        if not _drawn():
            from agent.cli.plain import Plain

            return Plain(keys)
        from agent.cli.prompt import Prompt

        vi = self._options.settings.vi or env.variable("EDITING_MODE") == "vi"
        history = env.state_dir() / HISTORY
        return Prompt(keys, history, colours=terminal.has_colours(), vi=vi)

    def _answer(self, key: str) -> bool:
        if self._crossings.asking:  # It chose its moment: no key may mean both.
            return self._crossings.press(key)
        pressed = self._confirming.press(key) or self._asking.press(key)
        return pressed or self._holding.press(key)

    def _status(self) -> Status | None:
        there = self._beside or self._open
        return there.status() if there else None

    def _cross(self, identity: str, allow: bool, remember: bool) -> None:
        there = self._beside or self.session
        there.answer_egress(identity, allow=allow, remember=remember)
        self.show([])

    def _tell_model(self, identity: str, chosen: Sequence[str], words: str) -> None:
        there = self._beside or self.session
        there.answer_user(identity, chosen=chosen, text=words)
        self.show([])

    def _submit(self, text: str) -> None:
        if self._asking.say(text) or self._confirming.press(text):
            return
        if self._beside is not None and text.strip() in ("/quit", "/exit"):
            self.leave()
            return
        if self._steer(text):
            self._tell("the model reads it next")
            return
        if self._open is not None and self._open.busy and at_once(text):
            self._asides = [task for task in self._asides if not task.done() or task.exception()]
            self._asides.append(asyncio.create_task(self._do(text)))
            return
        self._inbox.put_nowait(text)
        busy = bool(self._beside or self._stop or (self._open and self._open.busy))
        self._tell(f"{self._inbox.qsize()} waiting" if busy else "")

    def _steer(self, text: str) -> bool:
        """Whether the model gets it while it works: a message with nothing that waits before it."""
        if self._beside or self._open is None or is_command(text) or not self._inbox.empty():
            return False
        return self._open.steer(text)

    def _signalled(self) -> None:
        """A signal that the terminal sends to all who use it may be for another program there."""
        if not self._screen.lent:
            self._interrupt(False)

    def _interrupt(self, typing: bool) -> bool:
        """Ctrl-C: the turn if there is one, else the line, else the first of two to leave."""
        if self._confirming.decline():
            return typing
        if self._stop is not None:
            self._stop()
            self._tell("interrupting")
            return False
        there = self._beside or (self._open if self._open and self._open.interruptible else None)
        if there is not None:
            there.interrupt()
            self._tell("interrupting")
            return False  # What is being typed may be why.
        if self._hint == _AGAIN and not typing:
            self.leave()
        else:
            self._tell("" if typing else _AGAIN)
        return typing

    def _changed(self) -> None:
        self._hint = ""

    def _tell(self, hint: str) -> None:
        """A word beside the badge, until the next key or event replaces it."""
        self._hint = hint
        self.show([])


def _warm() -> None:
    """Load what the first reply would wait for."""
    from agent.cli.highlight import warm

    warm()


def _drawn() -> bool:
    """Whether the terminal can be drawn on; else it gets lines."""
    return env.interactive() and terminal.can_redraw(terminal.STDOUT)


def _markdown() -> Markdown:
    from agent.cli.markdown import Markdown

    return Markdown(lambda: terminal.size()[1] - 1, colours=terminal.has_colours())


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
