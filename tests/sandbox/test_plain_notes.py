"""The repository's notes where there is only a shell: found and kept in like with Python."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.core.limits import NOTES_MAX_BYTES
from agent.sandbox.plain.toolbox import PlainToolbox
from tests.toolbox.test_notes import NAMES, put


class Sh:
    """A shell of this machine."""

    async def run(self, script: str, *words: str, stdin: bytes = b"", on_output: Any = None) -> int:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", script, "sh", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate(stdin)
        if on_output is not None:
            on_output(said)
        assert process.returncode is not None
        return process.returncode


async def no_put(path: str, data: bytes, *, mode: int = 0) -> None:
    raise AssertionError


def toolbox(root: Path) -> PlainToolbox:
    return PlainToolbox(Sh(), str(root), no_put)


async def found(root: Path, files: list[str], **more: Any) -> list[tuple[str, str, bool]]:
    asked: dict[str, Any] = {"names": NAMES, "known": [], "bytes": NOTES_MAX_BYTES, **more}
    answer = await toolbox(root).call("notes", files=files, **asked)
    assert answer["ok"] is True
    return [(n["path"], n["text"], n["cut"]) for n in answer["notes"]]


async def test_notes_on_the_way_to_files_are_found_within_the_work_directory(
    tmp_path: Path,
) -> None:
    root = tmp_path / "work dir"
    put(root, AGENTS="root", a__AGENTS="in a\nmore", a__b__CLAUDE="in b", c__AGENTS="a\0b")
    put(tmp_path, AGENTS="outside")
    (root / "CLAUDE.md").symlink_to("AGENTS.md")
    (root / "d").mkdir()
    (root / "d/AGENTS.md").symlink_to(tmp_path / "AGENTS.md")
    (root / "e").symlink_to(tmp_path)
    (root / ".git").mkdir()
    (root / ".git/AGENTS.md").write_text("not of the repository")
    files = ["a/b/x.py", str(root / "c/y"), "d/x", "e/x", "../x", "/etc/x", ".git/x"]
    assert await found(root, files) == [
        ("AGENTS.md", "root", False),
        ("a/AGENTS.md", "in a\nmore", False),
        ("a/b/CLAUDE.md", "in b", False),
    ]
    assert await found(root, files, known=["AGENTS.md", "a/AGENTS.md"], bytes=3) == [
        ("a/b/CLAUDE.md", "in ", True)
    ]


@pytest.mark.parametrize("most", [1, 9])
async def test_the_files_are_listed(tmp_path: Path, most: int) -> None:
    put(tmp_path, a="", b__c="")
    answer = await toolbox(tmp_path).call("paths", most=most)
    assert len(answer["paths"]) == min(most, 2)
    assert {name.removeprefix("./") for name in answer["paths"]} <= {"a.md", "b/c.md"}
