"""Run what a command does, and end the process when it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from agent.app import shutdown
from agent.cli.exits import Exit
from agent.core.limits import LEAVE_SECONDS
from agent.host import ending, process


def run_job(job: Coroutine[Any, Any, int], *, tidy: bool = False) -> int:
    """The exit code of `job`; with `tidy` what crashes left behind is removed meanwhile."""

    async def whole() -> int:
        with process.spare_threads():
            try:
                if not tidy:
                    return await job
                from agent.cli.reap import in_the_background

                async with in_the_background():
                    return await job
            finally:
                await shutdown()

    code: int = Exit.INTERRUPTED
    # What is left after the job is of no use to anybody: a thread, a connection that does not end.
    watchdog = ending.Watchdog(lambda: ending.leave(code))

    async def watched() -> None:
        nonlocal code
        code = Exit.OURS  # should the job raise
        try:
            code = await whole()
        finally:
            watchdog.watch(LEAVE_SECONDS)

    try:
        asyncio.run(watched())
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    finally:
        watchdog.call_off()
    return code
