"""One message, one exit code, and one result in every case.

The answer goes to stdout, the progress to stderr; with `json` stdout has every record, the last of
which is the result. docs/headless.md says what scripts may rely on.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import traceback
from collections.abc import Callable

from agent.app import Options, open_session
from agent.cli.countdown import Countdown, waiting
from agent.cli.exits import Exit, exit_of, exit_of_turn, failed
from agent.cli.lines import cost_text, line_of, problem_text
from agent.cli.stopping import stopping
from agent.core.errors import GloveboxError
from agent.core.events import (
    RECORD_VERSION,
    CallOutput,
    Checked,
    Problem,
    Record,
    Result,
    SyncFinished,
    SyncStarted,
    TurnFinished,
    TurnStarted,
    problem_of,
)
from agent.core.limits import CLOSE_SECONDS, STOP_SECONDS, SYNC_SECONDS
from agent.core.messages import Usage
from agent.core.text import terminal_safe
from agent.host import ending, terminal, trouble
from agent.host.printing import Printer
from agent.session.journal import encode
from agent.session.session import Session

_GRACE_SECONDS = 30.0
_TELL_SECONDS = 10.0  # until somebody who reads nothing is given up
_CLEAR_LINE = "\r\x1b[K"


class Once:
    """A run and what is known of it; `json` prints every record, `quiet` only the answer."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self._json = json
        self._quiet = quiet
        self._session: Session | None = None
        self._finished: TurnFinished | None = None
        self._synced: SyncFinished | None = None
        self._checked: Checked | None = None
        self._last = Record(RECORD_VERSION, 0, 0.0, 0, TurnFinished("failed", Usage(), 0))
        self._spent = Usage()
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop
        self._out, self._err = Printer(sys.stdout, self._unheard), Printer(sys.stderr)
        self._result: dict[str, tuple[Exit, str, str]] = {}
        self._ticks = not (json or quiet) and terminal.can_redraw(terminal.STDERR)
        self._ticking = False
        self._countdown = Countdown(self._tick)
        self._watchdog = ending.Watchdog(self._bite)

    async def run(self, text: str, options: Callable[[], Options]) -> Exit:
        """Run the turn and print how it ended, in every case: also when `options` cannot be had."""
        self._loop = asyncio.get_running_loop()
        with stopping(self._stop, self._leave):
            try:
                code, problem = await self._turn(text, options())
            except GloveboxError as error:
                problem = problem_of(error)
                code = exit_of(problem)
            except Exception as error:  # noqa: BLE001 a result comes in every case
                problem = self._unforeseen(error)
                code = exit_of(problem)
            if self._stopped and code is not Exit.OURS:
                code = Exit.INTERRUPTED
            self._watchdog.call_off()
            return await self._tell_result(code, problem)

    def _unforeseen(self, error: Exception) -> Problem:
        if (refused := trouble.named(error)) is not None:
            return problem_of(refused)
        self._say(traceback.format_exc().rstrip())
        return Problem(
            type(error).__name__,
            f"glovebox itself failed: {error}",
            "this is a defect: please report it with what stands above",
        )

    async def _turn(self, text: str, options: Options) -> tuple[Exit, Problem | None]:
        session = await open_session(options)
        self._session = session
        try:
            if session.state.behind and not self._stopped:
                async for record in session.sync():
                    self._show(record)
            if not self._stopped:
                async for record in session.send(text):
                    self._show(record)
        finally:
            self._countdown.end()
            self._watchdog.watch(CLOSE_SECONDS + _GRACE_SECONDS)
            await session.close()
        if self._finished is None:
            return Exit.INTERRUPTED, None
        unsynced = self._synced.problem if self._synced else None
        problem = self._finished.problem or unsynced or failed(self._checked)
        code = exit_of_turn(self._finished.outcome, self._finished.problem, unsynced)
        if code is Exit.DONE and problem is not None:
            code = exit_of(problem)
        return code, problem

    def _stop(self) -> None:
        """The first signal, or a reader that went away: end the turn and bring the work home."""
        if not self._stopped:
            self._stopped = True
            self._watchdog.watch(STOP_SECONDS)
        if self._session is not None:
            self._session.interrupt()

    def _leave(self) -> None:
        """The second signal: end now. What is inside is kept there."""
        self._stopped = True
        self._end_at_once("stopped by a second signal")

    def _bite(self) -> None:
        """Something does not answer within its time."""
        self._end_at_once("something did not end in its time")

    def _end_at_once(self, why: str) -> None:
        session = self._session
        behind = session is not None and (session.state.behind or session.state.open)
        safe = "; the work that is not on the branch is safe inside" if behind else ""
        hint = f"`glovebox sync {session.number}` brings it home" if session and behind else ""
        code = Exit.INTERRUPTED if self._stopped or not behind else Exit.SYNC
        problem = Problem("Interrupted", f"{why}{safe}", hint)
        code, out, err = self._result_of(code, problem)
        self._out.end(out, _TELL_SECONDS)
        self._err.end(out if self._json and self._out.gone else err, _TELL_SECONDS)
        ending.leave(code)

    def _show(self, record: Record) -> None:
        self._last = record
        match record.event:
            case TurnStarted():
                self._finished = self._checked = None
                self._watchdog.call_off()
            case TurnFinished(usage=usage) as finished:
                self._finished = finished
                self._spent += usage
            case SyncStarted():
                self._watchdog.watch(SYNC_SECONDS + _GRACE_SECONDS)
            case SyncFinished() as synced:
                self._synced = synced
                self._watchdog.call_off()
            case Checked() as checked:
                self._checked = checked
            case _:
                pass
        if self._json:
            self._print_record(record)
        elif not self._quiet and not isinstance(record.event, CallOutput):
            line = line_of(record.event)
            if line is not None:
                self._say(line)
        if self._ticks:
            self._countdown.apply(record.event)

    def _print_record(self, record: Record) -> None:
        self._out.write(encode(record).decode())

    def _say(self, line: str) -> None:
        """To stderr; the work goes on when nobody reads that."""
        self._err.write(f"{_CLEAR_LINE if self._ticking else ''}{line}\n")
        self._ticking = False

    def _tick(self, seconds: int) -> None:
        """A line that the next one replaces."""
        if seconds or self._ticking:
            self._err.write(_CLEAR_LINE + (waiting(seconds) if seconds else ""))
        self._ticking = seconds > 0

    def _unheard(self) -> None:
        """Nobody reads stdout any more: a run that nobody hears is ended."""

        def stop() -> None:
            ending.drop_stdout()
            self._stop()

        with contextlib.suppress(RuntimeError):  # it is over
            self._loop.call_soon_threadsafe(stop)

    async def _tell_result(self, code: Exit, problem: Problem | None) -> Exit:
        """Print how it ended, and wait until it is read; the code that was told."""
        code, out, err = self._result_of(code, problem)
        if not self._json:  # the answer comes after the progress, where both go to one place
            await self._read(self._err)
        self._out.write(out, last=True)
        await self._read(self._out)
        self._err.write(out if self._json and self._out.gone else err, last=True)
        await self._read(self._err)
        return code

    async def _read(self, printer: Printer) -> None:
        """Wait until all of it is read, but not for who reads nothing while we are to end."""
        waiting = asyncio.create_task(printer.written())
        before = -1
        while not waiting.done():
            if self._stopped and printer.count == before:
                waiting.cancel()
                return
            before = printer.count
            await asyncio.wait({waiting}, timeout=_TELL_SECONDS)

    def _result_of(self, code: Exit, problem: Problem | None) -> tuple[Exit, str, str]:
        """What is told of how it ended, the first time.

        A signal or the watchdog may come while it is told, and end the process here as well: then
        all of them tell what the first one said.
        """
        return self._result.setdefault("", (code, *self._worded(code, problem)))

    def _worded(self, code: Exit, problem: Problem | None) -> tuple[str, str]:
        """The result, and what a person is told beside it."""
        session, spent = self._session, self._spent
        text = session.last_text if session is not None else ""
        if self._json:
            result = Result(
                exit_code=int(code),
                text=text,
                session=session.id if session else "",
                number=session.number if session else 0,
                branch=self._synced.branch if self._synced else "",
                commit=self._synced.commit if self._synced else "",
                usage=spent,
                problem=problem,
            )
            seq, turn = self._last.seq + 1, self._last.turn
            record = Record(RECORD_VERSION, seq, round(time.time(), 3), turn, result)
            return encode(record).decode(), ""
        said = [_CLEAR_LINE] if self._ticking else []
        shown = self._finished is not None and not self._quiet  # as it came, but for a check
        if problem is not None and (not shown or problem.kind in ("CheckFailed", "Interrupted")):
            said.append(f"glovebox: {problem_text(problem)}\n")
        if session is not None and not self._quiet:
            said.append(f"· session {session.number}: {cost_text(spent)}\n")
        return f"{terminal_safe(text)}\n" if text else "", "".join(said)


def result_of(problem: Problem, code: Exit) -> str:
    """The one record of a run that never began."""
    result = Result(exit_code=int(code), text="", problem=problem)
    return encode(Record(RECORD_VERSION, 0, round(time.time(), 3), 0, result)).decode()
