"""Changes of files by the tools, over the real toolbox, once bare and once in a real sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from agent.core.messages import ToolResult
from tests.tools.conftest import Inside
from tests.tools.fake import TOOLS, context


class User:
    """Uses the tools as the loop does: arguments from JSON, and what results tell is remembered."""

    def __init__(self, sandbox: Any) -> None:
        self.sandbox = sandbox
        self.ctx = context(sandbox)

    async def __call__(self, name: str, **arguments: Any) -> ToolResult:
        tool = TOOLS.find(name)
        assert tool is not None
        given = msgspec.convert(arguments, tool.arguments)
        result = await tool.run(given, self.ctx)
        self.ctx.seen.note(msgspec.json.decode(msgspec.json.encode(result.details)))
        return result

    async def bash(self, command: str) -> str:
        return (await self("bash", command=command)).text

    async def put(self, path: str, data: bytes) -> None:
        await self.sandbox.put(f"{self.sandbox.workdir}/{path}", data)

    async def get(self, path: str) -> bytes:
        text = await self.bash(f"od -An -v -tx1 {path} | tr -d ' \\n'; echo")
        return bytes.fromhex(text.split("\n")[0])

    def knows(self, path: str) -> bool:
        return f"{self.sandbox.workdir}/{path}" in self.ctx.seen.hashes


@contextlib.asynccontextmanager
async def user(inside: Inside) -> AsyncGenerator[User]:
    async with inside() as sandbox:
        yield User(sandbox)


def wrapped(body: str) -> str:
    return f"*** Begin Patch\n{body}*** End Patch\n"


async def test_a_patch_of_every_kind_and_what_is_known_after_it(inside: Inside) -> None:
    async with user(inside) as u:
        await u.bash("mkdir src; echo one > src/a; echo two > b; echo three > c; chmod 755 c")
        for path in ("src/a", "b", "c"):
            await u("read", path=path)
        result = await u(
            "patch",
            patch=wrapped(
                "*** Update File: src/a\n-one\n+1\n*** Delete File: b\n*** Update File: c\n"
                "*** Move to: lib/d\n-three\n+3\n*** Add File: src/new/e\n+four\n"
            ),
        )
        assert result.ok, result.text
        assert await u.bash("head -100 src/a lib/d src/new/e; ls . src; stat -c %a lib/d") == (
            "==> src/a <==\n1\n\n==> lib/d <==\n3\n\n==> src/new/e <==\nfour\n"
            ".:\nlib\nsrc\n\nsrc:\na\nnew\n755\nExit code 0."
        )
        assert [u.knows(path) for path in ("src/a", "lib/d", "src/new/e")] == [True] * 3
        assert [u.knows(path) for path in ("b", "c")] == [False] * 2
        # What is known is true: each may be changed again without reading it.
        assert (await u("write", path="src/a", content="x\n")).ok
        assert (await u("edit", path="lib/d", old="3", new="iii")).ok
        assert (await u("write", path="src/new/e", content="x\n")).ok
        assert (await u("write", path="b", content="again\n")).ok


async def test_a_file_changed_behind_the_models_back_holds_the_whole_change(
    inside: Inside,
) -> None:
    async with user(inside) as u:
        await u.bash("echo one > a; echo two > b")
        for path in ("a", "b"):
            await u("read", path=path)
        await u.bash("echo more >> b")
        edits = [{"path": "a", "old": "one", "new": "1"}, {"path": "b", "old": "two", "new": "2"}]
        refused = await u("multiedit", edits=edits)
        assert refused.details["failures"][0]["reason"] == "stale"
        patch = wrapped("*** Update File: a\n-one\n+1\n*** Update File: ./b\n-two\n+2\n")
        assert not (await u("patch", patch=patch)).ok
        assert await u.bash("cat a b") == "one\ntwo\nmore\nExit code 0."
        await u("read", path="b")
        assert (await u("multiedit", edits=edits)).ok
        assert await u.bash("cat a b") == "1\n2\nmore\nExit code 0."


async def test_a_file_under_home_is_guarded_by_its_other_name(inside: Inside) -> None:
    async with user(inside) as u:
        await u.bash("echo one > ~/a.txt")
        await u("read", path="~/a.txt")
        await u.bash("echo two > ~/a.txt")
        refused = await u("edit", path="~/a.txt", old="two", new="x")
        assert refused.details["reason"] == "stale"


async def test_a_third_failure_at_a_file_says_what_else_to_do(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a.txt", b"one\n")
        texts = [(await u("edit", path="a.txt", old="qqq", new="x")).text for _ in range(3)]
        assert ["Failure number 3" in text for text in texts] == [False, False, True]
        edits = [{"path": "a.txt", "old": "qqq", "new": "x"}]
        assert "Failure number 4" in (await u("multiedit", edits=edits)).text
        await u("read", path="a.txt")
        assert "Failure number" not in (await u("edit", path="a.txt", old="qq", new="x")).text


async def test_bytes_that_are_not_touched_stay(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("dos.txt", b"\xef\xbb\xbfone\r\ntwo\r\nlast")
        await u.put("latin.txt", b"caf\xe9 \x93q\x94\n")
        await u.put("wide.txt", "\ufeffone\r\ntwo".encode("utf-16-le"))
        edits = [
            {"path": "dos.txt", "old": "one\ntwo\n", "new": "1\n2\n3\n"},
            {"path": "latin.txt", "old": "café", "new": "thé"},
            {"path": "wide.txt", "old": "two", "new": "日本"},
        ]
        assert (await u("multiedit", edits=edits)).ok
        assert (await u.get("dos.txt")) == b"\xef\xbb\xbf1\r\n2\r\n3\r\nlast"
        assert (await u.get("latin.txt")) == b"th\xe9 \x93q\x94\n"
        assert (await u.get("wide.txt")) == "\ufeffone\r\n日本".encode("utf-16-le")


async def test_syntax_errors_of_a_patch_are_told_by_file(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a.py", b"def f():\n    return (1)\n")
        await u.put("b.py", b"def g():\n    return (1)\n")
        result = await u(
            "patch",
            patch=wrapped(
                "*** Update File: a.py\n-    return (1)\n+    return (1\n"
                "*** Update File: b.py\n-    return (1)\n+    return (2)\n"
            ),
        )
        assert result.ok
        assert "New syntax errors in a.py: line 2" in result.text
        assert "New syntax errors in b.py" not in result.text


async def test_nothing_is_left_of_a_change_that_was_refused(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a", b"one\n")
        refused = await u("patch", patch=wrapped("*** Add File: x/y\n+1\n*** Add File: a/b\n+2\n"))
        assert not refused.ok
        records = 'cat /tmp/.glovebox-changes-*/*/* 2>/dev/null | grep -c "$PWD"'
        assert await u.bash(f"ls -A; {records}") == "a\n0\nExit code 1."


async def test_names_with_escapes_reach_neither_the_model_nor_a_screen(inside: Inside) -> None:
    async with user(inside) as u:
        result = await u("patch", patch=wrapped("*** Add File: a\x1b[2Jb\n+\x1b[31mx\n"))
        assert result.ok
        assert "\x1b" not in result.text
        refused = await u("edit", path="a\x1b[2Jb", old="\x1b[32m", new="")
        assert "\x1b" not in refused.text
