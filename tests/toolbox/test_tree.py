"""The one list of files: as git gives it, and the same where there is no git to ask."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.toolbox.search import tree
from agent.toolbox.search.tree import Tree, listed, scan


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=u", "-c", "user.email=u@localhost", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def grow(folder: Path, files: dict[str, str] | Iterable[str]) -> Path:
    """Files with these contents, or empty ones of these names."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name] if isinstance(files, dict) else "")
    return folder


def ours(root: Path, monkeypatch: pytest.MonkeyPatch, **wanted: bool) -> Tree:
    """The list without git."""
    with monkeypatch.context() as here:
        here.setattr(tree.shutil, "which", lambda _: None)  # as on a machine that has none
        found = scan(str(root), **wanted)
    assert not found.by_git
    return found


FILES = {
    ".gitignore": "*.log\nbuild/\n!keep.log\n/top\ndeep/**/x\n",
    "a.py": "",
    "a.log": "",
    "keep.log": "",
    "top": "",
    "in/top": "",
    "in/.gitignore": "!b.log\n*.tmp\n",
    "in/b.log": "",
    "in/c.tmp": "",
    "build/out.py": "",
    "in/build/out.py": "",
    "deep/x": "",
    "deep/er/x": "",
    "deep/er/y": "",
    ".hidden/file": "",
    "tracked.log": "",
}


def test_git_and_our_walk_list_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(grow(tmp_path, FILES), "init", "-q")
    expected = sorted(git(tmp_path, "ls-files", "-o", "--exclude-standard").splitlines())
    assert "in/b.log" in expected
    assert "deep/er/x" not in expected
    by_git = scan(str(tmp_path))
    assert (by_git.by_git, by_git.paths) == (True, expected)
    assert ours(tmp_path, monkeypatch).paths == expected
    below = [path[3:] for path in expected if path.startswith("in/")]
    assert scan(str(tmp_path / "in")).paths == below
    assert ours(tmp_path / "in", monkeypatch).paths == below


def test_what_is_tracked_is_listed_though_ignored_and_not_when_deleted(tmp_path: Path) -> None:
    git(grow(tmp_path, FILES), "init", "-q")
    git(tmp_path, "add", "-f", "tracked.log", "a.py", "in/top")
    git(tmp_path, "commit", "-qm", "first")
    (tmp_path / "in/top").unlink()
    found = scan(str(tmp_path))
    assert {"tracked.log", "a.py"} <= set(found.paths)
    assert "in/top" not in found.paths
    assert found.loose == frozenset(found.paths) - {"tracked.log", "a.py"}


def test_hidden_and_ignored_files_are_listed_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(grow(tmp_path, FILES), "init", "-q")
    plain = list(listed(str(tmp_path), hidden=False))
    assert plain == [path for path in listed(str(tmp_path)) if "/." not in f"/{path}"]
    assert ours(tmp_path, monkeypatch, hidden=False).paths == plain
    assert list(listed(str(tmp_path), ignored=True)) == sorted(FILES)


def test_a_repository_in_the_repository_is_listed_by_its_own_rules(tmp_path: Path) -> None:
    git(grow(tmp_path, ["a", "vendor/lib/b", "vendor/lib/c.o"]), "init", "-q")
    git(grow(tmp_path / "vendor/lib", {".gitignore": "*.o\n"}), "init", "-q")
    git(tmp_path / "vendor/lib", "add", ".")
    git(tmp_path / "vendor/lib", "commit", "-qm", "first")
    expected = ["a", "vendor/lib/.gitignore", "vendor/lib/b"]
    assert list(listed(str(tmp_path))) == expected
    git(tmp_path, "add", ".")  # now it is an entry of the outer index, as a submodule is
    found = scan(str(tmp_path))
    assert (found.paths, found.loose) == (expected, frozenset())
    assert found.nested == frozenset(expected[1:])


def test_a_broken_git_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(grow(tmp_path, ["a", "b.log"]), "init", "-q")
    grow(tmp_path, {".gitignore": "*.log\n", ".git/index": "not an index"})
    found = scan(str(tmp_path))
    assert (found.by_git, found.paths) == (False, [".gitignore", "a"])
    (tmp_path / ".git/index").unlink()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_WORK_TREE", "/")
    assert scan(str(tmp_path)).by_git


