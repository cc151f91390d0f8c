"""`patch` with unified diffs: git's own, by hand, and with the mistakes that models make."""

from __future__ import annotations

import stat
from collections.abc import Generator
from dataclasses import dataclass

import pytest

from tests.toolbox.box import Box, Files, box, encoded


@pytest.fixture(scope="module", name="ask")
def _ask(tmp_path_factory: pytest.TempPathFactory) -> Generator[Box]:
    with box(tmp_path_factory.mktemp("unified")) as opened:
        yield opened


@dataclass(frozen=True)
class Case:
    name: str
    before: Files
    patch: str
    after: Files
    steps: tuple[str, ...] = ()


NUMBERS = "".join(f"line {n}\n" for n in range(1, 31))
ALIKE = "start\n" + "a\nb\nc\n" * 5
HEAD = "--- a/f\n+++ b/f\n"
HUNK = "@@ -4,3 +4,3 @@\n line 4\n-line 5\n+five\n line 6\n"
FIVE = NUMBERS.replace("line 5\n", "five\n")


def alike(which: int) -> str:
    return "start\n" + "a\nb\nc\n" * (which - 1) + "a\nB\nc\n" + "a\nb\nc\n" * (5 - which)


DONE = [
    Case("plain", {"f": NUMBERS}, HEAD + HUNK, {"f": FIVE}),
    Case("of git", {"f": NUMBERS},
         "diff --git a/f b/f\nindex 1234567..89abcde 100644\n" + HEAD + HUNK, {"f": FIVE}),
    Case("no prefixes", {"f": NUMBERS}, "--- f\n+++ f\n" + HUNK, {"f": FIVE}),
    Case("a prefix on one side", {"f": NUMBERS}, "--- a/f\n+++ f\n" + HUNK, {"f": FIVE}),
    Case("of diff -u, with times", {"f": NUMBERS},
         "--- f\t2024-01-02 03:04:05.000 +0000\n+++ f\t2024-01-02 03:04:06.000 +0000\n" + HUNK,
         {"f": FIVE}),
    Case("times after blanks", {"f": NUMBERS},
         "--- f 2024-01-02 03:04:05\n+++ f 2024-01-02 03:04:06\n" + HUNK, {"f": FIVE}),
    Case("a folder a", {"a/f": NUMBERS}, "--- a/f\n+++ a/f\n" + HUNK, {"a/f": FIVE}),
    Case("in a code fence", {"f": NUMBERS}, f"```diff\n{HEAD}{HUNK}```", {"f": FIVE}),
    Case("in an envelope", {"f": NUMBERS}, f"*** Begin Patch\n{HEAD}{HUNK}*** End Patch\n",
         {"f": FIVE}),
    Case("of a mail", {"f": NUMBERS},
         "From 123 Mon Sep 17 00:00:00 2001\nSubject: [PATCH] five\n\n---\n f | 2 +-\n"
         f"diff --git a/f b/f\n{HEAD}{HUNK}-- \n2.43.0\n", {"f": FIVE}),
    Case("several hunks", {"f": NUMBERS},
         HEAD + HUNK + "@@ -20,3 +20,4 @@\n line 20\n line 21\n+new\n line 22\n",
         {"f": FIVE.replace("line 21\n", "line 21\nnew\n")}),
    Case("several files", {"f": NUMBERS, "g": "x\n"},
         HEAD + HUNK + "--- a/g\n+++ b/g\n@@ -1 +1 @@\n-x\n+y\n", {"f": FIVE, "g": "y\n"}),
    Case("short ranges", {"f": "x\n"}, HEAD + "@@ -1 +1 @@\n-x\n+y\n", {"f": "y\n"}),
    # line numbers
    Case("wrong line numbers", {"f": NUMBERS}, HEAD + HUNK.replace("-4,3 +4,3", "-19,3 +19,3"),
         {"f": FIVE}),
    Case("line numbers past the end", {"f": NUMBERS}, HEAD + HUNK.replace("-4,3", "-400,3"),
         {"f": FIVE}),
    Case("wrong counts", {"f": NUMBERS}, HEAD + HUNK.replace("-4,3 +4,3", "-4,9 +4,1"),
         {"f": FIVE}),
    Case("counts too large before another file", {"f": NUMBERS, "g": "x\n"},
         HEAD + HUNK.replace("4,3", "4,9") + "--- a/g\n+++ b/g\n@@ -1 +1 @@\n-x\n+y\n",
         {"f": FIVE, "g": "y\n"}),
    Case("no line numbers", {"f": NUMBERS}, HEAD + HUNK.replace("@@ -4,3 +4,3 @@", "@@ ... @@"),
         {"f": FIVE}),
    Case("no line numbers at all", {"f": NUMBERS}, HEAD + HUNK.replace("@@ -4,3 +4,3 @@", "@@"),
         {"f": FIVE}),
    Case("no place", {"f": NUMBERS}, HEAD + HUNK.replace("@@ -4,3 +4,3 @@\n", ""), {"f": FIVE}),
    *[
        Case(f"the line number tells which of five, {which}", {"f": ALIKE},
             HEAD + f"@@ -{3 * which - 1},3 +{3 * which - 1},3 @@\n a\n-b\n+B\n c\n",
             {"f": alike(which)})
        for which in (1, 3, 5)
    ],
    Case("all numbers are off by as much", {"f": "new\nnew\n" + ALIKE},
         HEAD + "@@ -1,2 +1,2 @@\n-start\n+START\n a\n@@ -8,3 +8,3 @@\n a\n-b\n+B\n c\n",
         {"f": "new\nnew\n" + alike(3).replace("start", "START")}),
    Case("a heading tells which", {"f": "class A:\n  x\n  y\nclass B:\n  x\n  y\n"},
         HEAD + "@@ -90,2 +90,2 @@ class B:\n   x\n-  y\n+  z\n",
         {"f": "class A:\n  x\n  y\nclass B:\n  x\n  z\n"}),
    Case("a heading that is not there", {"f": NUMBERS},
         HEAD + HUNK.replace("+4,3 @@", "+4,3 @@ def gone():"), {"f": FIVE}),
    # files
    Case("a new file", {}, "--- /dev/null\n+++ b/d/new\n@@ -0,0 +1,2 @@\n+one\n+two\n",
         {"d/new": "one\ntwo\n"}),
    Case("a new file of git", {},
         "diff --git a/new b/new\nnew file mode 100644\nindex 0000000..5626abf\n"
         "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+one\n", {"new": "one\n"}),
    Case("a new empty file", {}, "diff --git a/new b/new\nnew file mode 100644\nindex 0000..e69d\n",
         {"new": ""}),
    Case("a new file without a newline", {},
         "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+one\n\\ No newline at end of file\n",
         {"new": "one"}),
    Case("deleted", {"f": "one\ntwo\n"},
         "--- a/f\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one\n-two\n", {}),
    Case("deleted, by git and empty", {"f": ""},
         "diff --git a/f b/f\ndeleted file mode 100644\nindex e69de29..0000000\n", {}),
    Case("renamed", {"f": "x\n"},
         "diff --git a/f b/d/g\nsimilarity index 100%\nrename from f\nrename to d/g\n",
         {"d/g": "x\n"}),
    Case("renamed and changed", {"f": NUMBERS},
         "diff --git a/f b/g\nsimilarity index 90%\nrename from f\nrename to g\n--- a/f\n+++ b/g\n"
         + HUNK, {"g": FIVE}),
    Case("a copy that is not there before", {"f": NUMBERS}, "--- f.orig\n+++ f\n" + HUNK,
         {"f": FIVE}),
    Case("an absolute name", {"f": NUMBERS}, "--- a{folder}/f\n+++ b{folder}/f\n" + HUNK,
         {"f": FIVE}),
    Case("an absolute name of a new file", {},
         "--- /dev/null\n+++ b{folder}/f\n@@ -0,0 +1 @@\n+x\n", {"f": "x\n"}),
    Case("renamed by its header alone", {"f": NUMBERS}, "--- a/f\n+++ b/g\n" + HUNK, {"g": FIVE}),
    Case("a quoted name", {"é \"x\"": "x\n"},
         'diff --git "a/\\303\\251 \\"x\\"" "b/\\303\\251 \\"x\\""\n'
         '--- "a/\\303\\251 \\"x\\""\n+++ "b/\\303\\251 \\"x\\""\n@@ -1 +1 @@\n-x\n+y\n',
         {"é \"x\"": "y\n"}),
    Case("a name with blanks", {"a b": "x\n"}, "diff --git a/a b b/a b\n--- a/a b\n+++ b/a b\n"
         "@@ -1 +1 @@\n-x\n+y\n", {"a b": "y\n"}),
    Case("lines that look like a header", {"f": "-- a\nx\n++ b\n"},
         HEAD + "@@ -1,3 +1,2 @@\n--- a\n x\n-++ b\n+++ c\n", {"f": "x\n++ c\n"}),
    # not quite as written
    Case("blanks at line ends", {"f": NUMBERS.replace("\n", " \n")}, HEAD + HUNK,
         {"f": NUMBERS.replace("\n", " \n").replace("line 5 \n", "five\n")}, ("trailing",)),
    Case("other indentation", {"f": "if x:\n\ta\n\tb\n"},
         HEAD + "@@ -1,3 +1,3 @@\n if x:\n     a\n-    b\n+    c\n", {"f": "if x:\n\ta\n\tc\n"},
         ("indentation",)),
    Case("fuzz at the start", {"f": NUMBERS},
         HEAD + "@@ -3,5 +3,5 @@\n gone\n line 4\n-line 5\n+five\n line 6\n line 7\n", {"f": FIVE},
         ("fuzz",)),
    Case("fuzz at both ends", {"f": NUMBERS},
         HEAD + "@@ -2,7 +2,7 @@\n gone\n away\n line 4\n-line 5\n+five\n line 6\n off\n out\n",
         {"f": FIVE}, ("fuzz",)),
    Case("a line between is not as it was thought", {"f": NUMBERS},
         HEAD + "@@ -3,5 +3,5 @@\n line 3\n lines 4\n-line 5\n+five\n line 6\n line 7\n",
         {"f": FIVE}, ("anchored",)),
    # bytes
    Case("CRLF in the file", {"f": NUMBERS.replace("\n", "\r\n")}, HEAD + HUNK,
         {"f": FIVE.replace("\n", "\r\n")}),
    Case("CRLF in the file and in the lines of it", {"f": NUMBERS.replace("\n", "\r\n")},
         HEAD + HUNK.replace("\n", "\r\n").replace("@@\r", "@@").replace(" line 4\r", " line 4")
         .replace("+five", "+five\r\n+and"),
         {"f": FIVE.replace("five", "five\nand").replace("\n", "\r\n")}),
    Case("lines of CRLF in a file of LF", {"f": "a\nb\n"},
         HEAD + "@@ -1,2 +1,2 @@\n a\n-b\n+c\r\n", {"f": "a\nc\r\n"}),
    Case("an empty line of CRLF without its sign", {"f": "a\r\n\r\nb\r\n"},
         HEAD + "@@ -1,3 +1,3 @@\n a\r\n\r\n-b\r\n+c\r\n", {"f": "a\r\n\r\nc\r\n"}),
    Case("the mark of UTF-8 in the lines", {"f": "\ufeffa\nb\n"},
         HEAD + "@@ -1,2 +1,2 @@\n-\ufeffa\n+\ufeffA\n b\n", {"f": "\ufeffA\nb\n"}),
    Case("the mark of UTF-8 in what is kept", {"f": "\ufeffa\nb\n"},
         HEAD + "@@ -1,2 +1,2 @@\n \ufeffa\n-b\n+B\n", {"f": "\ufeffa\nB\n"}),
    Case("a new file with the mark and CRLF", {},
         "--- /dev/null\n+++ b/f\n@@ -0,0 +1,2 @@\n+\ufeffa\r\n+b\r\n", {"f": "\ufeffa\r\nb\r\n"}),
    Case("CRLF in the patch", {"f": NUMBERS}, (HEAD + HUNK).replace("\n", "\r\n"), {"f": FIVE}),
    Case("no newline, before and after", {"f": "a\nb"},
         HEAD + "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n"
         "\\ No newline at end of file\n", {"f": "a\nc"}),
    Case("a newline is added", {"f": "a\nb"},
         HEAD + "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n", {"f": "a\nb\n"}),
    Case("a newline is taken away", {"f": "a\nb\n"},
         HEAD + "@@ -1,2 +1,2 @@\n a\n-b\n+b\n\\ No newline at end of file\n", {"f": "a\nb"}),
    Case("none is thought of", {"f": "a\nb"}, HEAD + "@@ -1,2 +1,2 @@\n a\n-b\n+c\n",
         {"f": "a\nc"}),
    Case("a kept last line without newline", {"f": "a\nb"},
         HEAD + "@@ -1,2 +1,2 @@\n-a\n+c\n b\n\\ No newline at end of file\n", {"f": "c\nb"}),
    Case("Latin-1", {"f": b"caf\xe9\nx\n"}, HEAD + "@@ -1,2 +1,2 @@\n café\n-x\n+thé\n",
         {"f": b"caf\xe9\nth\xe9\n"}),
    Case("after the end of a file without lines", {"f": ""}, HEAD + "@@ -0,0 +1 @@\n+x\n",
         {"f": "x\n"}),
]  # fmt: skip


