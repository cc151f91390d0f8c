"""Whether there is a container engine here, and sandboxes in it that are gone afterwards."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace

import pytest

from agent.host import files, system
from agent.sandbox.docker.backend import DockerBackend, DockerSandbox
from agent.sandbox.docker.engine import ENGINES, PLACES
from agent.sandbox.protocol import SandboxSpec
from tests.docker import ABSENT
from tests.docker.image import NoImage, image
from tests.sandbox_fixtures import new_spec

OWNER = f"test{os.getpid()}"
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


def left() -> list[str]:
    """The containers of this test process."""
    listed = run("ps", "-aq", "--filter", f"label=glovebox.owner={OWNER}")
    return listed.split()


@contextlib.contextmanager
def docker_backend() -> Generator[DockerBackend]:
    """A backend whose containers are gone afterwards."""
    before = set(left())
    with files.temporary_dir("gbd-") as root:
        yield DockerBackend(root)
        assert [path for path in root.rglob("*") if path.name != "docker.net"] == []
    assert set(left()) <= before


@contextlib.asynccontextmanager
async def docker_sandbox() -> AsyncGenerator[DockerSandbox]:
    """One running container."""
    with docker_backend() as backend:
        sandbox = await backend.create(docker_spec())
        try:
            yield sandbox
        finally:
            await backend.destroy(sandbox.ref)
