"""Real sandboxes and real toolboxes for tests, gone afterwards with all they started."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

from agent.host import files
from agent.sandbox.local import LocalBackend, LocalSandbox
from agent.sandbox.protocol import SandboxSpec
from agent.sandbox.toolbox import LIMITS, ToolboxClient, bundle

TOOLBOX_PYTHON = os.environ.get("GB_TOOLBOX_PYTHON", sys.executable)
"""Runs the toolbox where there is no sandbox around it; the oldest promised one is worth a run."""


def new_spec() -> SandboxSpec:
    """A spec with a session name that nobody else uses."""
    return SandboxSpec(session=f"t{secrets.token_hex(8)}")


@contextlib.contextmanager
def sandbox_root() -> Generator[Path]:
    """A directory for sandboxes, which their own users may pass through; must end up empty."""
    with files.temporary_dir("gbs-", shared=True) as folder:
        root = folder / "root"
        yield root
        assert not root.exists() or list(root.iterdir()) == []


@contextlib.asynccontextmanager
async def local_sandbox() -> AsyncGenerator[LocalSandbox]:
    """One running local sandbox."""
    with sandbox_root() as root:
        backend = LocalBackend(root)
        sandbox = await backend.create(new_spec())
        try:
            yield sandbox
        finally:
            await backend.destroy(sandbox.ref)


def own_environment() -> dict[str, str]:
    """For a toolbox without a sandbox: as in one, its index is in a cache of its own."""
    return {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}


@contextlib.asynccontextmanager
async def bare_toolbox(folder: Path) -> AsyncGenerator[ToolboxClient]:
    """The real toolbox working in `folder`, without a sandbox around it: fast, and not confined."""
    with files.temporary_dir("gbt-") as place:
        archive = place / "toolbox.zip"
        archive.write_bytes(bundle())
        process = await asyncio.create_subprocess_exec(
            *(TOOLBOX_PYTHON, "-I", "-S", "-X", "utf8", str(archive)),
            cwd=folder,
            env=own_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        client = ToolboxClient(process.stdout, process.stdin)
        try:
            await client.start()
            yield client
        finally:
            await client.close()
            await process.wait()


def once_argv(folder: Path, op: str, **arguments: Any) -> list[str]:
    """The command of a toolbox that answers this one request in `folder`."""
    archive = folder / "toolbox.zip"
    archive.write_bytes(bundle())
    ask = {
        "id": "x",
        "op": op,
        "arguments": arguments,
        "limits": {**LIMITS, "workdir": str(folder), "changing": str(folder / "lock")},
        "environment": {"PATH": "/usr/bin:/bin", "TMPDIR": str(folder)},
    }
    word = base64.b64encode(json.dumps(ask).encode()).decode()
    return [TOOLBOX_PYTHON, "-I", "-S", str(archive), "once", word]