@pytest.mark.parametrize("case", DONE, ids=lambda case: case.name)
def test_a_diff_is_applied(ask: Box, case: Case) -> None:
    ask.fill(case.before)
    done = ask("patch", patch=case.patch.replace("{folder}", str(ask.folder)))
    assert done["ok"], done
    assert ask.files() == {name: encoded(content) for name, content in case.after.items()}
    assert tuple(step for told in done["files"] for step in told["steps"]) == case.steps


def test_of_a_file_that_is_gone_no_lines_are_shown(ask: Box) -> None:
    ask.fill({"f": "one\n"})
    (told,) = ask("patch", patch="--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n")["files"]
    assert (told["change"], told["windows"], told["more"]) == ("deleted", [], 0)


def test_modes_are_set(ask: Box) -> None:
    ask.fill({"f": "x\n", "g": "y\n"})
    done = ask("patch", patch=(
        "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n"
        "diff --git a/g b/g\nold mode 100644\nnew mode 100755\n--- a/g\n+++ b/g\n"
        "@@ -1 +1 @@\n-y\n+z\n"
        "diff --git a/new b/new\nnew file mode 100755\n--- /dev/null\n+++ b/new\n"
        "@@ -0,0 +1 @@\n+x\n"
    ))  # fmt: skip
    assert [told["change"] for told in done["files"]] == ["mode", "edited", "created"]
    assert ask.files() == {"f": b"x\n", "g": b"z\n", "new": b"x\n"}
    modes = {stat.S_IMODE((ask.folder / name).stat().st_mode) for name in ("f", "g", "new")}
    assert modes == {0o755}


