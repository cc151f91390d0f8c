"""What `lsp` says, compared with `snapshots/lsp.txt`, and the tool over the real toolbox."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from agent.core.messages import ToolResult
from agent.tools import lsp_wording
from tests.snapshots import assert_snapshot
from tests.tools.conftest import Inside
from tests.tools.fake import context, said
from tests.tools.test_inside import User, user

SNAPSHOTS = Path(__file__).parent / "snapshots"

ONE = {
    "ok": True, "name": "split", "definitions": 1, "total": 3, "files": 2,
    "groups": [
        {"path": "a/split.py", "rows": [[9, "", "def split(bill)"]]},
        {"path": "a/b\nc.py", "rows": [
            [3, "", "from a.split import split"],
            [8, "Bill.share", "return split(self)"],
            [9, "Bill.share", "split(2)"],
        ]},
    ],
    "defined": [["a/split.py", 9, "function", "split"]],
}  # fmt: skip
MANY = {**ONE, "definitions": 4, "sure": "by_name"}
LIKELY = {**ONE, "definitions": 4, "sure": "likely", "unsure": 7, "unsure_files": 3}
SERVER = {**ONE, "definitions": 4, "by": "ty"}
EARLY = {**MANY, "complete": False, "parsed": 50, "code_files": 900, "left": 12}
LINES = {
    **ONE, "view": "lines", "total": 90,
    "groups": [{"path": "a.py", "scopes": [["", [3]], ["Bill.share", [8, 9]]]}],
}  # fmt: skip
COUNTS = {
    **ONE, "view": "counts", "total": 900, "cut": 20,
    "groups": [{"path": "a.py", "count": 600}, {"path": "b.py", "count": 30}],
}  # fmt: skip
CALLERS = {
    **ONE, "cut": 5,
    "groups": [{"path": "a.py", "rows": [
        [8, "Bill.share", "return split(self)", 2], [20, "", "split(3)", 1],
    ]}],
}  # fmt: skip
CALLEES = {
    **ONE, "total": 2,
    "callees": [
        {"line": 9, "name": "cents", "path": "a/money.py", "at": 4},
        {"line": 12, "name": "get", "path": "a/store.py", "at": 70, "others": 6},
    ],
}  # fmt: skip
OUTLINE = {
    "ok": True, "name": "a.py", "total": 2, "cut": 3,
    "outline": [[0, 3, 9, "class Bill"], [1, 4, 4, "cents = 0"], [1, 5, 9, "def share(self)"]],
}  # fmt: skip
PROBLEMS = {
    "ok": True, "name": "a.py", "by": "ty",
    "problems": [[3, "error", "no such name [unresolved]"], [9, "warning", "not used"]],
}  # fmt: skip
RENAME: dict[str, Any] = {**ONE, "new_name": "share", "groups": [
    {"path": "a.py", "rows": [[9, "def share(bill):", False]], "count": 1, "hash": "h"},
    {"path": "b.py", "rows": [], "count": 2, "hash": "h"},
]}  # fmt: skip
UNSURE: dict[str, Any] = {**RENAME, "sure": "likely", "unsure": 1, "groups": [
    {"path": "a.py", "rows": [[9, "def share(bill):", False], [12, "x.share()", True]]},
]}  # fmt: skip


def ask(operation: str, answer: dict[str, Any], **more: Any) -> Awaitable[ToolResult]:
    return said("lsp", answer, operation=operation, target="split", **more)


def no(reason: str, **more: Any) -> Awaitable[ToolResult]:
    return ask("definition", {"ok": False, "reason": reason, **more})


def cases() -> dict[str, Awaitable[ToolResult]]:
    return {
        "definition: the one": ask("definition", ONE),
        "definition: with its lines": ask(
            "definition", {**SERVER, "body": [[9, "def split(bill):"], [10, "    return 1"]]}
        ),
        "definition: of the place itself": ask("definition", {**MANY, "sure": "exact"}),
        "definition: many": ask("definition", MANY),
        "references: of the one": ask("references", ONE),
        "references: by a server": ask("references", SERVER),
        "references: likely": ask("references", LIKELY),
        "references: of the one, unsure": ask(
            "references", {**ONE, "sure": "likely", "unsure": 2, "unsure_files": 1}
        ),
        "references: early": ask("references", EARLY),
        "references: of what is not here": ask(
            "references", {**ONE, "definitions": 0, "sure": "by_name", "defined": []}
        ),
        "references: lines": ask("references", LINES),
        "references: counts": ask("references", COUNTS),
        "callers": ask("callers", CALLERS),
        "callees": ask("callees", CALLEES),
        "hover": ask("hover", {**ONE, "text": "Shares a bill.\n\nIn cents."}),
        "outline": ask("outline", OUTLINE),
        "outline: nothing": ask("outline", {"ok": True, "name": "a.txt"}),
        "symbols": ask("symbols", {**ONE, "cut": 4}),
        "symbols: none": ask("symbols", {"ok": True, "name": "xyz"}),
        "diagnostics": ask("diagnostics", PROBLEMS),
        "diagnostics: none": ask("diagnostics", {**PROBLEMS, "problems": []}),
        "diagnostics: syntax": ask("diagnostics", {**PROBLEMS, "by": "syntax", "problems": []}),
        "diagnostics: without a preprocessor": ask(
            "diagnostics", {**PROBLEMS, "by": "syntax", "macros": True}
        ),
        "rename: shown": ask("rename", RENAME, new_name="share"),
        "rename: shown, and unsure": ask("rename", UNSURE, new_name="share"),
        "rename: shown, of many": ask("rename", {**RENAME, "definitions": 4, "sure": "by_name"}),
        "rename: done": ask(
            "rename", {**RENAME, "applied": True, "taken": [["c.py", 4, "class", "share"]]}
        ),
        "unknown name": no("unknown_name", name="split"),
        "unknown name, others near": no("unknown_name", name="split", near=["splits"]),
        "several names": no("several_names", line=4, names=["a", "b"]),
        "no names": no("no_names", line=4),
        "not there": no("not_there", name="split", line=4),
        "no name": no("no_name"),
        "not code": no("not_code"),
        "outside": no("outside"),
        "absent": no("absent"),
        "directory": no("directory"),
        "a file": no("is_file"),
        "not in the file": no("not_in_file", name="split"),
        "which line": no("which_line", name="split", count=2, names=["a.py:3", "a.py:9"]),
        "bad new name": no("bad_new_name"),
        "same": no("same"),
        "ambiguous": no("ambiguous_rename", count=4, name="split"),
        "unsure": no("unsure_rename", count=4, name="split"),
        "not renamed": no("not_renamed", why="a.py was changed just now"),
        "torn": no("torn", names=["a.py", "b.py"]),
        "no index": no("no_index", why="disk I/O error"),
        "another reason": no("phase_of_the_moon"),
    }


async def test_every_result_reads_as_it_did() -> None:
    results = {name: await case for name, case in cases().items()}
    text = "".join(
        f"=== {name} ({'ok' if result.ok else 'not ok'})\n{result.text}\n\n"
        for name, result in results.items()
    )
    assert_snapshot(SNAPSHOTS / "lsp.txt", text)


def test_every_sentence_is_in_the_snapshot() -> None:
    text = (SNAPSHOTS / "lsp.txt").read_text("utf-8")
    sentences = {k: v for k, v in vars(lsp_wording).items() if isinstance(v, str) and k.isupper()}
    sentences |= lsp_wording.REFUSALS
    assert [name for name, said in sentences.items() if not re.search(_pattern(said), text)] == []


def _pattern(template: str) -> str:
    return ".*".join(re.escape(part) for part in re.split(r"\{[^}]*\}", template))


# Over the real toolbox.

SPLIT = b'''"""Bills."""


def split(cents, people):
    """Share cents, none lost."""
    each = cents // people
    return [each] * people
'''
BILL = b"""from shop.split import split


