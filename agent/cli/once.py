"""One message, one turn, one exit code. The answer on stdout, the progress on stderr."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable

from agent.app import Options, open_session
from agent.cli.exits import Exit, exit_of, exit_of_turn
from agent.cli.lines import cost_text, line_of, problem_text
from agent.core.errors import GloveboxError
from agent.core.events import (
    RECORD_VERSION,
    CallOutput,
    Problem,
    Record,
    Result,
    SyncFinished,
    TurnFinished,
    problem_of,
)
from agent.core.messages import Usage
from agent.core.text import terminal_safe
from agent.session.journal import encode
from agent.session.session import Session


class Once:
    """A run and what is known of it; `json` prints every record, `quiet` only the answer."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self._json = json
        self._quiet = quiet
        self._session: Session | None = None
        self._finished: TurnFinished | None = None
        self._synced: SyncFinished | None = None
        self._last = Record(RECORD_VERSION, 0, 0.0, 0, TurnFinished("failed", Usage(), 0))

    async def run(self, text: str, options: Callable[[], Options]) -> Exit:
        """Run the turn and print how it ended, in every case: also when `options` cannot be had."""
        try:
            code, problem = await self._turn(text, options())
        except GloveboxError as error:
            problem = problem_of(error)
            code = exit_of(problem)
        self._print_result(code, problem)
        return code

    async def _turn(self, text: str, options: Options) -> tuple[Exit, Problem | None]:
        session = await open_session(options)
        self._session = session
        self._stop_on_signals(session)
        try:
            if session.state.behind:
                async for record in session.sync():
                    self._show(record)
            async for record in session.send(text):
                self._show(record)
        finally:
            await session.close()
        assert self._finished is not None
        problem = self._finished.problem
        unsynced = self._synced.problem if self._synced else None
        code = exit_of_turn(self._finished.outcome, problem, unsynced)
        return code, problem or unsynced

    def _stop_on_signals(self, session: Session) -> None:
        """The first signal ends the turn and brings the work home; a second one ends us."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            session.interrupt()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)

    def _show(self, record: Record) -> None:
        self._last = record
        if isinstance(record.event, TurnFinished):
            self._finished = record.event
        if isinstance(record.event, SyncFinished):
            self._synced = record.event
        if self._json:
            self._print_record(record)
        elif not self._quiet and not isinstance(record.event, CallOutput):
            line = line_of(record.event)
            if line is not None:
                print(line, file=sys.stderr, flush=True)

    def _print_record(self, record: Record) -> None:
        sys.stdout.write(encode(record).decode())
        sys.stdout.flush()

    def _print_result(self, code: Exit, problem: Problem | None) -> None:
        session = self._session
        usage = session.state.spent if session else Usage()
        if self._json:
            result = Result(
                exit_code=int(code),
                text=session.last_text if session else "",
                session=session.id if session else "",
                number=session.number if session else 0,
                branch=self._synced.branch if self._synced else "",
                commit=self._synced.commit if self._synced else "",
                usage=usage,
                problem=problem,
            )
            seq, turn = self._last.seq + 1, self._last.turn
            self._print_record(Record(RECORD_VERSION, seq, round(time.time(), 3), turn, result))
            return
        if session is not None and session.last_text:
            print(terminal_safe(session.last_text), flush=True)
        if problem is not None and (self._quiet or self._finished is None):
            print(f"glovebox: {problem_text(problem)}", file=sys.stderr)
        if session is not None and not self._quiet:
            print(f"· session {session.number}: {cost_text(usage)}", file=sys.stderr)
