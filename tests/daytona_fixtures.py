"""A Daytona server on loopback and the real client library in front of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from agent.sandbox.daytona.backend import DaytonaBackend
from agent.sandbox.daytona.sandbox import DaytonaSandbox
from tests.sandbox_fixtures import new_spec, sandbox_root
from tests.servers.daytona.server import KEY, DaytonaServer, daytona_server

__all__ = ["DaytonaBackend", "daytona_sandbox", "new_spec", "serving", "use"]

NOWHERE = Path("/nonexistent")


@contextlib.contextmanager
def serving() -> Generator[DaytonaServer]:
    """A server that must have no box left at the end."""
    with sandbox_root() as root, daytona_server(root) as server:
        yield server


def use(
    server: DaytonaServer, monkeypatch: pytest.MonkeyPatch, *, grammars: bool = False
) -> DaytonaBackend:
    """A backend whose account is at `server`.

    Without `grammars` none are brought in: these requests in the background would take the faults
    that a test has in mind for others.
    """
    if not grammars:
        monkeypatch.setattr("agent.sandbox.grammars.bring", _none)
    # A client reads all certificates of the machine four times, and there is none here to check.
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    monkeypatch.setenv("DAYTONA_API_KEY", KEY)
    monkeypatch.setenv("DAYTONA_API_URL", server.url)
    return DaytonaBackend(NOWHERE)


async def _none(*_: object) -> str:
    return ""


@contextlib.asynccontextmanager
async def daytona_sandbox(backend: DaytonaBackend) -> AsyncGenerator[DaytonaSandbox]:
    """One running sandbox, destroyed in the end."""
    sandbox = await backend.create(new_spec())
    try:
        yield sandbox
    finally:
        await backend.destroy(sandbox.ref)