class Bill:
    def share(self, people):
        return split(self.cents, people)

    def again(self):
        return self.share(2)
"""
OTHER = b"""class Rope:
    def split(self):
        return Knot().share(3)


class Knot:
    def share(self, n):
        return n
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


async def shop(u: User) -> None:
    for path, data in (
        ("shop/__init__.py", b""),
        ("shop/split.py", SPLIT),
        ("shop/bill.py", BILL),
        ("shop/rope.py", OTHER),
    ):
        await u.put(path, data)


async def test_a_symbol_is_found_by_name_and_by_place(inside: Inside) -> None:
    async with user(inside) as u:
        await shop(u)
        by_name = await u("lsp", operation="definition", target="Bill.share")
        assert "shop/bill.py" in by_name.text and "5:    def share(self, people):" in by_name.text
        by_use = await u("lsp", operation="definition", target="shop/bill.py:6:split")
        assert by_use.text.split("\n")[1:3] == ["shop/split.py", "4:def split(cents, people):"]
        assert by_use.details["sure"] == "likely"
        several = await u("lsp", operation="definition", target="shop/rope.py:3")
        assert several.ok is False and "`path:line:name`" in several.text


async def test_uses_callers_and_callees(inside: Inside) -> None:
    async with user(inside) as u:
        await shop(u)
        uses = await u("lsp", operation="references", target="shop/split.py:4")
        assert "1:from shop.split import split" in uses.text
        assert "in Bill.share\n6:return split(self.cents, people)" in uses.text
        assert "rope.py" not in uses.text
        callers = await u("lsp", operation="callers", target="shop/split.py:4")
        assert "6:Bill.share: return split(self.cents, people)" in callers.text
        callees = await u("lsp", operation="callees", target="Bill.again")
        assert "9:Bill.share → shop/bill.py:5" in callees.text


