"""glob, ls, grep and read over real toolboxes: resident, in a sandbox, one process a call."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import subprocess
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from agent.core.limits import RESULT_MAX_BYTES
from agent.core.messages import ToolResult
from agent.sandbox.toolbox import LIMITS
from tests.backends import KINDS
from tests.daytona_fixtures import daytona_sandbox, serving
from tests.daytona_fixtures import use as use_server
from tests.sandbox_fixtures import TOOLBOX_PYTHON
from tests.toolbox.test_documents import NOTEBOOK, png
from tests.tools.conftest import Inside, bare, boxed
from tests.tools.fake import context, use


class Once:
    """A toolbox that is started for each call, as for a sandbox that holds no channel open."""

    def __init__(self, archive: Path, workdir: Path) -> None:
        self._archive = archive
        self._workdir = workdir

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        ask = {
            "id": "x",
            "op": op,
            "arguments": arguments,
            "limits": {
                **LIMITS,
                "workdir": str(self._workdir),
                "changing": f"{self._archive}.lock",
            },
            "environment": {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        }
        process = await asyncio.create_subprocess_exec(
            *(TOOLBOX_PYTHON, "-I", "-S", str(self._archive), "once", "-"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        said, _ = await process.communicate(base64.b64encode(json.dumps(ask).encode()))
        payloads = [base64.b64decode(line.split(b" ")[3]) for line in said.splitlines()]
        return json.loads(b"".join(payloads))


@contextlib.asynccontextmanager
async def one_by_one(folder: Path) -> AsyncGenerator[Any]:
    async with bare(folder) as sandbox:
        yield type("Sandbox", (), {"toolbox": Once(folder / "toolbox.zip", folder / "work"),
                                   "workdir": sandbox.workdir, "put": sandbox.put,
                                   "exec": sandbox.exec})()  # fmt: skip


@contextlib.asynccontextmanager
async def daytona(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Any]:
    with serving() as server:
        async with daytona_sandbox(use_server(server, monkeypatch)) as sandbox:
            yield sandbox


@pytest.fixture(
    params=[
        *("bare", "once"),
        pytest.param("local", marks=pytest.mark.sandbox),
        pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.sandbox]),
        pytest.param("daytona", marks=[pytest.mark.slow, pytest.mark.sandbox]),
    ]
)
def inside(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    suite_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Inside:
    match request.param:
        case "bare":
            return lambda: bare(tmp_path)
        case "once":
            return lambda: one_by_one(tmp_path)
        case "docker":
            return KINDS["docker"].sandbox
        case "daytona":
            return lambda: daytona(monkeypatch)
        case _:
            folder = suite_home / tmp_path.name
            folder.mkdir(mode=0o711)
            return lambda: boxed(folder)


class User:
    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        self.ctx = context(sandbox)

    async def __call__(self, name: str, /, **arguments: Any) -> ToolResult:
        return await use(name, self.ctx, **arguments)

    async def put(self, path: str, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else data
        await self.sandbox.put(f"{self.sandbox.workdir}/{path}", data)

    async def bash(self, command: str) -> None:
        ran = await self.sandbox.exec(["bash", "-c", command], cwd=self.sandbox.workdir)
        assert ran.exit_code == 0, ran.output


@contextlib.asynccontextmanager
async def user(inside: AbstractAsyncContextManager[Any]) -> AsyncGenerator[User]:
    async with inside as sandbox:
        yield User(sandbox)


CODE = "class Job:\n    def run(self):\n        return run()\n\n\ndef run():\n    pass\n"


async def repository(u: User) -> None:
    await u.put("src/job.py", CODE)
    await u.put("src/web/app.ts", "export function run() {}\n")
    await u.put("tests/test_job.py", "from src.job import run\n")
    await u.put(".gitignore", "out/\n")
    await u.put("out/made.py", "run = hidden = 1\n")
    await u.bash("git init -q && touch -d '2001-01-01' src/job.py && touch -d '2002-01-01' tests/*")


async def test_a_repository_is_searched(inside: Inside) -> None:
    async with user(inside()) as u:
        await repository(u)
        found = await u("grep", pattern=r"\brun\b")
        assert found.text.split("\n") == [
            *("5 hits in 3 files", "src/job.py"),
            *("in Job", "2:def run(self):", "3:return run()", "6:def run():"),
            *("src/web/app.ts", "1:export function run() {}"),
            *("tests/test_job.py", "1:from src.job import run"),
        ]
        assert (found.ok, found.details["total"], found.details["searched"]) == (True, 5, 3)
        typed = await u("grep", pattern="run", type="ts", path="src", mode="files")
        assert typed.text == "1 hit\nsrc/web/app.ts"
        ignored = await u("grep", pattern="hidden")
        assert ignored.text.startswith("1 hit\nout/made.py\n1:run = hidden = 1\n[only in hidden")
        assert (await u("grep", pattern="x", path="src/jop.py")).text.startswith(
            "src/jop.py does not exist. Near it: "
        )


async def test_files_are_listed(inside: Inside) -> None:
    async with user(inside()) as u:
        await repository(u)
        named = await u("glob", pattern="**/*.{py,ts}")
        assert named.text.split("\n") == [
            *("3 files, newest first:", "src/web/app.ts", "tests/test_job.py", "src/job.py")
        ]
        assert (await u("glob", pattern="*.py, !tests/**")).text == "1 file:\nsrc/job.py"
        assert (await u("glob", pattern="web")).text.endswith("do:\nsrc/web/")
        assert (await u("glob", pattern="*.py", path="out")).text.startswith(
            "1 file:\nout/made.py\n["
        )
        assert "\n/etc/passwd" in (await u("glob", pattern="/etc/passw*")).text
        listed = (await u("ls", depth=2)).text.split("\n")
        assert listed == [
            *(".git/ (ignored)", "out/ (ignored)", "src/ (2 files)", "  web/ (1 file)"),
            *("  job.py 73", "tests/ (1 file)", "  test_job.py 24", ".gitignore 5"),
        ]
        assert (await u("read", path="src")).text == "web/ (1 file)\njob.py 73"


async def test_several_files_pictures_and_notebooks_are_read(inside: Inside) -> None:
    async with user(inside()) as u:
        await u.put("a.py", "one\n")
        await u.put("b.png", png(3, 2))
        await u.put("c.ipynb", json.dumps(NOTEBOOK))
        result = await u("read", path=["a.py", "b.png", "absent", "c.ipynb"], limit=2)
        lines = result.text.split("\n")
        assert lines[:3] == ["== a.py", "1\tone", "== b.png"]
        assert "absent does not exist" in result.text and "1\t[1 markdown]" in lines
        assert result.images == (f"data:image/png;base64,{base64.b64encode(png(3, 2)).decode()}",)
        u.ctx.seen.note(result.details)
        assert {os.path.basename(path) for path in u.ctx.seen.hashes} == {
            "a.py",
            "b.png",
            "c.ipynb",
        }
        await u.bash("echo two > a.py")
        assert not (await u("write", path="a.py", content="mine\n")).ok


async def test_no_result_carries_a_control_sequence_or_a_path_of_the_host(
    inside: Inside, suite_home: Path
) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e\u200b\U000e0041"
    async with user(inside()) as u:
        await u.put("name-\x1b[2J\n\u202e.py", f"def run(): pass # {evil}\n")
        await u.bash("ln -s $'to\\x1b[2Jnowhere' link")
        await u.put("c.ipynb", json.dumps({"cells": [{"cell_type": evil, "source": evil}]}))
        results = [
            await u("grep", pattern="run"),
            await u("grep", pattern=f"title|{evil}", context=3),
            await u("grep", pattern="run", mode="files"),
            await u("grep", pattern="(\x1b["),
            await u("grep", pattern="x", path=f"no{evil}"),
            await u("glob", pattern="*"),
            await u("glob", pattern=f"{{{evil}"),
            await u("ls"),
            await u("ls", path="link"),
            await u("read", path=[".", "c.ipynb", "name-\x1b[2J\n\u202e.py", evil]),
        ]
        for result in results:
            kinds = {unicodedata.category(c) for c in result.text if c not in "\n\t"}
            assert not kinds & {"Cc", "Cf", "Cs", "Co"}, result.text
            if u.sandbox.workdir == "/workspace":
                assert str(suite_home) not in result.text + json.dumps(result.details)
        assert "name-␛[2J␊\ufffd.py" in results[0].text


@pytest.mark.slow
async def test_a_million_hits_stay_below_the_cap(inside: Inside) -> None:
    async with user(inside()) as u:
        await u.bash("for n in $(seq 50); do yes 'hit me' | head -20000 > $n.txt; done")
        for more in ({}, {"mode": "files"}, {"mode": "count"}, {"context": 20}):
            result = await u("grep", pattern="hit", **more)
            assert result.details["total"] == 1_000_000
            assert len(result.text.encode()) < RESULT_MAX_BYTES // 4
        many = await u("glob", pattern="*")
        assert len(many.text.encode()) < RESULT_MAX_BYTES // 4
