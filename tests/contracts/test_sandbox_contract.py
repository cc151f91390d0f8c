"""The promises of the sandbox port, put to the local backend."""

from __future__ import annotations

import pytest

from agent.sandbox.local import LocalBackend
from agent.testing import contracts
from tests.sandbox_fixtures import local_sandbox, new_spec, sandbox_root

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize("promise", contracts.SANDBOX, ids=contracts.name)
async def test_sandbox_promise(promise: contracts.Promise) -> None:
    async with local_sandbox() as sandbox:
        await promise(sandbox)


@pytest.mark.parametrize("promise", contracts.BACKEND, ids=contracts.name)
async def test_backend_promise(promise: contracts.BackendPromise) -> None:
    with sandbox_root() as root:
        await promise(LocalBackend(root), new_spec())
