"""Every backend that sandboxes can be made with here, by name, for parametrised tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from agent.sandbox.local import LocalBackend
from agent.sandbox.protocol import Backend, Sandbox, SandboxSpec
from agent.testing.memory.backend import MemoryBackend
from tests.docker.engine import docker_backend, docker_spec
from tests.sandbox_fixtures import new_spec, sandbox_root

Result = TypeVar("Result")


@contextlib.contextmanager
def _local() -> Generator[Backend]:
    with sandbox_root() as root:
        yield LocalBackend(root)


@contextlib.contextmanager
def _memory() -> Generator[Backend]:
    backend = MemoryBackend()
    yield backend
    assert backend.machines == {}


@dataclass(frozen=True)
class Kind:
    """A backend for a test to use, and specs for it."""

    name: str
    backend: Callable[[], AbstractContextManager[Backend]]
    spec: Callable[[], SandboxSpec]

    @contextlib.asynccontextmanager
    async def sandbox(self) -> AsyncGenerator[Sandbox]:
        """One running sandbox."""
        with self.backend() as backend:
            sandbox = await backend.create(self.spec())
            try:
                yield sandbox
            finally:
                await backend.destroy(sandbox.ref)


KINDS = {
    "memory": Kind("memory", _memory, new_spec),
    "local": Kind("local", _local, new_spec),
    "docker": Kind("docker", docker_backend, docker_spec),
}
MACHINES = [
    pytest.param(KINDS["local"], id="local", marks=pytest.mark.sandbox),
    pytest.param(KINDS["docker"], id="docker", marks=[pytest.mark.docker, pytest.mark.sandbox]),
]
every_machine = pytest.mark.parametrize("kind", MACHINES)
"""With a kernel, so with a way out that has to be closed."""
EVERYTHING = [pytest.param(KINDS["memory"], id="memory"), *MACHINES]
every_kind = pytest.mark.parametrize("kind", EVERYTHING)


class Shared:
    """One sandbox for several tests, each of which leaves it as it found it."""

    def __init__(self, opened: AbstractAsyncContextManager[Any], kind: str = "") -> None:
        self.kind = kind
        self._runner = asyncio.Runner()
        self._opened = contextlib.AsyncExitStack()
        try:
            self.sandbox = self._runner.run(self._opened.enter_async_context(opened))
        except BaseException:  # skipped as well: nobody will close what was not made
            self._runner.close()
            raise

    def run(self, work: Callable[[Any], Coroutine[Any, Any, Result]]) -> Result:
        """What `work` returns for the sandbox."""
        return self._runner.run(work(self.sandbox))

    def close(self) -> None:
        """End the sandbox; it must not leave anything."""
        with self._runner:
            self._runner.run(self._opened.aclose())


def _shared(kind: Kind) -> Iterator[Shared]:
    sandbox = Shared(kind.sandbox())
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="module", params=EVERYTHING)
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    """A sandbox of every kind that the tests of a module share."""
    yield from _shared(request.param)


@pytest.fixture(scope="module", params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Iterator[Shared]:
    """Like `shared`, of every kind with a kernel."""
    yield from _shared(request.param)
