"""The same answers as ripgrep with the same rules, by whatever program they are found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.toolbox.files.text import decode
from agent.toolbox.search import listing
from agent.toolbox.search import worker as search
from agent.toolbox.search.choose import Filter
from agent.toolbox.search.finders import GIT_GREP, NONE, RIPGREP
from agent.toolbox.search.glob import BadPattern
from tests.toolbox.ripgrep import rg as rg
from tests.toolbox.test_tree import git, grow

PACKAGES = ("litellm", "openai", "pip", "pygments", "setuptools")
IGNORED = "*.json\n/pip/_vendor/\nlocale/\n!**/pricing*.json\n**/proxy/**/*.tsx\n[a-c]_*.py\n"

# What all three dialects know, each for something of its own.
PATTERNS = (
    "get_or_create",
    r"def \w+_json\b",
    r"^class (\w+)\(",
    r"import\s+(os|sys)$",
    r"self\.[a-z]+\[",
    r"[^\w\s](?:None|True)[^\w\s]",
    r"\bTODO\b|FIXME|XXX",
    r"\d{4}-\d{2}-\d{2}",
    r"^$",
    r"\s+$",
    r"[[:upper:]]{12,}",
    r"(foo|ba[rz])+",
    r"a{3,}",
    r"=>|->",
    r"“|é|ß|日",
    r"\W{20}",
    r"[\]\[]\)",
    r"\x41\x42\x43",
)
FIXED = ("print(", "\\d+", "[]", "a|b", "**kwargs)")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of some installed packages, as a repository with ignore rules."""
    root = tmp_path_factory.mktemp("real") / "repository"
    there = Path(sysconfig.get_path("purelib"))
    for name in PACKAGES:
        shutil.copytree(there / name, root / name, ignore=shutil.ignore_patterns("*.pyc"))
    grow(root, {".gitignore": IGNORED, ".hidden/get_or_create.py": "get_or_create\n"})
    git(root, "init", "-q")
    git(root, "add", *PACKAGES[:3])
    assert sum(len(files) for _, _, files in os.walk(root)) >= 5_000
    yield root
    shutil.rmtree(root)


@pytest.fixture(autouse=True)
def beside_us(rg: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.path.dirname(rg)}:{os.environ['PATH']}")
    monkeypatch.setattr(search, "FILES_KEPT", 10**9)


def asked(root: Path, pattern: str, **more: Any) -> dict[str, Any]:
    plain = {"fixed": False, "ignore_case": False, "patterns": [], "kind": "", "all": False}
    some = {"context": 0, "engine": "", "seconds": 300.0, "most": 10**9, "least": 0}
    where = {"target": str(root), "workdir": str(root), "pattern": pattern}
    return {**plain, **some, **where, **more}


def ours(root: Path, pattern: str, **more: Any) -> set[tuple[str, int]]:
    answer = search.answered(asked(root, pattern, **more))
    assert (answer["complete"], answer["slow"], answer["unusual"]) == (True, [], "")
    if more.get("engine") and not more.get("all"):
        assert answer["engine"] in (more["engine"], NONE)
    hits = {(file["path"], hit[0]) for file in answer["found"] for hit in file["hits"]}
    assert answer["total"] == len(hits)
    return set() if answer["widened"] else hits


def theirs(root: Path, rg: str, *arguments: str) -> set[tuple[str, int]]:
    command = [rg, "--no-config", "--no-heading", "-nH0", "--sort", "path", *arguments, "."]
    done = subprocess.run(command, cwd=root, capture_output=True)
    assert done.returncode in (0, 1), done.stderr
    found: set[tuple[str, int]] = set()
    for line in done.stdout.split(b"\n"):
        path, zero, rest = line.partition(b"\0")
        if zero:
            found.add((os.fsdecode(path)[2:], int(rest.partition(b":")[0])))
    return found


def files(root: Path, rg: str, *arguments: str) -> set[str]:
    """What ripgrep lists. With `-g` it lists what is ignored as well, which we do not."""
    command = [rg, "--no-config", "--files", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return set(done.stdout.splitlines())


def odd(root: Path, path: str) -> bool:
    """Whether a file is one that ripgrep reads as other bytes than we do."""
    data = (root / path).read_bytes()
    content = decode(data)
    return content is None or content.encoding != "utf-8" or b"\r" in data


def like(root: Path, one: set[tuple[str, int]], other: set[tuple[str, int]]) -> None:
    """The same but for odd files, of which there may be few."""
    strange = {path for path, _ in one ^ other}
    assert [path for path in strange if not odd(root, path)] == []
    assert len(strange) <= 20


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS)
def test_grep_finds_what_ripgrep_finds(repository: Path, rg: str, pattern: str) -> None:
    found = ours(repository, pattern, engine=NONE)
    like(repository, found, theirs(repository, rg, "-e", pattern))
    assert ours(repository, pattern, engine=RIPGREP) == found
    assert ours(repository, pattern, engine=GIT_GREP) == found


