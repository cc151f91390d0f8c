"""What `glob`, `ls` and `grep` say, compared with `snapshots/finding.txt`."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.core.errors import ToolboxError
from agent.core.limits import RESULT_MAX_BYTES
from agent.core.messages import ToolResult
from agent.tools import finding
from agent.tools.base import schema_of
from agent.tools.places import several
from tests.snapshots import assert_snapshot
from tests.tools.fake import TOOLS, FakeSandbox, FakeToolbox, context, said, use

SNAPSHOTS = Path(__file__).parent / "snapshots"

NAMES = {"ok": True, "paths": ["src/a.py", "src/b\nc.py"], "total": 2, "searched": 40}
NONE = {**NAMES, "paths": [], "total": 0}
ENTRIES = {
    "ok": True,
    "total": 7,
    "entries": [
        {"name": "build/", "ignored": True},
        {"name": "empty/"},
        {"name": "src/", "files": 120},
        {"name": "src/lib/", "files": 1, "more": 5},
        {"name": "src/lib/a.py", "size": 90},
        {"name": "src/main.py", "size": 12_345},
        {"name": "data", "size": 3_000_000},
        {"name": "huge", "size": 5_000_000_000},
        {"name": "link", "target": "../else\x1b[2J"},
    ],
}
HITS = {
    "ok": True,
    "total": 5,
    "files": 2,
    "searched": 900,
    "of": 900,
    "form": "text",
    "found": [
        {
            "path": "src/a.py",
            "count": 4,
            "hits": [
                [3, "import run", "", "", False],
                [10, "def run(self):", "Job.run", "Job", True],
                [12, "return run", "Job.run", "Job", False],
                [40, "run()", "main", "", False],
            ],
        },
        {"path": "src/b.py", "count": 1, "hits": [[7, "run()", "Other.go", "Other", False]]},
    ],
}
COUNTS = {
    **HITS,
    "form": "counts",
    "total": 4_000,
    "files": 500,
    "found": [{"path": f"src/{n}.py", "count": 90 - n} for n in range(3)],
    "best": HITS["found"],
    "folders": [["src/lib", 300, 20], ["", 2, 1]],
}


def no(reason: str, **more: Any) -> dict[str, Any]:
    return {"ok": False, "reason": reason, "path": "/workspace/x", **more}


def glob(answer: Any) -> Awaitable[ToolResult]:
    return said("glob", answer, pattern="*.py")


def ls(answer: Any) -> Awaitable[ToolResult]:
    return said("ls", answer, path="x")


def grep(answer: Any, **arguments: Any) -> Awaitable[ToolResult]:
    return said("grep", answer, **{"pattern": "run", "path": "x", **arguments})


def cases() -> dict[str, Awaitable[ToolResult]]:
    first = [{**HITS["found"][0], "around": [[2, "# two"], [11, "\tpass"], [41, "# end"]]}]
    return {
        "glob: some": glob(NAMES),
        "glob: one": glob({**NAMES, "paths": ["a"], "total": 1}),
        "glob: very many": glob({**NAMES, "total": 12_000, "complete": False}),
        "glob: none": glob(NONE),
        "glob: none but ignored": glob({**NAMES, "widened": True}),
        "glob: names with brackets": glob({**NAMES, "as_written": True}),
        "glob: none but directories": glob({**NONE, "folders": ["src/migrations/"]}),
        "glob: absent": glob(no("absent")),
        "glob: absent, with others": glob(no("absent", nearest=["/workspace/xy"])),
        "glob: a pattern that is none": glob(no("bad_pattern", why="a brace is not closed")),
        "ls: two levels": ls(ENTRIES),
        "ls: nothing": ls({"ok": True, "entries": [], "total": 0}),
        "ls: very many": ls({**ENTRIES, "total": 900}),
        "ls: not counted": ls(
            {**ENTRIES, "entries": [{"name": "src/", "files": -1}], "total": 1, "complete": False}
        ),
        "ls: denied": ls(no("denied", why="Permission denied")),
        "ls: not to be listed": ls(no("directory")),
        "grep: few": grep(HITS),
        "grep: one": grep({**HITS, "total": 1, "files": 1, "found": HITS["found"][1:]}),
        "grep: in one file, with lines around": grep(
            {**HITS, "total": 4, "files": 1, "found": first}, context=1
        ),
        "grep: many": grep({**HITS, "total": 80, "form": "places"}),
        "grep: very many": grep(COUNTS),
        "grep: counts": grep({**COUNTS, "best": [], "folders": []}, mode="count"),
        "grep: files": grep({**COUNTS, "form": "files", "best": []}, mode="files"),
        "grep: none": grep({**HITS, "total": 0, "files": 0, "found": []}),
        "grep: nothing to search": grep({**HITS, "total": 0, "found": [], "searched": 0, "of": 0}),
        "grep: an escaped bar": grep({**HITS, "total": 0, "found": []}, pattern="a\\|b"),
        "grep: no regular expression": grep({**HITS, "unusual": "missing ), unterminated"}),
        "grep: only ignored": grep({**HITS, "widened": True}),
        "grep: cut short": grep({**HITS, "searched": 300, "complete": False, "slow": ["a.js"]}),
        "grep: more files than can be": grep({**HITS, "complete": False}),
        "grep: a pattern for a path": grep(no("absent", nearest=["/workspace/a"]), path="a/*/b"),
        "grep: too slow": grep(no("too_slow")),
        "grep: ended without an answer": grep(no("failed")),
        "grep: a reason unknown to us": grep(no("phase_of_the_moon")),
    }


async def test_every_result_reads_as_it_did() -> None:
    results = {name: await case for name, case in cases().items()}
    text = "".join(
        f"=== {name} ({'ok' if result.ok else 'not ok'})\n{result.text}\n\n"
        for name, result in results.items()
    )
    assert_snapshot(SNAPSHOTS / "finding.txt", text)


def test_every_sentence_is_in_the_snapshot() -> None:
    text = (SNAPSHOTS / "finding.txt").read_text("utf-8")
    sentences = {k: v for k, v in vars(finding).items() if isinstance(v, str) and k.isupper()}
    sentences |= finding.REFUSALS
    parts = {name: re.split(r"\{[^}]*\}", sentence) for name, sentence in sentences.items()}
    assert [n for n, p in parts.items() if not re.search(".*".join(map(re.escape, p)), text)] == []


def test_schemas_are_as_they_were() -> None:
    tools = [tool for tool in TOOLS if tool.name in ("glob", "ls", "grep", "read")]
    shown = {t.name: [t.description, schema_of(t.arguments), t.reads_only] for t in tools}
    text = msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n"
    assert_snapshot(SNAPSHOTS / "finding_schemas.json", text)


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("", []),
        ("*.py", ["*.py"]),
        ("*.{ts,tsx}, !dist/**", ["*.{ts,tsx}", "!dist/**"]),
        ("[a,b],c", ["[a,b]", "c"]),
        (r"a\,b,c\{,d", [r"a\,b", r"c\{", "d"]),
        ("a,,b,", ["a", "b"]),
        ("}},a", ["}}", "a"]),
    ],
)
def test_patterns_are_separated_by_commas(text: str, patterns: list[str]) -> None:
    assert several(text) == patterns


@pytest.mark.parametrize("answer", [{"ok": True}, {"ok": True, **HITS, "form": "song"}])
async def test_an_answer_that_does_not_fit_is_no_answer(answer: dict[str, Any]) -> None:
    result = await grep(answer)
    assert (result.ok, result.details["problem"]) == (False, "ToolboxError")


@pytest.mark.parametrize("form", ["text", "places", "counts", "files"])
async def test_a_toolbox_that_lies_cannot_flood_or_dress_up_the_answer(form: str) -> None:
    evil = "\x1b]0;x\x07\x9b2J\u202e\r" + "x" * 10_000
    file = {"path": evil, "count": 10**9, "hits": [[1, evil, evil, evil, False]] * 100}
    answer = {**HITS, "form": form, "found": [file] * 100, "best": [file], "unusual": evil}
    result = await grep({**answer, "slow": [evil], "folders": [[evil, 1, 1]] * 1_000})
    assert len(result.text.encode()) <= RESULT_MAX_BYTES + 200
    assert not set("\x1b\x07\x9b\u202e") & set(result.text)
    assert "\r" not in result.text or form != "files"


async def test_a_broken_toolbox_says_nothing_of_the_host() -> None:
    for name, arguments in [("glob", {"pattern": "*"}), ("grep", {"pattern": "x"}), ("ls", {})]:
        toolbox = FakeToolbox(error=ToolboxError("/home/someone/secret"))
        result = await use(name, context(FakeSandbox(toolbox=toolbox)), **arguments)
        assert "someone" not in result.text
