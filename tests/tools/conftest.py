from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox.protocol import ExecResult, OnOutput, SandboxSpec
from agent.sandbox.toolbox import ToolboxClient, bundle
from tests.sandbox_fixtures import TOOLBOX_PYTHON, own_environment

Inside = Callable[[], AbstractAsyncContextManager[Any]]


@dataclass
class Bare:
    """The real toolbox in a directory of the test, without a sandbox around it."""

    toolbox: ToolboxClient
    workdir: str
    logs: str  # stands for /tmp/glovebox/, which is nobody's own here

    async def exec(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds: float = 60.0,
        on_output: OnOutput | None = None,
        log: str = "",
    ) -> ExecResult:
        return await self.toolbox.exec(
            argv,
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"], **(env or {})},
            stdin=stdin,
            seconds=seconds,
            on_output=on_output,
            log=log.replace("/tmp/glovebox/", self.logs),
        )

    async def put(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        await self.toolbox.put(path.replace("/tmp/glovebox/", self.logs), data, mode)


@contextlib.asynccontextmanager
async def bare(folder: Path) -> AsyncGenerator[Bare]:
    archive, workdir = folder / "toolbox.zip", folder / "work"
    archive.write_bytes(bundle())
    workdir.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(TOOLBOX_PYTHON, "-I", "-S", str(archive)),
        cwd=workdir,
        env=own_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    client = ToolboxClient(process.stdout, process.stdin)
    try:
        await client.start()
        yield Bare(client, str(workdir), f"{folder}/logs/")
    finally:
        await client.close()
        await process.wait()


@contextlib.asynccontextmanager
async def boxed(folder: Path) -> AsyncGenerator[Any]:
    from agent.sandbox.registry import open_backend

    backend = open_backend("local", folder)
    sandbox = await backend.create(SandboxSpec(session=f"tools{secrets.token_hex(4)}"))
    try:
        yield sandbox
    finally:
        await sandbox.close()
        await backend.destroy(sandbox.ref)


@pytest.fixture(params=["bare", pytest.param("local", marks=pytest.mark.sandbox)])
def inside(request: pytest.FixtureRequest, tmp_path: Path, suite_home: Path) -> Inside:
    """`async with inside() as sandbox`: the real toolbox, once bare and once in its sandbox."""
    if request.param == "bare":
        return lambda: bare(tmp_path)
    folder = suite_home / tmp_path.name
    folder.mkdir(mode=0o711)
    return lambda: boxed(folder)