REFUSED = [
    ("which of five, without a number", ALIKE, "@@ ... @@\n a\n-b\n+B\n c\n", "ambiguous"),
    ("which of five, with a wrong one", ALIKE, "@@ -3,3 +3,3 @@\n a\n-b\n+B\n c\n", "ambiguous"),
    ("lines that are not there", NUMBERS, "@@ -1,2 +1,2 @@\n-nope\n+x\n line 2\n", "not_found"),
    ("additions by number alone", NUMBERS, "@@ -5,0 +6 @@\n+x\n", "no_context"),
    ("fuzz, and two places", ALIKE, "@@ -90,4 +90,4 @@\n gone\n a\n-b\n+B\n c\n", "not_found"),
]


@pytest.mark.parametrize(
    ("name", "before", "hunk", "reason"), REFUSED, ids=[case[0] for case in REFUSED]
)
def test_a_hunk_without_one_place_is_refused(
    ask: Box, name: str, before: str, hunk: str, reason: str
) -> None:
    ask.fill({"f": before})
    refused = ask("patch", patch=HEAD + hunk)
    assert [one["reason"] for one in refused["failures"]] == [reason]
    assert ask.files() == {"f": before.encode()}


BAD = [
    ("diff --git a/f b/f\nindex 1..2 100644\nBinary files a/f and b/f differ\n", "binary", 3),
    ("diff --git a/f b/f\nGIT binary patch\nliteral 3\nabc\n", "binary", 2),
    ("diff --git a/f b/g\nsimilarity index 100%\ncopy from f\ncopy to g\n", "copy", 3),
    ("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+f\n",
     "not_a_file", 2),
    (HEAD, "no_change", 1),
    (HEAD + "@@ -1 +1 @@\n-x\ny\n", "sign", 5),
    ("--- /dev/null\n+++ b/new\n@@ -1,2 +1,2 @@\n a\n+b\n", "not_added", 1),
]  # fmt: skip


@pytest.mark.parametrize(("patch", "why", "line"), BAD)
def test_a_diff_that_cannot_be_done_names_the_line(
    ask: Box, patch: str, why: str, line: int
) -> None:
    ask.fill({"f": "x\n"})
    refused = ask("patch", patch=patch)
    assert (refused["reason"], refused["why"], refused["line"]) == ("bad_patch", why, line)
    assert ask.files() == {"f": b"x\n"}


def test_a_diff_deletes_only_what_it_shows(ask: Box) -> None:
    delete = "--- a/f\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one\n-two\n"
    ask.fill({"f": "one\ntwo\nthree\n"})
    refused = ask("patch", patch=delete)
    assert [(one["reason"], one["count"]) for one in refused["failures"]] == [("remains", 1)]
    ask.fill({"f": "one\n2\n"})
    refused = ask("patch", patch=delete)
    assert [one["reason"] for one in refused["failures"]] == ["not_found"]
    assert ask.files() == {"f": b"one\n2\n"}