@pytest.mark.slow
@pytest.mark.parametrize("text", FIXED)
def test_so_it_does_for_plain_text_and_without_case(repository: Path, rg: str, text: str) -> None:
    for ignore_case, flag in ((False, "-s"), (True, "-i")):
        more: dict[str, Any] = {"fixed": True, "ignore_case": ignore_case}
        found = ours(repository, text, engine=NONE, **more)
        like(repository, found, theirs(repository, rg, "-F", flag, "-e", text))
        assert ours(repository, text, engine=RIPGREP, **more) == found
        assert ours(repository, text, engine=GIT_GREP, **more) == found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "flags"),
    [
        ({"all": True}, ["--no-ignore", "--hidden", "-g", "!.git"]),
        ({"ignore_case": True}, ["-i"]),
        ({"kind": "py"}, ["-t", "py"]),
        ({"kind": "ts"}, ["-t", "ts"]),
        ({"patterns": ["*.md"]}, ["-g", "*.md"]),
        ({"patterns": ["openai/**/*.{py,pyi}", "!**/types/**"]},
         ["-g", "openai/**/*.{py,pyi}", "-g", "!**/types/**"]),
        ({"patterns": ["!litellm"]}, ["-g", "!litellm"]),
    ],
)  # fmt: skip
def test_so_it_does_with_filters(
    repository: Path, rg: str, more: dict[str, Any], flags: list[str]
) -> None:
    for engine in (NONE, RIPGREP, GIT_GREP):
        found = ours(repository, "create", engine=engine, **more)
        known = files(repository, rg)
        hits = theirs(repository, rg, "-e", "create", *flags)
        like(repository, found, {hit for hit in hits if more.get("all") or hit[0] in known})


GLOBS = (
    ["*.py"], ["**/*.py"], ["/*.toml"], ["litellm/*.py"], ["**/tests/**"], ["openai/**"],
    ["**/[a-f]*.py"], ["**/[!a-f]*.py"], ["*.{md,txt,toml}"], ["*/*/*.py"], ["**/proxy/*"],
    ["?????.py"], ["*_*_*_*.py"], ["{litellm,openai}/**/c*.{py,tsx}"], ["*.py", "!*_*"],
    ["!*.py"], ["!litellm/", "!*.md"], ["*.py", "!openai", "openai/_*.py"], ["nothing*at*all"],
    ["pip/**/*.py", "!**/[i-z]*/**"], ["**/a**b*"], ["[[]*"], ["**"], ["*"], ["litellm/**/**/p*"],
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("patterns", GLOBS, ids=" ".join)
def test_glob_finds_what_ripgrep_lists(repository: Path, rg: str, patterns: list[str]) -> None:
    flags = [part for pattern in patterns for part in ("-g", pattern)]
    listed = files(repository, rg) & files(repository, rg, "--no-ignore", *flags)
    limits = {"workdir": str(repository)}
    answer = listing.glob({"patterns": patterns, "limit": 10**9}, limits)
    found = [] if answer["widened"] else answer["paths"]
    assert sorted(found) == sorted(listed)
    times = [(repository / path).stat().st_mtime for path in found]
    assert times == sorted(times, reverse=True)


NAMES = st.sampled_from(["a", "b", "ab", "a.b", "b.a", "a-b", "ba"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
# Not `{,a}`: to a shell and to us that is nothing or `a`, to ripgrep `a`. Not `[!a]`: a slash fits
# it in ripgrep, not in git.
SHAPES = r"a b ab . - * ** ? / / [ab] [a-b] {a,b} {a*,b/a} **/ /** /**/ \* \a"
GLOBS_OF_ANY_KIND = st.lists(
    st.builds(
        lambda sign, parts: sign + "".join(parts),
        st.sampled_from(["", "", "!"]),
        st.lists(st.sampled_from(SHAPES.split()), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150)
@given(files=st.sets(PATHS, min_size=1, max_size=12), patterns=GLOBS_OF_ANY_KIND)
def test_any_globs_mean_to_us_what_they_mean_to_ripgrep(
    tmp_path_factory: pytest.TempPathFactory, rg: str, files: set[str], patterns: list[str]
) -> None:
    root = tmp_path_factory.mktemp("globs")
    there = sorted(f for f in files if not any(g.startswith(f"{f}/") for g in files))
    grow(root, there)
    flags = [part for pattern in patterns for part in ("-g", pattern)]
    command = [rg, "--no-config", "--files", "--no-ignore", *flags]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode == 2:
        return  # no pattern to ripgrep
    try:
        wanted = Filter(patterns)
    except BadPattern:
        return
    # A slash at the end means to us what is in the folder, two are one; neither fits in ripgrep.
    # Three stars are to git and to us as good as two, and `./` is where one is.
    plain = [p.removeprefix("!") for p in patterns]
    loose = [p for p in plain if "//" in p or "***" in p or p.startswith("./")]
    loose += [p for p in patterns if p.endswith("/") and p[0] != "!"]
    if not loose:
        assert [path for path in there if wanted.keeps(path)] == sorted(done.stdout.splitlines())
