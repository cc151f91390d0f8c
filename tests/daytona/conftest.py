from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.sandbox.daytona import control, machine
from tests.daytona_fixtures import DaytonaBackend, serving, use
from tests.servers.daytona.server import DaytonaServer


@pytest.fixture
def server() -> Iterator[DaytonaServer]:
    with serving() as server:
        yield server


@pytest.fixture
def backend(server: DaytonaServer, monkeypatch: pytest.MonkeyPatch) -> DaytonaBackend:
    """Its longest waits are short ones."""
    for module in (control, machine):
        monkeypatch.setattr(module, "WAIT_MAX_SECONDS", 0.2)
    return use(server, monkeypatch)
