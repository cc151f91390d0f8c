"""The self-test: try to get out of a real sandbox, and tell what happened.

An attempt that is not shown to succeed without the sandbox proves little, so each is made on this
machine as well wherever that does no harm. A sandbox in which nothing works holds everything, so
ordinary work is tried in it too.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from agent.config import Settings
from agent.core.text import one_line
from agent.doctor.catalogue import ATTEMPTS, CONTROLS, Attempt, Control
from agent.host import bait, env, files
from agent.host.owner import claim, owner_id
from agent.host.system import modules_of
from agent.sandbox.auto import AUTO, choose, with_policy
from agent.sandbox.protocol import Backend, Sandbox, SandboxSpec
from agent.sandbox.registry import open_backend

REMOTE = ("daytona",)
PROBE = "/tmp/glovebox-selftest/probe.py"
_SECONDS = 60.0

Outcome = Literal["held", "escaped", "broken", "skipped"]


class Tried(msgspec.Struct, frozen=True):
    """One attempt. `proved` is whether it succeeds without the sandbox, None when not tried."""

    area: str
    title: str
    outcome: Outcome
    evidence: str = ""
    proved: bool | None = None


class Worked(msgspec.Struct, frozen=True):
    """One piece of ordinary work; `evidence` is what was said instead of working."""

    title: str
    ok: bool
    evidence: str = ""


class Card(msgspec.Struct, frozen=True):
    """The score card."""

    backend: str
    network: str
    attempts: tuple[Tried, ...]
    controls: tuple[Worked, ...]
    visits: int

    @property
    def ok(self) -> bool:
        """Whether everything held, nobody came to our services, and the sandbox is of use."""
        bad = any(t.outcome in ("escaped", "broken") for t in self.attempts)
        return not bad and not self.visits and all(c.ok for c in self.controls)


async def selftest(settings: Settings, state: Path | None = None) -> Card:
    """Examine the sandboxes that these settings give. Raises `SandboxError` when there are none."""
    root = env.sandbox_dir(state)
    spec = spec_of(settings, state or env.state_dir())
    name = settings.sandbox
    if name == AUTO:
        name = (await choose(spec, root)).backend
    return await examine(open_backend(name, root), spec)


def spec_of(settings: Settings, state: Path) -> SandboxSpec:
    """A sandbox as sessions with these settings have it; its session is to be replaced."""
    return SandboxSpec(
        session="doctor",
        network=settings.network or "",  # the backend's usual one
        labels={"glovebox.owner": owner_id(state)},
        image=settings.image,
        engine=settings.engine,
    )


async def examine(backend: Backend, spec: SandboxSpec) -> Card:
    """Make sandboxes like `spec`, try everything, free them.

    Raises `SandboxError` when none can be made.
    """
    spec = with_policy(backend, spec)
    with bait.set_out() as out:
        async with _sandbox(backend, spec) as sandbox, _neighbour(backend, spec) as other:
            values = {**out.values, "other": other}
            await sandbox.put(PROBE, modules_of("attacks")["probe.py"])
            inside = [await _inside(sandbox, a, values) for a in _fitting(backend.name, spec)]
            controls = [await _works(sandbox, control) for control in CONTROLS]
        # Before we come ourselves.
        visits = out.visits
        tried = [await _proved(one, attempt, values) for attempt, one in inside]
    return Card(backend.name, spec.network, tuple(tried), tuple(controls), visits)


def _fitting(backend: str, spec: SandboxSpec) -> list[Attempt]:
    return [
        attempt
        for attempt in ATTEMPTS
        if (attempt.remote or backend not in REMOTE)
        and (not attempt.networks or spec.network in attempt.networks)
    ]


@asynccontextmanager
async def _sandbox(backend: Backend, spec: SandboxSpec) -> AsyncGenerator[Sandbox]:
    session = f"selftest{secrets.token_hex(8)}"
    with claim(session):
        labels = {**spec.labels, "glovebox.session": session}
        sandbox = await backend.create(replace(spec, session=session, labels=labels))
        try:
            yield sandbox
        finally:
            await backend.destroy(sandbox.ref)


@asynccontextmanager
async def _neighbour(backend: Backend, spec: SandboxSpec) -> AsyncGenerator[str]:
    """Another session's sandbox with a file in it: the file's name."""
    name = f"neighbour-{secrets.token_hex(8)}"
    if backend.name in REMOTE:  # it would be one more machine to pay for
        yield name
        return
    async with _sandbox(backend, spec) as sandbox:
        for folder in (sandbox.workdir, "/tmp"):
            await sandbox.put(f"{folder}/{name}", b"secret", mode=0o644)
        yield name


async def _inside(
    sandbox: Sandbox, attempt: Attempt, values: Mapping[str, str]
) -> tuple[Attempt, Tried]:
    words = _filled(attempt.inside, values)
    if words is None:
        why = "this machine has nothing of the kind"
        return attempt, Tried(attempt.area, attempt.title, "skipped", why)
    done = await sandbox.exec(["python3", "-I", PROBE, attempt.probe, *words], seconds=_SECONDS)
    said = done.output.decode("utf-8", "replace").strip()
    outcome: Outcome = "broken"
    evidence = one_line(said or f"exit code {done.exit_code}", 200)
    if done.exit_code == 0 and said == "SAFE":
        outcome, evidence = "held", ""
    elif said.startswith("ESCAPED:"):
        outcome, evidence = "escaped", one_line(said.removeprefix("ESCAPED:").strip(), 200)
    return attempt, Tried(attempt.area, attempt.title, outcome, evidence)


async def _proved(tried: Tried, attempt: Attempt, values: Mapping[str, str]) -> Tried:
    words = None if attempt.bare is None else _filled(attempt.bare, values)
    if words is None or tried.outcome == "skipped":
        return tried
    with files.temporary_dir(shared=True) as folder:
        program = folder / "probe.py"
        files.write_whole(program, modules_of("attacks")["probe.py"], mode=0o644)
        said = await bait.attempt(program, attempt.probe, *words)
    return msgspec.structs.replace(tried, proved=said.startswith("ESCAPED"))


async def _works(sandbox: Sandbox, control: Control) -> Worked:
    present = await sandbox.exec(["sh", "-c", 'command -v "$1"', "sh", control.needs])
    if present.exit_code != 0:
        return Worked(control.title, ok=False, evidence=f"there is no `{control.needs}` inside")
    done = await sandbox.exec(control.argv, seconds=_SECONDS)
    said = done.output.decode("utf-8", "replace").strip()
    if done.exit_code == 0 and said.endswith("works"):
        return Worked(control.title, ok=True)
    return Worked(control.title, ok=False, evidence=one_line(said[-500:], 200) or "no answer")


def _filled(words: tuple[str, ...], values: Mapping[str, str]) -> list[str] | None:
    try:
        return [word.format_map(values) for word in words]
    except KeyError:
        return None
