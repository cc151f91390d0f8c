"""Containers that are to stop or to go: asked for again while the engine is busy with them.

An engine takes a container's mounts apart while others look at them: a copy under way that was cut
off, a program that has just ended, a second removal. It answers with an error then, leaves the
container "dead" and does better a moment later (moby/moby issues 24232, 30392, 37698, 51845).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from agent.core.errors import SandboxError
from agent.sandbox.docker.engine import Engine

START = "glovebox.start"
"""Carries a word that one `create` made up, to find what it left when it failed."""

PAUSES_SECONDS: Sequence[float] = tuple(0.1 * 2**n for n in range(8))
"""Between one try and the next; some 25 seconds in all."""

_ABSENT = ("no such container", "no container with")
_STOPPED = (*_ABSENT, "not running", "can only kill running")
# What docker and podman say of a container that will go in a moment.
_BUSY = (
    *("root filesystem", "remove filesystem", "resource busy", "directory not empty"),
    *("in progress", "removalinprogress", "being removed", "improper state", "state improper"),
    *("receive an exit event", "kill running container", "could not be stopped"),
    *("not running", "is running", "container is mounted", "in use by a container"),
)


async def remove(engine: Engine, name: str) -> None:
    """Have a container and its volumes gone. Raises `SandboxError` when it will not go."""
    said = await _until(engine, ("rm", "--force", "--volumes", name), _ABSENT)
    if said:
        raise SandboxError(
            f"the container `{name}` cannot be removed: {said}",
            f"`{engine.name} rm --force --volumes {name}` removes it once the engine lets go of it",
        )


async def kill(engine: Engine, name: str) -> None:
    """Have nothing run in a container. Raises `SandboxError` when something goes on."""
    said = await _until(engine, ("kill", name), _STOPPED)
    if said:
        raise SandboxError(f"the container `{name}` cannot be stopped: {said}")


async def remove_started(engine: Engine, token: str) -> None:
    """Have everything gone that one `create` has made. Raises `SandboxError`."""
    filters = ("--filter", f"label={START}={token}")
    listed = await engine.run("ps", "--all", "--quiet", *filters)
    for container in listed.text.split():
        await remove(engine, container)


def going(known: Mapping[str, Any]) -> bool:
    """Whether what the engine knows of a container is that it is on its way out for good."""
    state: dict[str, Any] = known.get("State") or {}
    return bool(state.get("Dead")) or state.get("Status") in ("dead", "removing")


async def _until(engine: Engine, command: tuple[str, ...], over: tuple[str, ...]) -> str:
    """Run a command until it succeeds or has nothing left to do; what the engine said if not."""
    for pause in (*PAUSES_SECONDS, None):
        done = await engine.run(*command)
        said = done.problem.lower()
        if not done.exit_code or any(sign in said for sign in over):
            return ""
        if pause is None or not any(sign in said for sign in _BUSY):
            return done.problem or f"`{command[0]}` ended with exit code {done.exit_code}"
        await asyncio.sleep(pause)
    raise AssertionError("the last try has no pause")
