"""Whether there is a container engine here, and sandboxes in it that are gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import subprocess
from collections.abc import AsyncGenerator, Generator, Iterable
from dataclasses import replace

import pytest

from agent.host import files, system
from agent.sandbox.docker import removal
from agent.sandbox.docker.backend import DockerBackend, DockerSandbox
from agent.sandbox.docker.engine import ENGINES, PLACES, Engine
from agent.sandbox.protocol import SandboxSpec
from tests.docker import ABSENT
from tests.docker.image import NoImage, image
from tests.sandbox_fixtures import new_spec

OWNER = f"test{secrets.token_hex(8)}"
ENGINE = os.environ.get("GB_ENGINE", "")
"""Which engine the tests take; the first that is found otherwise."""


@functools.cache
def program() -> str:
    """The engine's program; skips the test, loudly, where there is none that answers."""
    names = (ENGINE,) if ENGINE else ENGINES
    found = next((p for p in (system.find_program(n, PLACES) for n in names) if p), "")
    if not found:
        return _without("none is installed")
    try:
        done = subprocess.run([found, "info"], capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return _without(f"`{found} info` does not answer")
    if done.returncode or "Cannot connect" in done.stdout + done.stderr:
        return _without(f"`{found} info`: {done.stderr.strip()[:200]}")
    return found


def _without(why: str) -> str:
    if os.environ.get("GB_NEEDS_ENGINE"):
        pytest.fail(f"{ABSENT} although there must be one: {why}")
    pytest.skip(f"{ABSENT}: {why}")


def docker_spec() -> SandboxSpec:
    """A spec with a session name that nobody else uses and the image of the tests."""
    try:
        made = image(program())
    except NoImage as error:
        pytest.skip(f"{ABSENT} with an image: {error}")
    labels = {"glovebox.owner": OWNER}
    return replace(new_spec(), image=made, engine=ENGINE, labels=labels)


def run(*arguments: str) -> str:
    """What a command of the engine prints."""
    argv = [program(), *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout


def remove(name: str) -> None:
    """Have a container and its volumes gone, also one that is still in the making or going."""
    engine = Engine("podman" if program().endswith("podman") else "docker", program())
    asyncio.run(removal.remove(engine, name))


def left(sessions: Iterable[str]) -> list[str]:
    """The containers that there are of these sessions, those that only prepare one included."""
    words = {session for session in sessions if session}
    listed = run("ps", "--all", "--format", "{{.Names}}", "--filter", "name=glovebox-")
    return [name for name in listed.split() if name.split("-")[1] in words]


@contextlib.contextmanager
def docker_backend() -> Generator[DockerBackend]:
    """A backend whose containers are gone afterwards; whatever else runs beside it is not asked."""
    with files.temporary_dir("gbd-") as root:
        backend = DockerBackend(root)
        yield backend
        assert [path for path in root.rglob("*") if path.name != "docker.net"] == []
    assert left(made_by(backend)) == []


def made_by(backend: DockerBackend) -> set[str]:
    """The sessions that a backend has had to do with, whether or not it got to make anything."""
    return {ref.partition(":")[2] for ref in backend._used}


@contextlib.asynccontextmanager
async def docker_sandbox() -> AsyncGenerator[DockerSandbox]:
    """One running container."""
    with docker_backend() as backend:
        sandbox = await backend.create(docker_spec())
        try:
            yield sandbox
        finally:
            await backend.destroy(sandbox.ref)
