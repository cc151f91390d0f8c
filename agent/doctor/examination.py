"""`glovebox doctor`: every part of this machine that a session needs, tested on its own."""

from __future__ import annotations

from pathlib import Path

from agent.config import Settings
from agent.core.errors import HostError
from agent.doctor import local, machine, remote
from agent.doctor.report import Report
from agent.doctor.selftest import spec_of
from agent.host import env, system


async def examination(settings: Settings, state: Path | None = None) -> Report:
    """Run every check, one after the other: they must not compete for what they test."""
    root = env.sandbox_dir(state)
    kept = state or env.state_dir()
    sections = [await machine.section(kept, settings.model)]
    try:
        spec = spec_of(settings, kept)
    except HostError:
        pass  # no sandbox can be tried there; why is told with the state directory
    else:
        sections += [
            await local.section(spec, root),
            await remote.docker(spec, root),
            await remote.daytona(spec, root),
        ]
    return Report(system.os_release().get("PRETTY_NAME", "unknown system"), tuple(sections))
