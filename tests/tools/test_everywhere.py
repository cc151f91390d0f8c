"""Every tool there is, once, in one sandbox of each kind."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.core.messages import ToolResult
from tests.backends import KINDS
from tests.tools.conftest import boxed
from tests.tools.fake import TOOLS
from tests.tools.test_search import User, daytona

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

CODE = """\
class Shop:
    def total(self, items):
        return add(items)


def add(items):
    return sum(items)
"""
PATCH = """\
*** Begin Patch
*** Update File: shop.py
@@ def add(items):
-    return sum(items)
+    return sum(items, 0)
*** Add File: made.txt
+made
*** End Patch
"""
SERVER = "python3 -m http.server 8123 --bind 127.0.0.1"


@pytest.fixture(params=["local", pytest.param("docker", marks=pytest.mark.docker), "daytona"])
def sandbox(
    request: pytest.FixtureRequest, suite_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], AbstractAsyncContextManager[Any]]:
    match request.param:
        case "docker":
            return KINDS["docker"].sandbox
        case "daytona":
            return lambda: daytona(monkeypatch)
        case _:
            folder = suite_home / request.node.name.replace("[", "-").strip("]")
            folder.mkdir(mode=0o711)
            return lambda: boxed(folder)


async def test_every_tool(sandbox: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
    results: dict[str, ToolResult] = {}
    async with sandbox() as box:
        use = User(box)

        async def tried(name: str, /, **arguments: Any) -> ToolResult:
            tool = TOOLS.find(name)
            assert tool is not None
            given = msgspec.convert(arguments, tool.arguments)
            result = results[name] = await tool.run(given, use.ctx)
            return result

        async def call(name: str, /, **arguments: Any) -> str:
            result = await tried(name, **arguments)
            assert result.ok, result.text
            return result.text

        await use.bash("git init -q . && git config user.email a@b && git config user.name a")
        await call("write", path="shop.py", content=CODE)
        await use.bash("git add -A && git commit -qm start")
        assert "2\t    def total" in await call("read", path="shop.py")
        await call("edit", path="shop.py", old="class Shop:", new="class Store:")
        edits = [
            {"path": "shop.py", "old": "total", "new": "whole"},
            {"path": "shop.py", "old": "return add(items)", "new": "return 1 + add(items)"},
        ]
        await call("multiedit", edits=edits)
        await call("patch", patch=PATCH)
        shop = await call("bash", command="cat shop.py made.txt")
        assert "def whole" in shop and "sum(items, 0)" in shop and "made\n" in shop + "\n"
        assert "made.txt" in await call("ls")
        assert "shop.py" in await call("glob", pattern="**/*.py")
        assert "in Store.whole" in await call("grep", pattern="add\\(items\\)$")
        assert "shop.py" in await call("lsp", operation="definition", target="add")
        await call("bash", command=SERVER, background="web")
        await call("jobs", action="wait", name="web", port=8123)
        await call("preview", port=8123)
        await call("jobs", action="kill", name="web")
        await call("todo", items=[{"text": "sell", "state": "doing"}])
        await tried("ask", question="Which?", options=["a", "b"])
        alone = await tried("task", task="look")
        assert not alone.ok  # no session is around it here
        fetched = await tried("fetch", url="https://example.org/")
        assert not fetched.ok
        assert "network" in fetched.text or "cannot be reached" in fetched.text
    assert set(results) == set(TOOLS.names)
    for name, result in results.items():
        assert str(Path.home()) not in result.text, name
        controls = {c for c in result.text if unicodedata.category(c) == "Cc"} - {"\n", "\t"}
        assert not controls, name
