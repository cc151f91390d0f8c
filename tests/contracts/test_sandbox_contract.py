"""The promises of the sandbox port, put to every backend."""

from __future__ import annotations

import pytest

from agent.testing import contracts
from tests.backends import Kind, Shared, every_kind, shared

__all__ = ["shared"]  # a fixture


@pytest.mark.parametrize("promise", contracts.SANDBOX, ids=contracts.name)
def test_sandbox_promise(promise: contracts.Promise, shared: Shared) -> None:
    shared.run(promise)


@every_kind
@pytest.mark.parametrize("promise", contracts.BACKEND, ids=contracts.name)
async def test_backend_promise(promise: contracts.BackendPromise, kind: Kind) -> None:
    with kind.backend() as backend:
        await promise(backend, kind.spec())
