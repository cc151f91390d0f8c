"""The promises of the sandbox port, put to the Daytona backend through the real client library."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.testing import contracts
from tests.daytona_fixtures import daytona_sandbox, new_spec, serving, use
from tests.servers.daytona.server import DaytonaServer

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


@pytest.fixture(scope="module")
def server() -> Iterator[DaytonaServer]:
    with serving() as server:
        yield server


@pytest.mark.parametrize("promise", contracts.SANDBOX, ids=contracts.name)
async def test_sandbox_promise(
    promise: contracts.Promise, server: DaytonaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with daytona_sandbox(use(server, monkeypatch)) as sandbox:
        await promise(sandbox)


@pytest.mark.parametrize("promise", contracts.BACKEND, ids=contracts.name)
async def test_backend_promise(
    promise: contracts.BackendPromise, server: DaytonaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await promise(use(server, monkeypatch), new_spec())
