from __future__ import annotations

from typing import Any

import pytest

from agent.core.limits import IMAGE_MAX_BYTES, READ_MAX_BYTES, READ_MAX_LINES
from tests.tools.fake import TOOLS, FakeSandbox, FakeToolbox, context, said, use

SEEN = {"ok": True, "path": "/workspace/src/a.py", "hash": "h1"}
READ = {**SEEN, "text": "x", "first": 1, "last": 1, "total": 1}
WRITTEN = {**SEEN, "hash": "h2", "created": False, "lines": 1, "bytes": 2, "diff": "-x\n+y"}
EDITED = {**SEEN, "hash": "h2", "replaced": 1, "first": 1, "last": 1, "text": "y", "diff": "d"}


def asked(answer: dict[str, Any]) -> tuple[FakeToolbox, Any]:
    toolbox = FakeToolbox(answer)
    return toolbox, context(FakeSandbox(toolbox=toolbox))


async def test_read_asks_for_the_lines_wanted() -> None:
    toolbox, ctx = asked(READ)
    await use("read", ctx, path="src/a.py", offset=5, limit=10**6)
    assert toolbox.calls == [
        {
            "op": "read",
            "path": "src/a.py",
            "offset": 5,
            "limit": READ_MAX_LINES,
            "bytes": READ_MAX_BYTES,
        }
    ]


async def test_a_list_in_a_string_is_a_list_and_a_bracket_in_a_name_is_none() -> None:
    for path, asked_for in [('["a", "b"]', ["a", "b"]), ("[id]/a.tsx", ["[id]/a.tsx"])]:
        toolbox, ctx = asked(READ)
        await use("read", ctx, path=path)
        assert [call["path"] for call in toolbox.calls] == asked_for


@pytest.mark.parametrize("path", ["src/a.py", "/workspace/src/a.py", "./src/../src/a.py"])
async def test_changes_carry_what_was_seen_of_the_file(path: str) -> None:
    for name, answer, arguments, known in [
        ("write", WRITTEN, {"content": "y\n"}, {"hash": "h1"}),
        ("edit", EDITED, {"old": "x", "new": "y"}, {"seen": {"/workspace/src/a.py": "h1"}}),
    ]:
        toolbox, ctx = asked(answer)
        ctx.seen.hashes.update({"/workspace/src/a.py": "h1", "/workspace/src/b.py": "h2"})
        await use(name, ctx, path=path, **arguments)
        assert known.items() <= toolbox.calls[0].items()


async def test_a_file_never_seen_is_changed_without_a_hash() -> None:
    toolbox, ctx = asked(EDITED)
    await use("edit", ctx, path="b.py", old="x", new="y", all=True)
    assert toolbox.calls == [
        {"op": "edit", "path": "b.py", "old": "x", "new": "y", "all": True, "seen": {}}
    ]


async def test_results_name_path_and_hash_for_the_guard() -> None:
    for name, answer, arguments in [
        ("read", READ, {}),
        ("write", WRITTEN, {"content": "y\n"}),
        ("edit", EDITED, {"old": "x", "new": "y"}),
    ]:
        result = await said(name, answer, path="src/a.py", **arguments)
        assert result.details["path"] == "/workspace/src/a.py"
        assert result.details["hash"] == answer["hash"]
        assert result.details.get("diff") == answer.get("diff")


async def test_a_refusal_has_no_hash_that_could_be_taken_for_seen() -> None:
    answer = {"ok": False, "reason": "stale", "path": "/workspace/a", "hash": "h9"}
    result = await said("write", answer, path="a", content="")
    assert result.details == {"path": "/workspace/a", "reason": "stale"}


async def test_a_file_read_by_its_name_under_home_can_be_written_by_it() -> None:
    class Home(FakeToolbox):
        async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
            await super().call(op, **arguments)
            if arguments["hash"] is None:
                return {"ok": False, "reason": "unread", "path": "/home/agent/a"}
            return WRITTEN

    toolbox = Home()
    ctx = context(FakeSandbox(toolbox=toolbox))
    assert not (await use("write", ctx, path="~/a", content="")).ok
    ctx.seen.hashes["/home/agent/a"] = "h1"
    assert (await use("write", ctx, path="~/a", content="")).ok
    assert toolbox.calls[-1]["hash"] == "h1"


async def test_a_path_cannot_bring_lines_or_escapes_into_a_title() -> None:
    for name, more in [("read", {}), ("write", {"content": ""}), ("edit", {"old": "", "new": ""})]:
        tool = TOOLS.find(name)
        assert tool is not None
        assert tool.title(tool.arguments(path="a\nb\x1b[2J", **more)) == f"{name} a b␛[2J"


def test_reading_tools_may_run_side_by_side_and_changing_ones_not() -> None:
    assert {tool.name for tool in TOOLS if tool.reads_only} >= {
        *("read", "glob", "ls", "grep"),
    }
    changing = {tool.name for tool in TOOLS if not tool.reads_only}
    assert changing >= {"bash", "write", "edit", "multiedit", "patch"}


async def test_several_files_are_read_at_once_and_each_is_seen() -> None:
    toolbox, ctx = asked(READ)
    result = await use("read", ctx, path=["a", "b"], offset=2)
    assert [(call["path"], call["offset"]) for call in toolbox.calls] == [("a", 2), ("b", 2)]
    assert {call["bytes"] for call in toolbox.calls} == {READ_MAX_BYTES // 2}
    ctx.seen.note(result.details)
    assert ctx.seen.hashes == {"/workspace/src/a.py": "h1"}
    assert result.text == "== a\n1\tx\n== b\n1\tx"


async def test_a_directory_is_listed_as_ls_does() -> None:
    class Toolbox(FakeToolbox):
        async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
            if op == "read":
                return {"ok": False, "reason": "directory", "path": "/workspace/src"}
            return {"ok": True, "entries": [{"name": "a.py", "size": 5}], "total": 1}

    result = await use("read", context(FakeSandbox(toolbox=Toolbox())), path="src")
    assert (result.ok, result.text) == (True, "a.py 5")


PICTURE = {**SEEN, "kind": "image/png", "size": 3, "why": "1x1 pixels", "image": "AAAA"}


async def test_an_image_is_shown_beside_the_text() -> None:
    result = await said("read", PICTURE, path="a.png")
    assert result.images == ("data:image/png;base64,AAAA",)
    assert result.details == {"path": "/workspace/src/a.py", "hash": "h1"}


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "image/svg+xml"},
        {"kind": "text/html"},
        {"image": "AA,A"},
        {"image": "A" * (2 * IMAGE_MAX_BYTES)},
    ],
)
async def test_a_toolbox_cannot_have_anything_else_shown_as_an_image(more: dict[str, Any]) -> None:
    result = await said("read", {**PICTURE, **more}, path="a.png")
    assert (result.ok, result.images) == (False, ())
    assert result.details["problem"] == "ToolboxError"
