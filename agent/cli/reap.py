"""`glovebox reap` and `glovebox rm`: what is to go, and what went."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from agent import upkeep
from agent.cli.exits import Exit
from agent.cli.person import Person
from agent.core.errors import GloveboxError
from agent.core.text import terminal_safe

LATER_SECONDS, AT_MOST_SECONDS = 2.0, 30.0


async def run(*, dry: bool) -> Exit:
    """Remove what crashes left, or only say what it is."""
    found = await upkeep.reap(dry=dry)
    verb = "would remove" if dry else "removed"
    for left in found:
        if left.problem:
            print(terminal_safe(f"! {left.kind} {left.what}: {left.problem}"), file=sys.stderr)
        else:
            print(terminal_safe(f"{verb} {left.kind} {left.what}"))
    if not found:
        print("nothing was left behind")
    return Exit.SANDBOX if any(left.problem for left in found) else Exit.DONE


async def remove(
    directory: Path, wanted: str, person: Person, *, force: bool, rescue: bool
) -> Exit:
    """Remove one session."""
    gone = await upkeep.remove(directory, wanted, force=force, rescue=rescue)
    person.answer(f"✓ session {gone.number} and its sandbox are removed")
    if gone.branch:
        person.answer(f"· the branch {gone.branch} stays; `git branch -D` removes it")
    if gone.bundle is not None:
        person.answer(f"! what was not on it is in {gone.bundle}")
        person.answer(
            "    look at it with `git bundle verify`, take it with `git fetch`; nobody checked it"
        )
    return Exit.DONE


@contextlib.asynccontextmanager
async def in_the_background() -> AsyncGenerator[None]:
    """Reap while something else goes on: not at once, not for long, and silently."""

    async def reap() -> None:
        await asyncio.sleep(LATER_SECONDS)
        with contextlib.suppress(GloveboxError, OSError, TimeoutError):
            async with asyncio.timeout(AT_MOST_SECONDS):
                await upkeep.reap()

    task = asyncio.create_task(reap(), name="reap")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
