"""`glovebox mirror`: the sync engine alone. The branch is on stdout, all else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from agent import mirrors
from agent.cli.exits import Exit, exit_of
from agent.cli.lines import problem_text, synced
from agent.core.events import SyncFinished
from agent.core.text import terminal_safe
from agent.mirrors import Place


async def seed(directory: Path, name: str, place: Place, branch: str) -> Exit:
    """Put the repository into a sandbox."""
    done = await mirrors.seed(directory, name, place, branch=branch)
    _say(f"✓ the sandbox stands at {done.tip[:10]}")
    for left in done.left_out:
        _say(f"! left out: {left}")
    return Exit.DONE


async def sync(directory: Path, name: str, place: Place, message: str) -> Exit:
    """Bring home what changed in a sandbox."""
    return _finished(await mirrors.bring(directory, name, place, message=message))


async def status(directory: Path, name: str, place: Place) -> Exit:
    """Say where the work is."""
    standing, branch = await mirrors.standing(directory, name, place)
    print(terminal_safe(str(standing)))
    _say(f"· branch {branch}")
    return Exit.DONE if standing.state == "synced" else Exit.SYNC


async def remove(directory: Path, name: str, place: Place, *, force: bool) -> Exit:
    """Forget a mirror."""
    branch, bundle = await mirrors.remove(directory, name, place, force=force)
    _say(f"✓ the mirror {name} is forgotten; its branch {branch} is yours")
    if bundle is not None:
        _say(f"! what was on no branch is in {bundle}; nobody checked it")
    return Exit.DONE


ACTIONS: Mapping[str, Callable[..., Coroutine[Any, Any, Exit]]] = {
    "seed": seed,
    "sync": sync,
    "status": status,
    "rm": remove,
}


async def take(directory: Path, bundle: Path, base: str, branch: str) -> Exit:
    """Take a bundle in."""
    return _finished(await mirrors.take(directory, bundle, base=base, branch=branch))


def _finished(done: SyncFinished) -> Exit:
    if done.problem is not None:
        _say(f"✗ {problem_text(done.problem)}")
        return exit_of(done.problem)
    _say(synced(done))
    for note in done.notes:
        _say(f"! {note}")
    if done.branch:
        print(terminal_safe(done.branch))
    return Exit.DONE


def _say(text: str) -> None:
    print(terminal_safe(text), file=sys.stderr)
