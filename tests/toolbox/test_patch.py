"""`patch` with what is between `*** Begin Patch` and `*** End Patch`."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from dataclasses import dataclass, field

import pytest

from tests.toolbox.box import Box, Files, box, encoded


@pytest.fixture(scope="module", name="ask")
def _ask(tmp_path_factory: pytest.TempPathFactory) -> Generator[Box]:
    with box(tmp_path_factory.mktemp("patch")) as opened:
        yield opened


SHOP = """\
class Shop:
    def total(self):
        tax = 1
        return tax

    def name(self):
        return "shop"


class Market:
    def total(self):
        tax = 1
        return tax
"""
WORDY = """\
Shop
tax
class Shop:
    # Shop of tax
    def fee(self):
        if tax:
            return 0
        return 1

    def tax(self):
        return 1


class Shops:
    def tax(self):
        return 1
"""
GO = """\
func name() {
	tax := 1
}

func (s *Shop) total() {
	tax := 1
}
"""
NUMBERS = "".join(f"line {n}\n" for n in range(1, 21))


@dataclass(frozen=True)
class Case:
    name: str
    before: Files
    patch: str
    after: Files
    steps: tuple[str, ...] = ()
    told: tuple[str, ...] = field(default=("edited",))


def wrapped(body: str) -> str:
    return f"*** Begin Patch\n{body}*** End Patch\n"


def update(path: str, body: str) -> str:
    return wrapped(f"*** Update File: {path}\n{body}")


ONE = {"a": "one\ntwo\nthree\n"}
TWO = {"a": "one\n2\nthree\n"}
CHANGE = "@@\n one\n-two\n+2\n three\n"
SHOPS = {"a.py": SHOP}
SECOND = SHOP.replace("Market:\n    def total(self):\n        tax = 1",
                      "Market:\n    def total(self):\n        tax = 2")  # fmt: skip

DONE = [
    # the format
    Case("plain", ONE, update("a", CHANGE), TWO),
    Case("without a place", ONE, update("a", " one\n-two\n+2\n three\n"), TWO),
    Case("no end", ONE, update("a", CHANGE).replace("*** End Patch\n", ""), TWO),
    Case("no beginning", ONE, update("a", CHANGE).replace("*** Begin Patch\n", ""), TWO),
    Case("words around it", ONE, "Here it is:\n" + update("a", CHANGE) + "That is all.\n", TWO),
    Case("in a code fence", ONE, f"```diff\n{update('a', CHANGE)}```\n", TWO),
    Case("in a heredoc", ONE, f"apply_patch <<'EOF'\n{update('a', CHANGE)}EOF\n", TWO),
    Case("in a heredoc alone", ONE, f"<<EOF\n{update('a', CHANGE)}EOF", TWO),
    Case("blanks around the markers", ONE,
         " *** Begin Patch \n*** Update File:  a  \n" + CHANGE + " *** End Patch ", TWO),
    Case("a name in quotes", ONE, update("`a`", CHANGE), TWO),
    Case("an absolute name", ONE, update("{folder}/a", CHANGE), TWO),
    Case("a patch with CRLF", ONE, update("a", CHANGE).replace("\n", "\r\n"), TWO),
    Case("two envelopes", {"a": "one\n", "b": "two\n"},
         update("a", "-one\n+1\n") + update("b", "-two\n+2\n"), {"a": "1\n", "b": "2\n"},
         told=("edited", "edited")),
    Case("a line number as the place", ONE, update("a", "@@ -1,3 +1,3 @@\n" + CHANGE[3:]), TWO),
    Case("a place that ends with @@ too", SHOPS,
         update("a.py", "@@ class Market: @@\n     def total(self):\n-        tax = 1\n"
                "+        tax = 2\n"), {"a.py": SECOND}),
    Case("an empty line without its sign", {"a": "one\n\ntwo\n"}, update("a", " one\n\n-two\n+2\n"),
         {"a": "one\n\n2\n"}),
    Case("empty lines between hunks", {"a": NUMBERS},
         update("a", "@@\n line 2\n-line 3\n+3\n\n@@\n line 7\n-line 8\n+8\n\n"),
         {"a": NUMBERS.replace("line 3\n", "3\n").replace("line 8\n", "8\n")}),
    Case("a line that looks like a marker", {"a": "*** Add File: x\n@@\n+\n"},
         update("a", "@@\n *** Add File: x\n-@@\n+@@ y\n +\n"),
         {"a": "*** Add File: x\n@@ y\n+\n"}),
    Case("signs in the lines", {"a": "-a\n+b\n c\n"}, update("a", " -a\n-+b\n++B\n  c\n"),
         {"a": "-a\n+B\n c\n"}),
    # files
    Case("a new file", {}, wrapped("*** Add File: d/e/new\n+one\n+\n+two\n"),
         {"d/e/new": "one\n\ntwo\n"}, told=("created",)),
    Case("a new empty file", {}, wrapped("*** Add File: new\n"), {"new": ""}, told=("created",)),
    Case("a new file with an empty line unsigned", {}, wrapped("*** Add File: new\n+a\n\n+b\n\n"),
         {"new": "a\n\nb\n"}, told=("created",)),
    Case("a new file without a newline at its end", {},
         wrapped("*** Add File: new\n+a\n\\ No newline at end of file\n"), {"new": "a"},
         told=("created",)),
    Case("a new file without any sign", {}, wrapped("*** Add File: new\n- a\n\n  b: +c\n"),
         {"new": "- a\n\n  b: +c\n"}, told=("created",)),
    Case("a diff in a section", ONE,
         update("a", "--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n" + CHANGE[3:]), TWO),
    Case("a diff of a new file in a section", {},
         wrapped("*** Add File: new\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+one\n"),
         {"new": "one\n"}, told=("created",)),
    Case("deleted", ONE, wrapped("*** Delete File: a\n"), {}, told=("deleted",)),
    Case("deleted, binary", {"a": b"\0\1"}, wrapped("*** Delete File: a\n"), {},
         told=("deleted",)),
    Case("moved", ONE, update("a", "*** Move to: d/b\n"), {"d/b": ONE["a"]}, told=("moved",)),
    Case("moved, binary", {"a": b"\0\1"}, update("a", "*** Move to: b\n"), {"b": b"\0\1"},
         told=("moved",)),
    Case("moved and changed", ONE, update("a", "*** Move to: b\n" + CHANGE), {"b": TWO["a"]},
         told=("moved",)),
    Case("moved to its own name", ONE, update("a", "*** Move to: ./a\n" + CHANGE), TWO),
    Case("moved to its own name alone", ONE, update("a", "*** Move to: a\n"), ONE,
         told=("written",)),
    Case("several", {"a": "one\n", "b": "two\n", "c": "three\n"},
         wrapped("*** Update File: a\n-one\n+1\n*** Delete File: b\n*** Update File: c\n"
                 "*** Move to: d\n-three\n+3\n*** Add File: e\n+four\n"),
         {"a": "1\n", "d": "3\n", "e": "four\n"}, told=("edited", "deleted", "moved", "created")),
    Case("a file twice", ONE, wrapped("*** Update File: a\n-one\n+1\n*** Update File: a\n-1\n+i\n"),
         {"a": "i\ntwo\nthree\n"}),
    Case("made, then changed", {}, wrapped("*** Add File: a\n+x\n*** Update File: a\n-x\n+y\n"),
         {"a": "y\n"}, told=("created",)),
    Case("deleted, then made", ONE, wrapped("*** Delete File: a\n*** Add File: a\n+x\n"),
         {"a": "x\n"}, told=("written",)),
    Case("two change names", {"a": "A\n", "b": "B\n"},
         wrapped("*** Update File: a\n*** Move to: c\n*** Update File: b\n*** Move to: a\n"
                 "*** Update File: c\n*** Move to: b\n"), {"a": "B\n", "b": "A\n"},
         told=("moved", "moved")),
    # places
    Case("a class tells which", SHOPS, update("a.py", "@@ class Market:\n"
         "     def total(self):\n-        tax = 1\n+        tax = 2\n"), {"a.py": SECOND}),
    Case("a class in part", SHOPS, update("a.py", "@@ class Mark\n-        tax = 1\n"
         "+        tax = 2\n"), {"a.py": SECOND}),
    Case("the first of two classes", SHOPS, update("a.py", "@@ class Shop:\n-        tax = 1\n"
         "+        tax = 3\n"), {"a.py": SHOP.replace("tax = 1", "tax = 3", 1)}),
    Case("two places, one in the other", SHOPS,
         update("a.py", "@@ class Market:\n@@     def total(self):\n-        tax = 1\n"
                "+        tax = 2\n"), {"a.py": SECOND}),
    Case("a place that is the first line too", SHOPS,
         update("a.py", "@@ class Market:\n class Market:\n     def total(self):\n"
                "-        tax = 1\n+        tax = 2\n"), {"a.py": SECOND}),
    Case("a place that is not there", ONE, update("a", "@@ def gone():\n-two\n+2\n"), TWO,
         steps=("heading",)),
    *[
        Case(f"a place by name, {place}", SHOPS,
             update("a.py", f"@@ {place}\n-        tax = 1\n+        tax = 2\n"), {"a.py": SECOND})
        for place in ("Market", "Market.total", "Market::total()", "class  Market")
    ],
    Case("a place by name, which other lines begin with too", {"a.py": WORDY},
         update("a.py", "@@ Shop.tax\n-        return 1\n+        return 2\n"),
         {"a.py": WORDY.replace("x(self):\n        return 1", "x(self):\n        return 2", 1)}),
    Case("a place in part, with a receiver", {"a.go": GO},
         update("a.go", "@@ func total()\n-\ttax := 1\n+\ttax := 2\n"),
         {"a.go": GO.replace("total() {\n\ttax := 1", "total() {\n\ttax := 2")}),
    Case("as many hunks as places", SHOPS,
         update("a.py", "@@\n-        tax = 1\n+        tax = 5\n"
                "@@\n-        tax = 1\n+        tax = 2\n"),
         {"a.py": SECOND.replace("tax = 1", "tax = 5")}),
    Case("as many hunks as places, another between", SHOPS,
         update("a.py", "@@\n-        tax = 1\n+        tax = 5\n@@\n-        return \"shop\"\n"
                "+        return 1\n@@\n-        tax = 1\n+        tax = 2\n"),
         {"a.py": SECOND.replace("tax = 1", "tax = 5").replace('"shop"', "1")}),
    Case("after the hunk before", SHOPS,
         update("a.py", "@@\n-        return \"shop\"\n+        return 1\n@@\n-        tax = 1\n"
                "+        tax = 2\n"),
         {"a.py": SECOND.replace('"shop"', "1")}),
    Case("out of order", {"a": NUMBERS}, update("a", "@@\n-line 9\n+9\n@@\n-line 2\n+2\n"),
         {"a": NUMBERS.replace("line 9\n", "9\n").replace("line 2\n", "2\n")}),
    Case("lines around shared by two", {"a": "a\nb\nc\n"},
         update("a", "@@\n-a\n+A\n b\n@@\n b\n-c\n+C\n"), {"a": "A\nb\nC\n"}),
    Case("with the hunk before in mind", {"a": "a\nb\nc\n"},
         update("a", "@@\n-a\n+A\n@@\n A\n-b\n+B\n"), {"a": "A\nB\nc\n"}),
    Case("only additions", {"a": "a\nb\nc\n"}, update("a", "@@\n a\n+1\n b\n"),
         {"a": "a\n1\nb\nc\n"}),
    Case("additions after a place", SHOPS,
         update("a.py", "@@ class Market:\n+    tax = 2\n"),
         {"a.py": SHOP.replace("class Market:\n", "class Market:\n    tax = 2\n")}),
    Case("additions at the end", ONE, update("a", "@@\n+four\n*** End of File\n"),
         {"a": "one\ntwo\nthree\nfour\n"}),
    Case("into an empty file", {"a": ""}, update("a", "@@\n+one\n"), {"a": "one\n"}),
    Case("only lines taken away", ONE, update("a", "@@\n-two\n-three\n"), {"a": "one\n"}),
    Case("all lines", ONE, update("a", "@@\n-one\n-two\n-three\n"), {"a": ""}),
    Case("the last of two alike", {"a": "x\ny\nx\n"}, update("a", "@@\n-x\n+z\n*** End of File\n"),
         {"a": "x\ny\nz\n"}),
    Case("the last of two, blank lines after it", {"a": "x\ny\nx\n\n\n"},
         update("a", "@@\n-x\n+z\n*** End of File\n"), {"a": "x\ny\nz\n\n\n"}),
    Case("the last, but not at the end", {"a": "x\ny\n"},
         update("a", "@@\n-x\n+z\n*** End of File\n"), {"a": "z\ny\n"}),
    # not quite as written
    Case("blanks at line ends", {"a": "one  \ntwo\nthree\t\n"}, update("a", CHANGE),
         {"a": "one  \n2\nthree\t\n"}, steps=("trailing",)),
    Case("tabs in the file", {"a": "f {\n\tone\n\ttwo\n}\n"},
         update("a", "@@\n     one\n-    two\n+    if x {\n+        2\n+    }\n"),
         {"a": "f {\n\tone\n\tif x {\n\t\t2\n\t}\n}\n"}, steps=("indentation",)),
    Case("kept lines lost their sign", {"a": "    one\n    two\n    three\n"},
         update("a", "@@\n    one\n+    x\n    two\n"),
         {"a": "    one\n    x\n    two\n    three\n"}, steps=("indentation",)),
    Case("a kept line is not as it was thought", {"a": NUMBERS},
         update("a", "@@\n line 4\n line 5!\n-line 6\n+6\n line 7\n"),
         {"a": NUMBERS.replace("line 6\n", "6\n")}, steps=("anchored",)),
    Case("the first line around it is not there", {"a": NUMBERS},
         update("a", "@@\n gone\n line 5\n-line 6\n+6\n line 7\n"),
         {"a": NUMBERS.replace("line 6\n", "6\n")}, steps=("fuzz",)),
    Case("two lines at its end are not there", {"a": NUMBERS},
         update("a", "@@\n line 5\n-line 6\n+6\n gone\n away\n"),
         {"a": NUMBERS.replace("line 6\n", "6\n")}, steps=("fuzz",)),
    # bytes
    Case("CRLF", {"a": "one\r\ntwo\r\nthree\r\n"}, update("a", CHANGE.replace("+2", "+2\n+zwei")),
         {"a": "one\r\n2\r\nzwei\r\nthree\r\n"}),
    Case("CRLF, and nothing at the end", {"a": "one\r\ntwo"}, update("a", "@@\n two\n+three\n"),
         {"a": "one\r\ntwo\r\nthree"}),
    Case("mixed ends", {"a": "one\ntwo\r\nthree\n"}, update("a", CHANGE),
         {"a": "one\n2\r\nthree\n"}),
    Case("no newline at the end stays none", {"a": "one\ntwo"}, update("a", "@@\n-two\n+2\n"),
         {"a": "one\n2"}),
    Case("a blank line at the end stays", {"a": "one\ntwo\n\n"}, update("a", "@@\n-two\n+2\n"),
         {"a": "one\n2\n\n"}),
    Case("Latin-1", {"a": b"caf\xe9\none\n"}, update("a", "@@\n café\n-one\n+thé\n"),
         {"a": b"caf\xe9\nth\xe9\n"}),
    Case("UTF-16", {"a": "\ufeffone\r\ntwo\r\n".encode("utf-16-le")},
         update("a", "@@\n one\n-two\n+日本\n"),
         {"a": "\ufeffone\r\n日本\r\n".encode("utf-16-le")}),
    Case("UTF-8 with its mark", {"a": b"\xef\xbb\xbfone\n"}, update("a", "@@\n-one\n+1\n"),
         {"a": b"\xef\xbb\xbf1\n"}),
    Case("a huge line", {"a": "x" * 200_000 + "\none\n"}, update("a", "@@\n-one\n+1\n"),
         {"a": "x" * 200_000 + "\n1\n"}),
    Case("literal", {"a": "one\n"}, update("a", "@@\n-one\n+\\1 $& \\n %s {0}\n"),
         {"a": "\\1 $& \\n %s {0}\n"}),
    Case("a name with blanks and accents", {"é e": "one\n"}, update("é e", "@@\n-one\n+1\n"),
         {"é e": "1\n"}),
]  # fmt: skip


@pytest.mark.parametrize("case", DONE, ids=lambda case: case.name)
def test_a_patch_is_applied(ask: Box, case: Case) -> None:
    ask.fill(case.before)
    done = ask("patch", patch=case.patch.replace("{folder}", str(ask.folder)))
    assert done["ok"], done
    assert ask.files() == {name: encoded(content) for name, content in case.after.items()}
    assert tuple(told["change"] for told in done["files"]) == case.told
    assert tuple(step for told in done["files"] for step in told["steps"]) == case.steps


BAD = [
    ("", "empty", 0),
    ("*** Begin Patch\n*** End Patch\n", "empty", 0),
    ("change a line in a file\n", "format", 1),
    ("*** Begin Patch\\n*** Update File: a\\n-one\\n+1\\n*** End Patch", "escaped", 1),
    ("*** Begin Patch\nhello\n*** Update File: a\n-one\n+1\n", "outside", 2),
    (update("a", ""), "no_change", 2),
    (update("a", "@@\n@@\n"), "no_change", 2),
    (update("a", "@@\n-one\nno sign\n"), "sign", 5),
    (wrapped("*** Add File: b\n+one\ntwo\n"), "not_added", 4),
    (wrapped("*** Add File: b\n one\n two\n"), "not_added", 3),
    (wrapped("*** Rename File: a -> b\n"), "marker", 2),
    (wrapped("*** Delete File: a\n-one\n"), "after_delete", 3),
    (wrapped("*** Update File: a\n-one\n+1\n*** Frobnicate File: b\n"), "marker", 5),
]


@pytest.mark.parametrize(("patch", "why", "line"), BAD)
def test_a_patch_that_cannot_be_read_names_the_line(
    ask: Box, patch: str, why: str, line: int
) -> None:
    ask.fill({"a": "one\n"})
    refused = ask("patch", patch=patch)
    assert (refused["reason"], refused["why"], refused["line"]) == ("bad_patch", why, line)
    assert ask.files() == {"a": b"one\n"}


GOOD = "*** Update File: a\n-one\n+1\n*** Add File: new\n+x\n"
TWICE = "x\ny\nz\nx\ny\nz\n"
REFUSED: list[tuple[str, str, list[tuple[int, str]]]] = [
    ("no such file", "*** Update File: gone\n-x\n+y\n", [(7, "absent")]),
    ("no such file to delete", "*** Delete File: gone\n", [(7, "absent")]),
    ("a directory to delete", "*** Delete File: d\n", [(7, "directory")]),
    ("a directory to change", "*** Update File: d\n-x\n+y\n", [(7, "directory")]),
    ("a directory to make", "*** Add File: d\n+x\n", [(7, "directory")]),
    ("binary to change", "*** Update File: bin\n-x\n+y\n", [(7, "binary")]),
    ("there already, and never read", "*** Add File: b\n+x\n", [(7, "unread")]),
    ("made twice", "*** Add File: new\n+y\n", [(7, "twice")]),
    ("moved onto another", "*** Update File: b\n*** Move to: c\n", [(7, "exists")]),
    ("moved onto a new one", "*** Update File: b\n*** Move to: new\n", [(7, "exists")]),
    ("moved onto a directory", "*** Update File: b\n*** Move to: d\n", [(7, "exists")]),
    ("a link to move", "*** Update File: link\n*** Move to: x\n", [(7, "link")]),
    ("deleted, then changed", "*** Delete File: b\n*** Update File: b\n-x\n+y\n", [(8, "absent")]),
    ("lines that are not there", "*** Update File: b\n@@\n-nope\n+y\n", [(8, "not_found")]),
    ("two places", "*** Update File: b\n@@\n x\n-y\n+Y\n", [(8, "ambiguous")]),
    ("two places after the place", "*** Update File: b\n@@ x\n-y\n+Y\n", [(8, "ambiguous")]),
    ("two places, and no such place", "*** Update File: b\n@@ def f\n x\n-y\n+Y\n",
     [(8, "no_heading")]),
    ("three hunks for two places",
     "*** Update File: b\n@@\n-y\n+Y\n@@\n-y\n+Y\n@@\n-y\n+Y\n",
     [(8, "ambiguous"), (11, "ambiguous"), (14, "ambiguous")]),
    ("two places by indentation", "*** Update File: b\n@@\n   x\n-  y\n+  Y\n", [(8, "ambiguous")]),
    ("two places with fuzz", "*** Update File: b\n@@\n gone\n-y\n+Y\n", [(8, "not_found")]),
    ("the second of two hunks", "*** Update File: c\n@@\n-b\n+B\n@@\n-nope\n+x\n",
     [(11, "not_found")]),
    ("one line for two hunks", "*** Update File: c\n@@\n-b\n+B\n@@\n-b\n+B\n",
     [(11, "not_found")]),
    ("two of three hunks", "*** Update File: c\n@@\n-no\n+B\n@@\n-b\n+B\n@@\n-nope\n+x\n",
     [(8, "not_found"), (14, "not_found")]),
    ("additions to nowhere", "*** Update File: c\n@@\n+x\n", [(8, "no_context")]),
    ("additions after two places", "*** Update File: b\n@@ x\n+x\n", [(8, "ambiguous")]),
    ("additions after no place", "*** Update File: b\n@@ gone\n+x\n", [(8, "not_found")]),
    ("two files", "*** Update File: b\n@@\n-nope\n+y\n*** Update File: c\n@@\n-nope\n+y\n",
     [(8, "not_found"), (12, "not_found")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "bad", "failures"), REFUSED, ids=[case[0] for case in REFUSED])
def test_one_part_that_fails_keeps_all_from_being_done(
    ask: Box, name: str, bad: str, failures: list[tuple[int, str]]
) -> None:
    before = {"a": b"one\n", "b": TWICE.encode(), "c": b"a\nb\nc\n", "bin": b"\0", "d/e": b"e\n"}
    ask.fill(before)
    (ask.folder / "link").symlink_to("a")
    refused = ask("patch", patch=wrapped(GOOD + bad))
    assert refused["reason"] == "failed"
    assert [(one["line"], one["reason"]) for one in refused["failures"]] == failures
    assert ask.files() == {**before, "link": b"one\n"}


def test_what_was_seen_may_be_replaced_and_what_changed_since_not(ask: Box) -> None:
    patch = wrapped("*** Add File: a\n+new\n")
    ask.fill(ONE)
    seen = ask.seen("a")
    assert ask("patch", patch=patch, seen=seen)["files"][0]["change"] == "written"
    for again in (patch, update("a", "-new\n+x\n"), wrapped("*** Delete File: a\n")):
        refused = ask("patch", patch=again, seen=seen)
        assert [one["reason"] for one in refused["failures"]] == ["stale"]
    assert ask.files() == {"a": b"new\n"}


def test_a_file_moved_keeps_its_mode_and_a_link_is_deleted_alone(ask: Box) -> None:
    ask.fill(ONE)
    (ask.folder / "a").chmod(0o750)
    (ask.folder / "link").symlink_to("a")
    done = ask("patch", patch=wrapped(
        "*** Delete File: link\n*** Update File: a\n*** Move to: b\n-one\n+1\n"
    ))  # fmt: skip
    assert [told["change"] for told in done["files"]] == ["deleted", "moved"]
    assert ask.files() == {"b": b"1\ntwo\nthree\n"}
    assert stat.S_IMODE((ask.folder / "b").stat().st_mode) == 0o750
    assert not os.path.lexists(ask.folder / "link")


def test_a_file_changed_through_a_link_is_one_with_its_target(ask: Box) -> None:
    ask.fill(ONE)
    (ask.folder / "link").symlink_to("a")
    done = ask("patch", patch=wrapped(
        "*** Update File: link\n-one\n+1\n*** Update File: a\n-two\n+2\n"
    ))  # fmt: skip
    assert len(done["files"]) == 1
    assert (ask.folder / "link").is_symlink()
    assert (ask.folder / "a").read_text() == "1\n2\nthree\n"


def test_new_files_leave_nothing_behind_when_a_later_part_fails(ask: Box) -> None:
    ask.fill(ONE)
    os.mkdir(ask.folder / "d")
    refused = ask("patch", patch=wrapped("*** Add File: e/f/new\n+x\n*** Add File: a/b\n+y\n"))
    assert (refused["reason"], refused["path"]) == ("denied", str(ask.folder / "a/b"))
    assert ask.files() == {"a": ONE["a"].encode()}
    assert sorted(os.listdir(ask.folder)) == ["a", "d"]
