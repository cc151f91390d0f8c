"""Searching, asked of a real toolbox: what is found, how it is told, and that it ends."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.limits import PLACE_HITS_MAX, TEXT_HITS_MAX
from agent.toolbox.search import grep as search
from agent.toolbox.search.dialect import wanted
from agent.toolbox.search.matching import LINE_SHOWN_CHARS, matches_in
from tests.toolbox.conftest import Use
from tests.toolbox.test_tree import git, grow

CODE = """\
import os


class Job:
    name = "run"

    def run(self):
        self.name = run()
        return self.run


def run():
    pass
"""


@pytest.fixture
def grep(use: Use) -> Use:
    def ask(pattern: str, **more: Any) -> dict[str, Any]:
        forms = {"text_hits": TEXT_HITS_MAX, "place_hits": PLACE_HITS_MAX}
        return use("grep", pattern=pattern, **forms, **more)

    return ask


def lines(answer: dict[str, Any]) -> list[tuple[str, int]]:
    return [(file["path"], hit[0]) for file in answer["found"] for hit in file["hits"]]


def texts(answer: dict[str, Any]) -> list[str]:
    return [hit[1] for file in answer["found"] for hit in file["hits"]]


def test_hits_come_with_their_scopes_and_sources_before_tests(grep: Use, tmp_path: Path) -> None:
    grow(tmp_path, {"tests/test_a.py": "run()\n", "src/a.py": CODE, "z.py": "run()\n"})
    grow(tmp_path, {"dist/a.js": "run()\n", "README.md": "run\n"})
    answer = grep(r"\brun\b")
    counts = {key: answer[key] for key in ("total", "files", "searched", "of", "form")}
    assert counts == {"total": 9, "files": 5, "searched": 5, "of": 5, "form": "text"}
    paths = [file["path"] for file in answer["found"]]
    assert paths == ["src/a.py", "z.py", "README.md", "tests/test_a.py", "dist/a.js"]
    assert answer["found"][0]["hits"] == [
        [5, 'name = "run"', "Job", "", False],
        [7, "def run(self):", "Job.run", "Job", True],
        [8, "self.name = run()", "Job.run", "Job", False],
        [9, "return self.run", "Job.run", "Job", False],
        [12, "def run():", "run", "", True],
    ]


def test_the_form_follows_the_number_of_hits(grep: Use, tmp_path: Path) -> None:
    body = "def first():\n" + "    hit\n" * 59 + "def hits():\n    pass\n"
    (tmp_path / "a.py").write_text(body)
    assert grep("hit")["form"] == "text"
    (tmp_path / "b.py").write_text("hit\n")
    places = grep("hit")
    assert (places["form"], places["total"]) == ("places", TEXT_HITS_MAX + 1)
    assert places["found"][0]["hits"][0] == [2, "", "first", "", False]
    (tmp_path / "b.py").write_text("hit\n" * 240)
    assert grep("hit")["form"] == "places"
    for name in ("c", "d"):
        grow(tmp_path, {f"deep/{name}/x.py": "hit\n" * 5})
    counts = grep("hit")
    assert (counts["form"], counts["total"]) == ("counts", 310)
    assert [(f["path"], f["count"]) for f in counts["found"]][:2] == [("b.py", 240), ("a.py", 60)]
    assert counts["folders"] == [["", 300, 2], ["deep/c", 5, 1], ["deep/d", 5, 1]]
    assert counts["best"][0]["hits"][-1] == [61, "def hits():", "hits", "", True]


def test_modes_show_files_or_counts_alone(grep: Use, tmp_path: Path) -> None:
    grow(tmp_path, {"a.py": "x\n", "b.py": "x\nx\n", "tests/c.py": "x\n"})
    files, counts = grep("x", mode="files"), grep("x", mode="count")
    assert (files["form"], [f["path"] for f in files["found"]]) == (
        "files",
        ["a.py", "b.py", "tests/c.py"],
    )
    assert [(f["path"], f["count"]) for f in counts["found"]] == [
        ("b.py", 2),
        ("a.py", 1),
        ("tests/c.py", 1),
    ]


def test_lines_around_keep_their_indentation(grep: Use, tmp_path: Path) -> None:
    grow(tmp_path, {"a.py": CODE})
    answer = grep(r"self\.run|def run\(\)", context=2)
    (file,) = answer["found"]
    assert [hit[:2] for hit in file["hits"]] == [[9, "        return self.run"], [12, "def run():"]]
    assert file["around"] == [
        [7, "    def run(self):"],
        [8, "        self.name = run()"],
        [10, ""],
        [11, ""],
        [13, "    pass"],
    ]


@pytest.mark.parametrize(
    ("pattern", "more", "found"),
    [
        ("a.c", {}, [1, 2]),
        ("a.c", {"fixed": True}, [2]),
        ("ABC", {}, []),
        ("ABC", {"ignore_case": True}, [1]),
        ("(?i)ABC", {}, [1]),
        ("^b", {}, [3]),
        ("b$", {}, [3]),
        (r"\Ab", {}, [3]),
        (r"b\z", {}, [3]),
        (r"b\Z", {}, [3]),
        ("^$", {}, [5]),
        (r"x\s*y", {}, []),
        (r"x\ny", {}, [6]),
        (r"x[^z]*y", {}, []),
        (r"x.*y", {}, []),
        (r"(?s)x.*y", {}, [6]),
        (r"(?is)X.*?y", {}, [6]),
        (r"x(?s:.)y", {}, [6]),
        (r"x[\s\S]y", {}, [6]),
        (r"x[^\S]y", {}, []),
        (r"(?<=a)bc", {}, [1]),
        (r"a(?!bc)", {}, [2]),
        (r"(z)\1", {}, [8]),
        (r"(?<twice>z)(?P=twice)", {}, [8]),
        (r"\<zz\>", {}, [8]),
        (r"[[:digit:]]", {}, [4]),
        (r"\p{L}\d", {}, [4]),
        (r"\x{7a}z", {}, [8]),
        (r"é\w", {}, [9]),
        ("É", {"ignore_case": True}, [9]),
        ("a|zz", {}, [1, 2, 8]),
        ("", {}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_what_a_pattern_means(
    grep: Use, tmp_path: Path, pattern: str, more: dict[str, Any], found: list[int]
) -> None:
    (tmp_path / "a").write_text("abc\na.c\nb\nd4\n\nx\ny\nzz\néé\n")
    answer = grep(pattern, **more)
    assert (lines(answer), answer["unusual"]) == ([("a", line) for line in found], "")


def test_matches_over_several_lines_do_not_overlap(grep: Use, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("y\ny\ny\ny\ny\n")
    assert lines(grep(r"y\ny")) == [("a", 1), ("a", 3)]
    assert lines(grep("y\ny\ny", fixed=True)) == [("a", 1)]


@pytest.mark.parametrize(
    "pattern", ["f(", "*x", "a{2,1}", "[z", r"\p{Greek}", "(?<=a*)b", "x" * 30_000]
)
def test_what_is_no_pattern_is_searched_as_text(grep: Use, tmp_path: Path, pattern: str) -> None:
    (tmp_path / "a").write_text(f"one\n{pattern}\n")
    answer = grep(pattern)
    assert lines(answer) == [("a", 2)]
    assert answer["unusual"]


def test_encodings_line_ends_and_binaries(grep: Use, tmp_path: Path) -> None:
    (tmp_path / "crlf").write_bytes(b"one end\r\ntwo\r\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9 end\n")
    (tmp_path / "wide").write_text("wide end\n", "utf-16")
    (tmp_path / "marked").write_text("end\n", "utf-8-sig")
    (tmp_path / "binary").write_bytes(b"\0\1\2 end\n")
    (tmp_path / "last").write_bytes(b"no newline at the end")
    (tmp_path / "broken").write_bytes(b"\xff\xfe\xff end")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    for engine in ("rg", "git", "python"):
        answer = grep("end$", engine=engine)
        found = sorted(path for path, _ in lines(answer))
        assert found == ["crlf", "last", "latin", "marked", "wide"]
    assert texts(grep("caf."))[0] == "café end"


def test_letters_of_odd_cases_are_found_by_every_engine(grep: Use, tmp_path: Path) -> None:
    odd = {"k": "\u212aelvin", "s": "fa\u017ft", "i": "\u0130nch", "j": "\u0131nch"}
    git(grow(tmp_path, odd), "init", "-q")
    git(tmp_path, "add", ".")
    for engine in ("rg", "git", "python"):
        for pattern, names in (("kelvin", "k"), ("FAST", "s"), ("inch", "ij")):
            answer = grep(pattern, ignore_case=True, engine=engine)
            assert "".join(path for path, _ in lines(answer)) == names


def test_long_lines_are_cut_around_the_match(grep: Use, tmp_path: Path) -> None:
    (tmp_path / "min.js").write_text("a" * 500_000 + "needle" + "b" * 500_000 + "\nneedle\n")
    cut, short = texts(grep("needle"))
    assert len(cut) == LINE_SHOWN_CHARS + 2
    assert cut.startswith("…aaa") and cut.endswith("bbb…") and "needle" in cut
    assert short == "needle"


def test_nothing_found_says_how_much_was_searched_and_looks_at_what_is_ignored(
    grep: Use, tmp_path: Path
) -> None:
    git(
        grow(tmp_path, {".gitignore": "out/\n", "out/a": "deep\n", ".env": "secret\n", "b": ""}),
        "init",
        "-q",
    )
    ignored = grep("deep")
    assert (lines(ignored), ignored["widened"]) == ([("out/a", 1)], True)
    assert lines(grep("secret")) == [(".env", 1)]
    assert lines(grep("deep", path="out")) == [("out/a", 1)]
    nothing = grep("nowhere")
    assert (nothing["total"], nothing["searched"], nothing["widened"]) == (0, 4, False)
    (tmp_path / "c").write_text("deep\n")
    found = grep("deep")
    assert (lines(found), found["widened"]) == ([("c", 1)], False)
    assert lines(grep("deep", all=True)) == [("c", 1), ("out/a", 1)]


def test_filters(grep: Use, tmp_path: Path) -> None:
    grow(tmp_path, dict.fromkeys(("a.py", "src/b.py", "src/c.ts", "src/lib/d.tsx"), "x\n"))
    assert [p for p, _ in lines(grep("x", kind="py"))] == ["a.py", "src/b.py"]
    assert [p for p, _ in lines(grep("x", kind="tsx"))] == ["src/lib/d.tsx"]
    assert [p for p, _ in lines(grep("x", patterns=["*.{ts,tsx}"]))] == [
        "src/c.ts",
        "src/lib/d.tsx",
    ]
    assert [p for p, _ in lines(grep("x", path="src", patterns=["lib/*"]))] == ["src/lib/d.tsx"]
    assert [p for p, _ in lines(grep("x", path="src", patterns=["src/*.ts"]))] == ["src/c.ts"]
    absolute = [f"{tmp_path}/src/*.py"]
    assert [p for p, _ in lines(grep("x", patterns=absolute))] == ["src/b.py"]
    assert lines(grep("x", path="src/b.py")) == [("src/b.py", 1)]
    assert grep("x", patterns=["{a"])["reason"] == "bad_pattern"
    assert grep("x", path="nowhere/a.py")["reason"] == "absent"
    assert grep("x", path="nowhere/a.py")["nearest"] == [str(tmp_path / "a.py")]


def test_what_cannot_be_searched_does_not_stop_the_rest(grep: Use, tmp_path: Path) -> None:
    grow(tmp_path, {"a": "x\n"})
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "twice").symlink_to("a")
    assert lines(grep("x")) == [("a", 1)]
    assert grep("x", path="fifo")["reason"] == "denied"
    assert grep("x", path="zero")["reason"] == "denied"
    assert lines(grep("x", path="loop")) == [("loop/a", 1)]


def test_a_pattern_that_takes_for_ever_costs_one_file(grep: Use, tmp_path: Path) -> None:
    grow(tmp_path, {"a": "a" * 40 + "!\n", "b": "aab\n", "c": "no\n"})
    answer = grep(r"^(a+)+b$|^(a|aa)+b$")
    assert (lines(answer), answer["slow"], answer["complete"]) == ([("b", 1)], ["a"], True)


def test_a_search_that_runs_out_of_time_tells_what_it_has(grep: Use, tmp_path: Path) -> None:
    grow(tmp_path, {f"f{n}": "a" * 40 + "!\n" for n in range(20)})
    answer = grep(r"^(a+)+b$", seconds=1.0)
    assert (answer["total"], answer["complete"]) == (0, False)
    assert answer["searched"] < answer["of"] == 20


@pytest.mark.slow
def test_a_million_hits_are_counted_and_few_are_told(grep: Use, tmp_path: Path) -> None:
    for name in range(100):
        (tmp_path / f"f{name}.txt").write_text("hit me, hit me\n" * 10_000)
    answer = grep("hit")
    assert (answer["total"], answer["files"], answer["complete"]) == (1_000_000, 100, True)
    assert len(repr(answer)) < 10_000


@pytest.mark.slow
def test_large_files_are_searched_in_pieces(grep: Use, tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as log:
        for _ in range(50):
            log.write(b"one line of many\n" * 60_000)
        log.write("the end é\n".encode())
    (tmp_path / "endless").write_bytes(b"x" * 50_000_000 + b"end")
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(10**12)
    answer = grep("end", context=1)
    assert lines(answer) == [("endless", 1), ("log", 3_000_001)]
    assert grep("of many$", seconds=120.0)["total"] == 3_000_000


LINES = st.lists(st.sampled_from(["", "a", "b", " ", "ab", "é", "\t", "x"]), max_size=4).map(
    "".join
)
TOKENS = (
    r"a b x é . ^ $ \s \S \w \W \d \b [ab] [^a] [^b]* a* b+ (a|b) (?:ab)? a{2} | [\s,] (?=b)"
    r" (?!b) (?<=a)"
)


@settings(max_examples=400)
@given(
    text=st.lists(LINES, max_size=6).map("\n".join),
    pattern=st.lists(st.sampled_from(TOKENS.split()), min_size=1, max_size=5).map("".join),
    ignore_case=st.booleans(),
)
def test_a_whole_text_is_searched_as_its_lines_would_be_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, text: str, pattern: str, ignore_case: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "text"
    path.write_text(text)
    each = text.split("\n")
    if each[-1] == "":
        each.pop()
    regex = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    expected = [number for number, line in enumerate(each, 1) if regex.search(line)]
    asked = wanted(pattern, fixed=False, ignore_case=ignore_case)
    found = matches_in(str(path), asked, most=100, context=0)
    assert found is not None and [hit.line for hit in found.hits] == expected


def test_a_search_that_nobody_wants_any_more_ends(tmp_path: Path) -> None:
    grow(tmp_path, {"a": "x" * 5_000})
    arguments = {"pattern": "(x+x+)+y", "text_hits": 1, "place_hits": 1}
    limits = {"workdir": str(tmp_path), "cancelled": lambda: True}
    assert search.grep(arguments, limits)["reason"] == "too_slow"
