"""`glovebox shell`: a shell or one command in a session's sandbox; no model is needed.

A command's stdin, stdout, stderr and exit code are the program's own, byte for byte; whatever we
have to say goes to stderr, and only where a person sees it or something went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import signal
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from agent.app import Options, open_session
from agent.cli.exits import Exit, exit_of
from agent.cli.lines import line_of, problem_text
from agent.core.events import AnyEvent, Notice, Problem, SyncFinished
from agent.core.text import one_line
from agent.host import env, terminal
from agent.sandbox.protocol import Program, Size
from agent.session.session import Session

SHELL = ("sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash || exec sh")
BROKEN_PIPE = 128 + signal.SIGPIPE
_TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,40}")
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True, slots=True)
class Shell:
    """One visit. Without a command it is a shell; `tty` gives a command a terminal of its own."""

    command: tuple[str, ...]
    tty: bool = False

    async def run(self, options: Options) -> int:
        """Run it; its exit code, or ours where its work or the sandbox is lost."""
        session = await open_session(options)
        try:
            code = await self._visit(session)
            problem = await self._bring_home(session)
        finally:
            await session.close()
        if problem is not None:
            print(f"glovebox: {problem_text(problem)}", file=sys.stderr)
            return code or exit_of(problem)
        return code

    async def _visit(self, session: Session) -> int:
        argv = self.command or SHELL
        self._say(f"· session {session.number}; work arrives on {session.branch} at the end")
        place = await session.visit(one_line(shlex.join(argv), 200))
        interactive = self._interactive
        stop = _Stop()
        try:
            async with place.sandbox.interact(
                argv,
                env=_environment() if interactive else {},
                terminal=Size(*terminal.size()) if interactive else None,
            ) as program:
                with stop.signals_for(program):
                    code = await (_in_terminal(program) if interactive else _in_pipes(program))
        except asyncio.CancelledError:
            return stop.taken()
        return code if code >= 0 else 128 - code

    @property
    def _interactive(self) -> bool:
        ours = terminal.is_terminal(terminal.STDIN) and terminal.is_terminal(terminal.STDOUT)
        return ours and (self.tty or not self.command)

    async def _bring_home(self, session: Session) -> Problem | None:
        problem = None
        about = f"Work of {one_line(shlex.join(self.command), 50)}" if self.command else ""
        async for record in session.sync(about or "Work in a shell"):
            if isinstance(record.event, SyncFinished):
                problem = record.event.problem
            self._tell(record.event)
        return problem

    def _tell(self, event: AnyEvent) -> None:
        if isinstance(event, Notice | SyncFinished) and (line := line_of(event)) is not None:
            self._say(line)

    def _say(self, line: str) -> None:
        if terminal.is_terminal(terminal.STDERR):
            print(line, file=sys.stderr, flush=True)


def _environment() -> Mapping[str, str]:
    """What a program must know of the terminal it shows itself on, and nothing else."""
    name = env.variable("TERM", "dumb")
    return {"TERM": name} if _TERM.fullmatch(name) else {"TERM": "dumb"}


async def _in_pipes(program: Program) -> int:
    with terminal.Input() as stdin:
        feeding = asyncio.create_task(_feed(program, stdin))
        try:
            async for stream, piece in program.output():
                out = terminal.STDOUT if stream == "stdout" else terminal.STDERR
                await terminal.write(out, piece)
        except BrokenPipeError:
            return BROKEN_PIPE
        finally:
            await _over(feeding)
    return _code(program)


async def _in_terminal(program: Program) -> int:
    loop = asyncio.get_running_loop()
    sizes = asyncio.Event()
    loop.add_signal_handler(signal.SIGWINCH, sizes.set)
    try:
        with terminal.Input() as stdin, terminal.raw():
            tasks = (
                asyncio.create_task(_feed(program, stdin)),
                asyncio.create_task(_follow_size(program, sizes)),
            )
            try:
                async for _, piece in program.output():
                    await terminal.write(terminal.STDOUT, piece)
            finally:
                for task in tasks:
                    await _over(task)
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
    return _code(program)


def _code(program: Program) -> int:
    return int(Exit.OURS) if program.exit_code is None else program.exit_code


async def _feed(program: Program, stdin: terminal.Input) -> None:
    while piece := await stdin.read():
        await program.send(piece)
    await program.end()


async def _follow_size(program: Program, changed: asyncio.Event) -> None:
    while True:
        await changed.wait()
        changed.clear()
        await program.resize(Size(*terminal.size()))


async def _over(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


class _Stop:
    """Signals for us are meant for the program; a second one to end ends our visit as well."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._ends: list[int] = []
        self._sending: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def signals_for(self, program: Program) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in _FORWARDED:
            loop.add_signal_handler(number, self._forward, program, number)
        try:
            yield
        finally:
            for number in _FORWARDED:
                loop.remove_signal_handler(number)

    def _forward(self, program: Program, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGHUP):
            self._ends.append(number)
            if len(self._ends) == 2 and self._task is not None:
                self._task.cancel()
                return
        task = asyncio.ensure_future(program.signal(number))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def taken(self) -> int:
        """The exit code when it was we who cancelled; raises CancelledError when it was not."""
        if len(self._ends) < 2 or self._task is None or self._task.uncancel():
            raise asyncio.CancelledError
        return 128 + self._ends[0]


def session_and_command(words: Sequence[str], *, new: bool) -> tuple[str | None, tuple[str, ...]]:
    """What `shell [N] [-- CMD…]` was given; the session is None for a new one."""
    if new:
        return None, tuple(words)
    return (words[0] if words else ""), tuple(words[1:])
