"""`glovebox pull, undo, redo, sync`: one move between a session's sandbox and the repository."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable

from agent.app import Options, open_session
from agent.cli.exits import Exit, exit_of
from agent.cli.lines import line_of
from agent.core.events import Problem, Pulled, Record, SyncFinished
from agent.session.session import Session


async def move(options: Options, start: Callable[[Session], AsyncGenerator[Record]]) -> Exit:
    """Do it, and say what came of it; conflicts and failures have the exit code of a sync."""
    session = await open_session(options)
    problem: Problem | None = None
    conflicts = False
    try:
        async for record in start(session):
            event = record.event
            if line := line_of(event):
                failed = isinstance(event, SyncFinished) and event.problem is not None
                print(line, file=sys.stderr if failed else sys.stdout)
            if isinstance(event, SyncFinished):
                problem = event.problem
            if isinstance(event, Pulled):
                conflicts = bool(event.conflicts)
    finally:
        await session.close()
    if problem is not None:
        return exit_of(problem)
    return Exit.SYNC if conflicts else Exit.DONE