def test_ignore_rules_hold_without_a_repository(tmp_path: Path) -> None:
    grow(tmp_path, {".gitignore": "*.log\n", "a.log": "", "b": "", "c/d.log": ""})
    assert list(listed(str(tmp_path))) == [".gitignore", "b"]


def test_links_are_named_and_never_followed(tmp_path: Path) -> None:
    grow(tmp_path, ["src/a"])
    (tmp_path / "src/loop").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "gone").symlink_to("/nowhere/at/all")
    os.mkfifo(tmp_path / "fifo")
    for _ in range(2):
        found = scan(str(tmp_path), hidden=False)
        assert found.paths == ["gone", "self", "src/a", "src/loop"]
        assert found.links == {"gone", "self", "src/loop"}
        git(tmp_path, "init", "-q")  # the second time round git lists them
    assert found.by_git


def test_an_ignore_file_that_never_ends_or_is_a_link_to_nowhere(tmp_path: Path) -> None:
    grow(tmp_path, ["a/x", "b/x", "c/x"])
    os.mkfifo(tmp_path / "a/.gitignore")
    (tmp_path / "b/.gitignore").symlink_to("/dev/zero")
    (tmp_path / "c/.gitignore").symlink_to(".gitignore")
    assert list(listed(str(tmp_path), hidden=False)) == ["a/x", "b/x", "c/x"]


def test_the_list_is_bounded_in_number_depth_and_time(tmp_path: Path) -> None:
    grow(tmp_path, [f"d{n % 10}/f{n}" for n in range(100)])
    some = scan(str(tmp_path), most=30)
    assert (len(some.paths), some.complete) == (30, False)
    late = scan(str(tmp_path), seconds=-1)
    assert (late.paths, late.complete) == ([], False)
    git(tmp_path, "init", "-q")
    some = scan(str(tmp_path), most=30)
    assert (len(some.paths), some.complete, some.by_git) == (30, False, True)
    assert scan(str(tmp_path)).complete
    folder = tmp_path
    for _ in range(250):
        folder = folder / "x"
        folder.mkdir()
    (folder / "end").touch()
    assert len(scan(str(tmp_path), ignored=True).paths) == 100


@pytest.mark.slow
def test_a_hundred_thousand_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in range(1_000):
        (tmp_path / f"d{folder}").mkdir()
        for file in range(100):
            (tmp_path / f"d{folder}/f{file}").touch()
    git(tmp_path, "init", "-q")
    by_git = scan(str(tmp_path))
    assert (by_git.by_git, by_git.complete, len(by_git.paths)) == (True, True, 100_000)
    assert ours(tmp_path, monkeypatch).paths == by_git.paths


def test_names_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(os.fsdecode(name) for name in (b"bad-\xff", b"a\nb", b'\xc3\xa9 "q"', b"-rf"))
    git(grow(tmp_path, names), "init", "-q")
    assert scan(str(tmp_path)).paths == names
    assert ours(tmp_path, monkeypatch).paths == names


NAMES = st.sampled_from(["a", "b", "ab", "a.b", ".a", "a b", "[a]", "a*", "b\\"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
SHAPES = r"a b ab . * ** ? / / [ab] [!a] [a- \ \* ! # [[:alpha:]] [^b] []a] /**/ **/ /**"
PIECES = st.sampled_from([*SHAPES.split(), " "])
RULES = st.lists(st.lists(PIECES, min_size=1, max_size=4).map("".join), max_size=5).map("\n".join)


@settings(max_examples=60)
@given(
    files=st.sets(PATHS, min_size=1, max_size=12),
    rules=st.dictionaries(st.sampled_from(["", "a/", "b/", "a/b/"]), RULES, max_size=2),
)
def test_any_rules_mean_to_us_what_they_mean_to_git(
    tmp_path_factory: pytest.TempPathFactory, files: set[str], rules: dict[str, str]
) -> None:
    root = tmp_path_factory.mktemp("rules")
    for path in sorted(files):
        if not any(other.startswith(f"{path}/") for other in files):
            grow(root, [path])
    for folder, text in rules.items():
        if not any((root / part).is_file() for part in ("a", "a/b", "b")):
            grow(root, {f"{folder}.gitignore": text})
    git(root, "init", "-q")
    expected = scan(str(root))
    with pytest.MonkeyPatch.context() as here:
        assert expected.by_git
        assert ours(root, here).paths == expected.paths