async def test_what_was_written_is_known_at_once(inside: Inside) -> None:
    async with user(inside) as u:
        await shop(u)
        assert (await u("lsp", operation="hover", target="fresh")).ok is False
        await u("write", path="shop/new.py", content='def fresh():\n    """New."""\n')
        assert "New." in (await u("lsp", operation="hover", target="fresh")).text
        await u.bash("rm shop/new.py")
        assert (await u("lsp", operation="hover", target="fresh")).ok is False


async def test_a_name_is_changed_everywhere_or_nowhere(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a.py", b"def old_name():\r\n    return 1\r\n")
        await u.put("b.py", b"from a import old_name\nprint(old_name(), 'old_names')\n")
        await u("read", path="b.py")
        shown = await u("lsp", operation="rename", target="old_name", new_name="newer")
        assert "nothing was changed" in shown.text
        assert await u.bash("cat b.py") == (
            "from a import old_name\nprint(old_name(), 'old_names')\nExit code 0."
        )
        done = await u("lsp", operation="rename", target="old_name", new_name="newer", apply=True)
        assert done.ok, done.text
        assert await u.bash("cat b.py; od -c a.py | grep -c '.r ..n'") == (
            "from a import newer\nprint(newer(), 'old_names')\n2\nExit code 0."
        )
        # What the model had read it still knows; what it had not, it does not.
        assert (await u("edit", path="b.py", old="newer()", new="newer(1)")).ok
        assert (await u("write", path="a.py", content="x")).ok is False


async def test_a_name_with_several_meanings_is_not_changed_by_name(inside: Inside) -> None:
    async with user(inside) as u:
        await shop(u)
        refused = await u("lsp", operation="rename", target="split", new_name="part", apply=True)
        assert (refused.ok, refused.details["reason"]) == (False, "ambiguous_rename")
        assert "def split" in await u.bash("cat shop/split.py shop/rope.py")


async def test_a_name_that_others_may_have_too_is_changed_once_it_was_shown(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a.py", b"class A:\n    def strip(self):\n        pass\n")
        await u.put("b.py", b"def run(text):\n    return text.strip()\n")
        rename = {"operation": "rename", "target": "A.strip", "new_name": "peel"}
        refused = await u("lsp", **rename, apply=True)
        assert (refused.ok, refused.details["reason"]) == (False, "unsure_rename")
        assert "2?:return text.peel()" in (await u("lsp", **rename)).text
        assert "text.strip()" in await u.bash("cat b.py")
        assert (await u("lsp", **rename, apply=True)).ok
        assert "text.peel()" in await u.bash("cat b.py")


async def test_outlines_and_problems(inside: Inside) -> None:
    async with user(inside) as u:
        await shop(u)
        await u.put("broken.py", b"def f(:\n    pass\n")
        outline = await u("lsp", operation="outline", target="shop/bill.py")
        assert [line.strip() for line in outline.text.split("\n")][:2] == [
            "4-9:class Bill",
            "5-6:def share(self, people)",
        ]
        problems = await u("lsp", operation="diagnostics", target="broken.py")
        assert "1:error:" in problems.text
        assert (await u("lsp", operation="outline", target="/etc/passwd")).ok is False


async def test_no_control_sequence_and_no_path_of_the_host_comes_out(inside: Inside) -> None:
    async with user(inside) as u:
        await u.put("a\x1b[2J.py", b"def evil():\n    '''\x1b]0;title\x07'''\n")
        for operation in ("definition", "hover", "references", "callers", "symbols"):
            text = (await u("lsp", operation=operation, target="evil")).text
            assert "\x1b" not in text and "\x07" not in text
            assert "evil" in text


async def test_a_call_is_one_trip() -> None:
    from tests.tools.fake import FakeSandbox, FakeToolbox, use

    toolbox = FakeToolbox({**ONE})
    await use("lsp", context(FakeSandbox(toolbox=toolbox)), operation="symbols", target="x")
    assert [call["op"] for call in toolbox.calls] == ["lsp"]
