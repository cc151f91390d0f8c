"""glob and ls, asked of a real toolbox."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from agent.toolbox.search import listing
from agent.toolbox.search.glob import BadPattern, Glob, expand
from tests.toolbox.conftest import Use
from tests.toolbox.test_tree import git, grow


@pytest.fixture
def glob(use: Use) -> Use:
    return lambda *patterns, **more: use("glob", patterns=list(patterns), **{"limit": 100, **more})


def test_the_newest_come_first_and_all_are_counted(glob: Use, tmp_path: Path) -> None:
    for age, name in enumerate(("b.py", "a.py", "c/d.py", "e.txt")):
        grow(tmp_path, [name])
        os.utime(tmp_path / name, (1_000 - age, 1_000 - age))
    answer = glob("*.py")
    assert (answer["paths"], answer["total"], answer["searched"]) == (
        ["b.py", "a.py", "c/d.py"],
        3,
        4,
    )
    assert glob("*.py", limit=1)["paths"] == ["b.py"]
    assert glob("*.py", limit=1)["total"] == 3


@pytest.mark.parametrize(
    ("patterns", "more", "found"),
    [
        (["app/**"], {}, ["app/[id]/page.tsx", "app/page.tsx"]),
        (["app/"], {}, ["app/[id]/page.tsx", "app/page.tsx"]),
        (["*.tsx"], {"path": "app"}, ["app/[id]/page.tsx", "app/page.tsx"]),
        (["/*.tsx"], {"path": "app"}, ["app/page.tsx"]),
        (["app/*.tsx"], {"path": "app"}, ["app/page.tsx"]),
        (["./app/*.tsx"], {}, ["app/page.tsx"]),
        (["././app/*.tsx"], {}, ["app/page.tsx"]),
        (["./page.tsx"], {}, []),
        (["**/*.tsx", "!./app/*.tsx"], {}, ["app/[id]/page.tsx"]),
        (["app/[id]/*.tsx"], {}, ["app/[id]/page.tsx"]),
        (["**/.github/**"], {}, [".github/ci.yml"]),
        (["*.yml"], {"all": True}, [".github/ci.yml"]),
        (["*.o"], {}, ["out/a.o"]),
        (["*.o"], {"path": "out"}, ["out/a.o"]),
        (["**", "!app", "!*.o"], {}, ["link", "main.py"]),
        (["main.py"], {"path": "main.py"}, ["main.py"]),
    ],
)
def test_what_is_found(
    glob: Use, tmp_path: Path, patterns: list[str], more: dict[str, Any], found: list[str]
) -> None:
    names = [".github/ci.yml", "app/[id]/page.tsx", "app/page.tsx", "main.py", "out/a.o"]
    git(grow(tmp_path, names), "init", "-q")
    grow(tmp_path, {".gitignore": "out/\n"})
    (tmp_path / "link").symlink_to("main.py")
    answer = glob(*patterns, **more)
    assert sorted(answer["paths"]) == found
    assert answer["widened"] == (found in (["out/a.o"],))
    assert answer["as_written"] == ("[id]" in patterns[0])
    absolute = [pattern if pattern[0] in "*!/" else f"{tmp_path}/{pattern}" for pattern in patterns]
    assert sorted(glob(*absolute, **more)["paths"]) == found


def test_where_nothing_fits(glob: Use, tmp_path: Path) -> None:
    grow(tmp_path, ["src/migrations/0001.py", "src/other/migrations/0002.py"])
    answer = glob("migrations")
    assert (answer["paths"], answer["searched"]) == ([], 2)
    assert answer["folders"] == ["src/migrations/", "src/other/migrations/"]
    assert glob("nothing")["folders"] == []
    assert glob("*", path="nowhere")["reason"] == "absent"
    assert glob("{a,b")["why"] == "a brace is not closed"
    assert glob("{a,b}" * 20)["reason"] == "bad_pattern"


def test_braces() -> None:
    assert expand("a{b,c{d,e}}f") == ["abf", "acdf", "acef"]
    assert expand("{a,}b") == ["ab", "b"]
    assert expand(r"\{a,b\}[{,]") == [r"\{a,b\}[{,]"]
    with pytest.raises(BadPattern):
        expand("{" * 10_000)
    with pytest.raises(BadPattern):
        expand("{a,b}" * 30)


def test_no_pattern_takes_for_ever() -> None:
    path = ["a" * 255] * 60
    for pattern in ("*a" * 60 + "b", "*?" * 60 + "b", "**/a*/" * 40 + "b", "*[a]" * 100 + "[!a]"):
        assert not Glob(pattern).matches(path)


def test_a_folder_is_listed_by_levels(use: Use, tmp_path: Path) -> None:
    files = {"a/b/c.py": "xx", "a/d.py": "", "e": "xyz", "out/f": "", ".gitignore": "out\n*.tmp\n"}
    git(grow(tmp_path, {**files, "g.tmp": ""}), "init", "-q")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "empty").mkdir()

    def shown(**more: Any) -> list[tuple[str, int, int, bool]]:
        entries = use("ls", **more)["entries"]
        return [(e["name"], e["files"], e["size"], e["ignored"]) for e in entries]

    top = [
        (".git/", 0, 0, True),
        ("a/", 2, 0, False),
        ("empty/", 0, 0, False),
        ("out/", 0, 0, True),
        (".gitignore", 0, 10, False),
        ("e", 0, 3, False),
        ("g.tmp", 0, 0, True),
        ("link", 0, 0, False),
    ]
    assert shown() == top
    inner = [("a/b/", 1, 0, False), ("a/b/c.py", 0, 2, False), ("a/d.py", 0, 0, False)]
    assert shown(depth=3) == [*top[:2], *inner, *top[2:]]
    assert shown(path="e") == [("e", 0, 3, False)]
    assert [name for name, *_ in shown(path="link")] == ["b/", "d.py"]
    assert use("ls", path="nowhere")["reason"] == "absent"


def test_a_listing_is_bounded(use: Use, tmp_path: Path) -> None:
    grow(tmp_path, [f"many/f{n}" for n in range(400)])
    whole, below = use("ls", path="many"), use("ls", depth=2)
    assert (len(whole["entries"]), whole["total"]) == (300, 400)
    assert (len(below["entries"]), below["entries"][0]["more"]) == (61, 340)


def test_where_files_are_not_counted_none_is_called_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(tmp_path, {"a/b": "x", "c": "xy"})
    monkeypatch.setattr(listing, "COUNT_SECONDS", -1.0)
    answer = listing.ls({"path": "."}, {"workdir": str(tmp_path)})
    told = [(e["name"], e["files"], e["size"], e["ignored"]) for e in answer["entries"]]
    assert (answer["complete"], told) == (False, [("a/", -1, 0, False), ("c", 0, 2, False)])
