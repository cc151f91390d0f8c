"""What the sandbox port promises, as tests that any backend can be put to.

`SANDBOX` holds functions of one running sandbox, `BACKEND` of a backend and a spec for it. Each is
one promise and leaves the sandbox as it found it. In a test module:

    @pytest.mark.parametrize("promise", contracts.SANDBOX, ids=contracts.name)
    async def test_sandbox(promise, sandbox): await promise(sandbox)

A promise runs programs of `agent.testing.vocabulary`, which exist on every kind of machine.
"""

from __future__ import annotations

from agent.testing.contracts import backends, ending, files, held, output, starting
from agent.testing.contracts.promise import BACKEND, SANDBOX, BackendPromise, Promise, name

__all__ = ["BACKEND", "PARTS", "SANDBOX", "BackendPromise", "Promise", "name"]

PARTS = (starting, ending, output, held, files, backends)
"""The modules whose import fills the two lists."""
