from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.toolbox.code import parsing
from agent.toolbox.symbols import build, servers
from tests.sandbox_fixtures import bare_toolbox

Use = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session", autouse=True)
def _nothing_left() -> Iterator[None]:
    """Tests that use modules of the toolbox in this process start what waits for more work."""
    yield
    parsing.use_grammars("")
    servers.end_all()


@pytest.fixture(autouse=True)
def _no_build_goes_on() -> Iterator[None]:
    """A question begins a build in the background, of a tree that is about to go."""
    yield
    for process in build.started():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def use(tmp_path: Path) -> Use:
    """Run one operation in a fresh toolbox that works in `tmp_path`."""

    async def ask(op: str, arguments: dict[str, Any]) -> dict[str, Any]:
        async with bare_toolbox(tmp_path) as toolbox:
            return await toolbox.call(op, **arguments)

    return lambda op, **arguments: asyncio.run(ask(op, arguments))
