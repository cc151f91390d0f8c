"""The repository's notes, asked of a real toolbox: which are found, and which cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.toolbox.conftest import Use

NAMES = ["AGENTS.md", "CLAUDE.md"]


def put(root: Path, **texts: str) -> None:
    """`a__AGENTS` is `a/AGENTS.md`."""
    for name, text in texts.items():
        path = root / (name.replace("__", "/") + ".md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(use: Use, files: list[str], **more: Any) -> list[tuple[str, str, bool]]:
    asked: dict[str, Any] = {"names": NAMES, "files": files, "known": [], "bytes": 1_000, **more}
    answer = use("notes", **asked)
    assert answer["ok"] is True
    return [(n["path"], n["text"], n["cut"]) for n in answer["notes"]]


def test_those_at_the_root_and_on_the_way_to_a_file_are_found(tmp_path: Path, use: Use) -> None:
    put(tmp_path, CLAUDE="root", a__AGENTS="in a", a__b__AGENTS="in b", c__AGENTS="in c")
    assert found(use, []) == [("CLAUDE.md", "root", False)]
    files = ["a/b/x.py", str(tmp_path / "a/y.py"), "not/there.py"]
    assert [n[0] for n in found(use, files)] == ["CLAUDE.md", "a/AGENTS.md", "a/b/AGENTS.md"]
    known = found(use, files, known=["CLAUDE.md", "a/AGENTS.md"])
    assert known == [("a/b/AGENTS.md", "in b", False)]


def test_a_link_is_followed_only_within_the_work_directory(tmp_path: Path, use: Use) -> None:
    outside = tmp_path.parent / "outside.md"
    outside.write_text("secret")
    put(tmp_path, AGENTS="root", real__AGENTS="in real")
    (tmp_path / "CLAUDE.md").symlink_to("AGENTS.md")  # as many repositories have it: said once
    (tmp_path / "a").mkdir()
    (tmp_path / "a/AGENTS.md").symlink_to(outside)
    (tmp_path / "b").symlink_to(tmp_path.parent)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/AGENTS.md").symlink_to("loop")
    (tmp_path / "c/loop").symlink_to("AGENTS.md")
    (tmp_path / ".git").mkdir()
    put(tmp_path, d__CLAUDE="in d")
    (tmp_path / ".git/AGENTS.md").write_text("not of the repository")
    files = ["a/x", "b/x", "../x", "/etc/passwd", "c/x", ".git/x", "d/x"]
    assert found(use, files) == [("AGENTS.md", "root", False), ("d/CLAUDE.md", "in d", False)]


def test_what_is_no_text_is_left_out_and_what_is_long_is_cut(tmp_path: Path, use: Use) -> None:
    put(tmp_path, AGENTS="a\0b", a__AGENTS=" \n", b__AGENTS="x" * 600, c__AGENTS="é" * 300)
    put(tmp_path, d__AGENTS="too late")
    (tmp_path / "CLAUDE.md").mkdir()
    notes = found(use, ["a/x", "b/x", "c/x", "d/x"])
    assert [(path, len(text), cut) for path, text, cut in notes] == [
        ("b/AGENTS.md", 600, False),
        ("c/AGENTS.md", 200, True),
    ]


def test_the_paths_of_all_files_are_listed(tmp_path: Path, use: Use) -> None:
    put(tmp_path, a="", b__c="", d="")
    assert use("paths", most=100)["paths"] == ["a.md", "b/c.md", "d.md"]
    assert len(use("paths", most=2)["paths"]) == 2
