"""What `write`, `edit`, `multiedit` and `patch` tell a model, by the real toolbox on real files.

`snapshots/changes.txt` has each text. What a healthy machine does not do is told by a fake.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from agent.core.messages import ToolResult
from agent.tools import changewords, wording
from agent.tools.base import Seen
from tests.snapshots import assert_snapshot
from tests.tools.conftest import bare
from tests.tools.fake import TOOLS, FakeSandbox, FakeToolbox, context

SNAPSHOTS = Path(__file__).parent / "snapshots"

SHOP = """\
class Shop:
    def total(self, items):
        tax = 1
        return tax

    def name(self):
        return "shop"


class Market:
    def total(self, items):
        tax = 1
        return tax
"""
NUMBERS = "".join(f"line {n}\n" for n in range(1, 41))
FILES: Mapping[str, bytes] = {
    "shop.py": SHOP.encode(),
    "numbers.txt": NUMBERS.encode(),
    "tabs.go": b"func f() {\n\tif x {\n\t\ta()\n\t}\n}\n",
    "blanks.txt": b"one  \ntwo\n",
    "latin.txt": b"caf\xe9\n",
    "data.bin": b"\x89PNG\0\0",
    "empty.txt": b"",
    "rows.txt": "".join(f"{n}\n" if n % 20 else "x\n" for n in range(1, 800)).encode(),
    "long.txt": b"x" * 5_000 + b"needle" + b"x" * 5_000 + b"\n",
    "docs/readme.md": b"# read me\n",
}


@dataclass(frozen=True)
class Ask:
    """One call: what it is for, the tool, its arguments, and what was read before."""

    name: str
    tool: str
    arguments: dict[str, Any]
    read: tuple[str, ...] = ()
    change: Mapping[str, bytes] = field(default_factory=dict[str, bytes])  # after the reading
    failed: Mapping[str, int] = field(default_factory=dict[str, int])


def edit(name: str, path: str, old: str, new: str, **more: Any) -> Ask:
    asked = {key: more.pop(key) for key in ("all",) if key in more}
    return Ask(name, "edit", {"path": path, "old": old, "new": new, **asked}, **more)


def multi(name: str, *edits: tuple[str, str, str], **more: Any) -> Ask:
    each = [{"path": path, "old": old, "new": new} for path, old, new in edits]
    return Ask(name, "multiedit", {"edits": each}, **more)


def write(name: str, path: str, content: str, **more: Any) -> Ask:
    return Ask(name, "write", {"path": path, "content": content}, **more)


def patch(name: str, body: str, **more: Any) -> Ask:
    return Ask(name, "patch", {"patch": f"*** Begin Patch\n{body}*** End Patch\n"}, **more)


def raw(name: str, text: str) -> Ask:
    return Ask(name, "patch", {"patch": text})


ASKED = [
    write("a new file", "new/a.txt", "one\ntwo\n"),
    write("over a file that was read", "shop.py", "x = 1\n", read=("shop.py",)),
    write("a new file that is not right", "new.py", "def f(:\n    pass\n"),
    edit("once", "numbers.txt", "line 20\n", "line twenty\nand a half\n"),
    edit("at distant places", "shop.py", "total", "sum", all=True),
    edit("down to nothing", "blanks.txt", "one  \ntwo\n", ""),
    edit("on a long line", "long.txt", "needle", "pin"),
    edit("at very many places", "numbers.txt", "line", "row", all=True),
    edit("of too many lines to show", "numbers.txt", "line 3\n", "line\n" * 200),
    edit("at too many to show", "rows.txt", "x\n", "y\n", all=True),
    edit("with other blanks", "blanks.txt", "one\ntwo\n", "one\n2\n"),
    edit("with other indentation", "tabs.go", "if x {\n    a()\n}", "if x {\n    b()\n}"),
    edit("by first and last line", "shop.py",
         "class Shop:\n    def total(self, item):\n        tax = 1\n        return tax\n",
         "class Shop:\n    def total(self, item):\n        tax = 2\n        return tax\n"),
    edit("that breaks the syntax", "shop.py", "def name(self):", "def name(self:"),
    edit("absent text, with places", "shop.py", "        tax = 2\n        return taxes\n", "x"),
    edit("absent text", "shop.py", "qqqqqq", "x"),
    edit("absent text, there already", "numbers.txt", "row 3", "line 3\n"),
    edit("absent text for the third time", "shop.py", "qqqqqq", "x", failed={"shop.py": 2}),
    edit("ambiguous", "shop.py", "tax = 1", "tax = 2"),
    edit("ambiguous for the third time", "shop.py", "tax = 1", "t", failed={"shop.py": 2}),
    edit("very ambiguous", "numbers.txt", "line", "row"),
    edit("ambiguous, blanks apart", "shop.py", "        tax = 1 \n        return tax", "pass"),
    edit("ambiguous, indentation apart", "shop.py", "tax = 1\nreturn tax", "pass"),
    edit("ambiguous by its ends", "shop.py",
         "    def total(self, items):\n        tax = 10\n        return tax", "pass"),
    edit("as JSON writes it", "shop.py", "class Market:\\n    def total(self):", "x"),
    edit("as HTML writes it", "shop.py", "return &quot;shop&quot;", "x"),
    edit("near a single line", "shop.py", "        return tacks\n", "x"),
    edit("the same", "shop.py", "tax", "tax"),
    edit("nothing", "shop.py", "", "tax"),
    edit("an encoding", "latin.txt", "caf", "日"),
    edit("binary", "data.bin", "PNG", "x"),
    edit("a directory", "docs", "x", "y"),
    edit("no such file", "docs/readme.txt", "x", "y"),
    edit("no such file, nor one like it", "qqq/zzz", "x", "y"),
    edit("a device", "/dev/null", "x", "y"),
    edit("stale", "shop.py", "tax", "t", read=("shop.py",), change={"shop.py": b"tax\n"}),
    write("unread", "shop.py", "x\n"),
    write("stale", "shop.py", "x\n", read=("shop.py",), change={"shop.py": b"y\n"}),
    write("a directory", "docs", "x\n"),
    multi("two files", ("shop.py", "name", "title"), ("numbers.txt", "line 7\n", "seven\n")),
    multi("back and forth", ("shop.py", "name", "title"), ("shop.py", "title", "name")),
    multi("one of three fails", ("shop.py", "name", "title"), ("shop.py", "tax = 1", "t"),
          ("numbers.txt", "line 7\n", "seven\n")),
    multi("many fail", *[("shop.py", f"qqq {n}", "x") for n in range(7)]),
    multi("all kinds fail", ("gone.txt", "a", "b"), ("docs", "a", "b"), ("data.bin", "a", "b"),
          ("shop.py", "tax = 2", "tax = 3"), ("shop.py", "", "x")),
    patch("of every kind",
          "*** Update File: shop.py\n@@ class Market:\n-        tax = 1\n+        tax = 2\n"
          "*** Add File: new.txt\n+one\n*** Delete File: blanks.txt\n"
          "*** Update File: docs/readme.md\n*** Move to: README.md\n"
          "*** Update File: numbers.txt\n*** Move to: docs/n.txt\n@@\n line 1\n-line 2\n+2\n"),
    raw("of a mode", "diff --git a/shop.py b/shop.py\nold mode 100644\nnew mode 100755\n"),
    patch("with a place that is not there",
          "*** Update File: numbers.txt\n@@ def gone():\n-line 2\n+2\n"),
    patch("with fuzz", "*** Update File: numbers.txt\n@@\n gone\n line 1\n-line 2\n+2\n"),
    patch("lines that are not there",
          "*** Update File: shop.py\n@@\n     def total(self, items):\n-        tax = 3\n"
          "+        tax = 2\n         return tax()\n"),
    patch("two places", "*** Update File: shop.py\n@@\n-        tax = 1\n+        tax = 2\n"),
    patch("two places, indentation apart", "*** Update File: shop.py\n@@\n-tax = 1\n+tax = 2\n"),
    patch("two places, and no such heading",
          "*** Update File: shop.py\n@@ class Stall:\n-        tax = 1\n+        tax = 2\n"),
    patch("no place", "*** Update File: shop.py\n@@\n+tax = 2\n"),
    patch("several fail", "*** Delete File: gone\n*** Add File: shop.py\n+x\n"
          "*** Update File: docs/readme.md\n*** Move to: shop.py\n"
          "*** Update File: numbers.txt\n@@\n-line 2\n+2\n@@\n-line 99\n+99\n"),
    patch("a file twice", "*** Update File: shop.py\n@@\n-        return \"shop\"\n+        pass\n"
          "*** Add File: shop.py\n+x\n"),
    patch("a link", "*** Update File: link\n*** Move to: other\n"),
    raw("more than it shows", "--- a/numbers.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-line 1\n"),
    patch("stale", "*** Delete File: shop.py\n", read=("shop.py",), change={"shop.py": b"y\n"}),
    raw("empty", ""),
    raw("no patch", "Please change line 3."),
    raw("escaped", "*** Begin Patch\\n*** Update File: a\\n*** End Patch"),
    patch("a marker", "*** Update File: shop.py\n*** Replace: x\n"),
    patch("outside", "some words\n*** Update File: shop.py\n-x\n"),
    patch("after a deletion", "*** Delete File: shop.py\n-class Shop:\n"),
    patch("a sign missing in a new file", "*** Add File: x\n+one\ntwo\n"),
    patch("no change", "*** Update File: shop.py\n"),
    patch("no sign", "*** Update File: shop.py\n@@\nclass Shop:\n-    def x\n"),
    raw("a link made", "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n"),
    raw("a copy", "diff --git a/shop.py b/b.py\ncopy from shop.py\ncopy to b.py\n"),
    raw("binary", "diff --git a/data.bin b/data.bin\nGIT binary patch\nliteral 1\n"),
]  # fmt: skip

FAKED: list[tuple[str, str, dict[str, Any]]] = [
    ("edit: denied", "denied", {"why": "Read-only file system"}),
    ("edit: no space", "no_space", {"why": "No space left on device"}),
    ("edit: too large", "too_large", {"size": 10**9}),
    ("edit: torn", "torn", {"entries": ["/workspace/a.py", "/workspace/b.py"]}),
    ("edit: a reason unknown to us", "phase_of_the_moon", {}),
]


def fill(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


async def use(sandbox: Any, ask: Ask, seen: Seen) -> ToolResult:
    tool = TOOLS.find(ask.tool)
    assert tool is not None
    ctx = context(sandbox)
    ctx.seen.hashes.update(seen.hashes)
    ctx.seen.failures.update(seen.failures)
    result = await tool.run(msgspec.convert(ask.arguments, tool.arguments), ctx)
    seen.note(result.details)
    return result


async def said(sandbox: Any, ask: Ask) -> ToolResult:
    """What the model reads, the files being what they are in the table."""
    folder = Path(sandbox.workdir)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    fill(folder, FILES)
    os.symlink("shop.py", folder / "link")
    seen = Seen(failures={str(folder / name): count for name, count in ask.failed.items()})
    for name in ask.read:
        await use(sandbox, Ask("", "read", {"path": name}), seen)
    fill(folder, ask.change)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = await use(sandbox, ask, seen)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert result.ok or before == after
    return result


def brief(text: str) -> str:
    lines = [line if len(line) < 500 else f"{line[:20]}<{len(line)} characters>"
             for line in text.split("\n")]  # fmt: skip
    return "\n".join(lines if len(lines) < 60 else [*lines[:5], "<…>", *lines[-5:]])


async def test_every_result_reads_as_it_did(tmp_path: Path) -> None:
    results: dict[str, ToolResult] = {}
    async with bare(tmp_path) as sandbox:
        for ask in ASKED:
            results[f"{ask.tool}: {ask.name}"] = await said(sandbox, ask)
    for name, reason, more in FAKED:
        answer = {"ok": False, "reason": reason, "path": "/workspace/a.py", **more}
        fake = FakeSandbox(toolbox=FakeToolbox(answer))
        asked = Ask("", "edit", {"path": "a.py", "old": "a", "new": "b"})
        results[name] = await use(fake, asked, Seen())
    text = "".join(
        f"=== {name} ({'ok' if result.ok else 'not ok'})\n{brief(result.text)}\n\n"
        for name, result in results.items()
    )
    assert str(tmp_path) not in text
    assert_snapshot(SNAPSHOTS / "changes.txt", text)


def test_every_sentence_is_in_the_snapshot() -> None:
    text = (SNAPSHOTS / "changes.txt").read_text("utf-8")
    sentences: dict[str, str] = {}
    for name, value in vars(changewords).items():
        if isinstance(value, str) and name.isupper():
            sentences[name] = value
        elif isinstance(value, dict) and name.isupper():
            sentences |= {f"{name} {key}": value[key] for key in value}
    shared = ("absent", "binary", "special", "denied", "too_large")
    sentences |= {name: wording.REFUSALS[name] for name in shared}
    unseen = [name for name, text_ in sentences.items() if not re.search(pattern(text_), text)]
    assert unseen == []


def pattern(template: str) -> str:
    return ".*".join(re.escape(part) for part in re.split(r"\{[^}]*\}", template))
