"""Every sentence the tools can say, filled in and compared with `snapshots/wording.txt`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.core.errors import ToolboxError
from agent.core.messages import ToolResult
from agent.sandbox.protocol import ExecResult
from agent.tools import wording
from agent.tools.base import schema_of
from tests.snapshots import assert_snapshot
from tests.tools import cases_jobs
from tests.tools.fake import TOOLS, FakeSandbox, FakeToolbox, context, said, shown, use

SNAPSHOTS = Path(__file__).parent / "snapshots"

FILE = {"path": "/workspace/a.py", "hash": "h1"}
PICTURE = {"ok": True, **FILE, "kind": "image/png", "size": 9, "why": "4x3 pixels", "image": "AA=="}
TEXT = {"ok": True, **FILE, "text": "one\ntwo", "first": 1, "last": 2, "total": 2}


def no(reason: str, **more: Any) -> dict[str, Any]:
    return {"ok": False, "reason": reason, "path": "/workspace/a.py", **more}


def read(answer: Mapping[str, Any]) -> Awaitable[ToolResult]:
    return said("read", answer, path="a.py")


def broken() -> Awaitable[ToolResult]:
    sandbox = FakeSandbox(toolbox=FakeToolbox(error=ToolboxError("/home/someone/secret")))
    return use("read", context(sandbox), path="a.py")


LONG = b"\n".join(b"%d" % n for n in range(1, 1402))


def cases() -> dict[str, Awaitable[ToolResult]]:
    return {
        "read: a whole file": read(TEXT),
        "read: an empty file": read({**TEXT, "text": "", "first": 0, "last": 0, "total": 0}),
        "read: the first part": read({**TEXT, "total": 900, "cut": "lines"}),
        "read: the last part": read({**TEXT, "first": 899, "last": 900, "total": 900}),
        "read: long lines": read({**TEXT, "long_lines": [1, 2]}),
        "read: another encoding": read({**TEXT, "encoding": "utf-16-le", "newline": "\r\n"}),
        "read: mixed line ends": read({**TEXT, "newline": "mixed"}),
        "read: invisible characters": read({**TEXT, "text": "a\u202eb\u200b\x1b[2J\ntwo"}),
        "read: an image": read(PICTURE),
        "read: a document": read({**TEXT, "document": "notebook"}),
        "read: several": said("read", {**TEXT, "total": 9}, path=["a.py", "b.py"]),
        "read: several images": said("read", {**PICTURE, "image": "AAAA" * 10**6}, path=["a", "b"]),
        "read: none at all": said("read", TEXT, path=[]),
        "read: too large an image": read(no("too_large_image", why="9000x10 pixels", size=10**6)),
        "read: a document nobody reads": read(no("no_reader", kind="pdf document")),
        "read: a broken document": read(no("unreadable", kind="pdf document", why="it ended")),
        "read: absent": read(no("absent", nearest=[])),
        "read: absent, with others": read(
            no("absent", nearest=["/workspace/b.py", "/workspace/c.py"])
        ),
        "read: binary": read(no("binary", kind="PNG image", size=2048)),
        "read: special": read(no("special", kind="socket")),
        "read: denied": read(no("denied", why="Permission denied")),
        "read: too large": read(no("too_large", size=10**9)),
        "read: past the end": read(no("past_end", total=12)),
        "read: a reason unknown to us": read(no("phase_of_the_moon")),
        "read: the toolbox fails": broken(),
        "bash: done": shown(ExecResult(0, b"hello\n")),
        "bash: failed": shown(ExecResult(2, b"no\n")),
        "bash: silent": shown(ExecResult(0, b"")),
        "bash: a signal": shown(ExecResult(-9, b"half\n")),
        "bash: the deadline": shown(ExecResult(None, b"half\n", timed_out=True), seconds=5),
        "bash: binary": shown(ExecResult(0, bytes(range(256)) * 4)),
        "bash: colours": shown(
            ExecResult(0, b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2Kx\x1b[\n")
        ),
        "bash: many short lines": shown(ExecResult(0, LONG)),
        "bash: much": shown(ExecResult(0, b"a" * 30_000, dropped=5_000, log="/tmp/glovebox/c.log")),
        "bash: very much": shown(
            ExecResult(0, b"a" * 30_000, dropped=10**9, log="/tmp/glovebox/c.log")
        ),
        "bash: much, and no log": shown(ExecResult(1, b"a" * 30_000, dropped=5_000)),
    }


def brief(text: str) -> str:
    """`text` with its very long lines and its long middle cut: the snapshot is for people."""
    lines = [ln if len(ln) < 200 else f"{ln[:20]}<{len(ln)} characters>" for ln in text.split("\n")]
    if len(lines) > 40:
        near = lines.index(wording.GAP) if wording.GAP in lines else 20
        lines = [*lines[:2], "<…>", *lines[near - 2 : near + 3], "<…>", *lines[-4:]]
    return "\n".join(lines)


async def test_every_result_reads_as_it_did() -> None:
    every = cases() | cases_jobs.cases()
    results = {name: await case for name, case in every.items()}
    text = "".join(
        f"=== {name} ({'ok' if result.ok else 'not ok'})\n{brief(result.text)}\n\n"
        for name, result in results.items()
    )
    assert_snapshot(SNAPSHOTS / "wording.txt", text)


def test_every_sentence_is_in_the_snapshot() -> None:
    text = (SNAPSHOTS / "wording.txt").read_text("utf-8")
    elsewhere = {"CUT", "HUNG", "NUMBERED"}  # in test_wrap.py
    sentences = {k: v for k, v in vars(wording).items() if isinstance(v, str) and k.isupper()}
    sentences |= wording.REFUSALS | wording.JOB_REFUSALS | wording.JOB_STATES | wording.MISSED
    unseen = [
        name
        for name, sentence in sentences.items()
        if name not in elsewhere and not re.search(_pattern(sentence), text)
    ]
    assert unseen == []


def _pattern(template: str) -> str:
    return ".*".join(re.escape(part) for part in re.split(r"\{[^}]*\}", template))


def test_tool_schemas_and_descriptions_are_as_they_were() -> None:
    shown = [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": schema_of(tool.arguments),
            "reads_only": tool.reads_only,
        }
        for tool in TOOLS
    ]
    text = msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n"
    assert_snapshot(SNAPSHOTS / "schemas.json", text)
