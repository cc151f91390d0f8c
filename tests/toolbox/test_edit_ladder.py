"""`edit` by its ladder: what is found at which step, what it makes of the file, what is refused."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.toolbox.box import Box, box, encoded


@pytest.fixture(scope="module", name="ask")
def _ask(tmp_path_factory: pytest.TempPathFactory) -> Generator[Box]:
    with box(tmp_path_factory.mktemp("ladder")) as opened:
        yield opened


@dataclass(frozen=True)
class Case:
    name: str
    before: str | bytes
    old: str
    new: str
    after: str | bytes
    step: str = ""  # exact
    everywhere: bool = False
    replaced: int = 1


PYTHON = """\
class Shop:
    def total(self, items):
        tax = 1
        for item in items:
            tax += item.tax
        return tax

    def empty(self):
        return not self.items
"""
TABBED = "func f() {\n\tif x {\n\t\ta()\n\t}\n\tb()\n}\n"
LONG = "x" * 300_000

DONE = [
    # exact
    Case("part of a line", "one two three\n", "two", "2", "one 2 three\n"),
    Case("over lines", "a\nb\nc\n", "a\nb", "x", "x\nc\n"),
    Case("joins lines", "a\nb\n", "a\n", "a", "ab\n"),
    Case("the whole file", "a\n", "a\n", "", ""),
    Case("a blank line", "a\n\n\n\nb\n", "a\n\n", "a\n", "a\n\n\nb\n"),
    Case("white space alone", "a\t\tb\n", "\t\t", " ", "a b\n"),
    Case("many", "a b a b a\n", "a", "aa", "aa b aa b aa\n", "", True, 3),
    Case("many that touch", "aaaa\n", "aa", "b", "bb\n", "", True, 2),
    Case("no final newline", "a\nb", "b", "c", "a\nc"),
    Case("a final newline is added", "a\nb", "b", "b\n", "a\nb\n"),
    Case("a final newline is removed", "a\nb\n", "b\n", "b", "a\nb"),
    Case("unicode", "naïve 日本 🎉\n", "日本 🎉", "🇯🇵", "naïve 🇯🇵\n"),
    Case("combining characters", "cafe\u0301\n", "e\u0301", "é", "café\n"),
    Case("an astral character in UTF-16", "\ufeffa🎉\n".encode("utf-16-le"), "🎉", "b",
         "\ufeffab\n".encode("utf-16-le")),
    Case("UTF-16, the other way round", "\ufeffa\r\nb\r\n".encode("utf-16-be"), "a\nb", "c\nd",
         "\ufeffc\r\nd\r\n".encode("utf-16-be")),
    Case("UTF-16 without its mark", "ab\r\ncd\r\n".encode("utf-16-le"), "cd", "é",
         "ab\r\né\r\n".encode("utf-16-le")),
    Case("UTF-8 with its mark", b"\xef\xbb\xbfa\n", "a", "b", b"\xef\xbb\xbfb\n"),
    Case("Latin-1", b"caf\xe9 1\n", "1", "\xfc", b"caf\xe9 \xfc\n"),
    Case("Windows-1252", b"\x93a\x94 \x96 b\n", "“a”", "„c”", b"\x84c\x94 \x96 b\n"),
    Case("a huge line", LONG + "needle" + LONG, "needle", "pin", LONG + "pin" + LONG),
    Case("form feeds and vertical tabs", "a\x0cb\x0bc\n", "b\x0bc", "d", "a\x0cd\n"),
    Case("line separators are no line ends", "a\u2028b\x85c\n", "b\x85", "", "a\u2028c\n"),
    Case("a lone carriage return", "a\rb\nc\n", "a\rb", "a\rc", "a\rc\nc\n"),
    Case("CRLF where old has none", "a\r\nb\r\n", "a\nb\n", "c\nd\ne\n", "c\r\nd\r\ne\r\n"),
    Case("CRLF in old, none in the file", "a\nb\n", "a\r\nb", "c\r\nd", "c\nd\n"),
    Case("CRLF in new is literal where there is none", "a\n", "a", "b\r\nc", "b\r\nc\n"),
    Case("mixed: what stays keeps its ends", "a\r\nb\nc\r\nd\n", "a\nb\nc\n", "a\nX\nc\n",
         "a\r\nX\nc\r\nd\n"),
    Case("mixed: an addition at its end", "a\nb\r\nc\n", "b\n", "b\nx\n", "a\nb\r\nx\r\nc\n"),
    Case("mixed: by line", "a\r\nb\n", "b", "x\ny", "a\r\nx\ny\n"),
    Case("regular expressions mean nothing", "f(x) [a-z]* $1 \\1\n", "f(x) [a-z]*", "\\g<0>$&",
         "\\g<0>$& $1 \\1\n"),
    Case("formats mean nothing", "%s {0} {{}}\n", "{0}", "%(x)s", "%s %(x)s {{}}\n"),
    # trailing white space
    Case("blanks at line ends of the file", "a  \nb\t\nc\n", "a\nb\n", "x\ny\n", "x\ny\nc\n",
         "trailing"),
    Case("blanks at line ends of old", "a\nb\nc\n", "a  \nb ", "x\ny", "x\ny\nc\n", "trailing"),
    Case("a hard break that stays", "a  \nb  \nc\n", "a\nb\n", "a\nB\n", "a  \nB\nc\n",
         "trailing"),
    Case("a blank line with blanks", "a\n    \nb\n", "a\n\nb", "a\n\nc", "a\n    \nc\n",
         "trailing"),
    Case("old has a newline that the end has not", "a\nb", "b\n", "c\n", "a\nc", "trailing"),
    Case("CRLF and blanks", "a \r\nb\r\n", "a\nb\n", "a\nx\ny\n", "a \r\nx\r\ny\r\n",
         "trailing"),
    Case("blank lines around old", "x\na\nb\n", "\na\n\n", "\nc\n\n", "x\nc\nb\n", "trailing"),
    Case("blank lines around old alone", "x\na\nb\n", "\na\n\n", "c\n", "x\nc\nb\n", "trailing"),
    Case("everywhere, as lines", "a  \nb \na\t\nb\n", "a\nb\n", "c\n", "c\nc\n", "trailing",
         True, 2),
    Case("lines taken away", "a \nb\nc\n", "a\nb\n", "", "c\n", "trailing"),
    # indentation
    Case("not indented", PYTHON, "for item in items:\n    tax += item.tax",
         "for item in items:\n    if item.taxed:\n        tax += item.tax",
         PYTHON.replace("            tax += item.tax",
                        "            if item.taxed:\n                tax += item.tax"),
         "indentation"),
    Case("indented too much", "a:\n  b\nc\n", "    a:\n      b", "    a:\n      b\n      d",
         "a:\n  b\n  d\nc\n", "indentation"),
    Case("spaces for tabs", TABBED, "    if x {\n        a()\n    }",
         "    if x {\n        a()\n        if y {\n            c()\n        }\n    }",
         TABBED.replace("\t\ta()\n", "\t\ta()\n\t\tif y {\n\t\t\tc()\n\t\t}\n"), "indentation"),
    Case("one space less than in the file", "/**\n * a\n * b\n */\n", "* a\n* b\n",
         "* a\n* c\n* b\n", "/**\n * a\n * c\n * b\n */\n", "indentation"),
    Case("tabs for spaces", "if x:\n    a()\n    b()\n", "\ta()\n\tb()",
         "\ta()\n\tif y:\n\t\tb()", "if x:\n    a()\n    if y:\n        b()\n", "indentation"),
    Case("two blanks for four", "if x:\n  if y:\n    a()\n", "if x:\n    if y:\n        a()",
         "if x:\n    if y:\n        a()\n        if z:\n            b()",
         "if x:\n  if y:\n    a()\n    if z:\n      b()\n", "indentation"),
    Case("four blanks for two", "if x:\n    if y:\n        a()\n", "if x:\n  if y:\n    a()",
         "if x:\n  if y:\n    a()\n  b()", "if x:\n    if y:\n        a()\n    b()\n",
         "indentation"),
    Case("the first line lost its indentation", "  def f():\n    a()  \n    b()\n",
         "def f():\n    a()\n    b()", "def f():\n    a()\n    c()",
         "  def f():\n    a()  \n    c()\n", "indentation"),
    Case("lines that stay keep tabs among blanks", "if x:\n \ta()\n \tb()\n", "    a()\n    b()",
         "    a()\n    c()", "if x:\n \ta()\n \tc()\n", "indentation"),
    Case("shallower than any line of old", "  a:\n    b\n    c\n", "        b\n        c",
         "        b\n      c", "  a:\n    b\n  c\n", "indentation"),
    Case("blank lines stay as they are", "  a\n  b\n", "a\nb\n", "a\n\nc\n", "  a\n\n  c\n",
         "indentation"),
    Case("everywhere, each at its depth", "  a\n  b\n    a\n    b\n", "a\nb\n", "a\nc\n",
         "  a\n  c\n    a\n    c\n", "indentation", True, 2),
    Case("CRLF and indentation", "x\r\n\ta\r\n\tb\r\n", "a\nb\n", "a\nc\nd\n",
         "x\r\n\ta\r\n\tc\r\n\td\r\n", "indentation"),
    Case("in UTF-16", "\ufeffx\r\n\ta\r\n\tb\r\n".encode("utf-16-le"), "a\nb\n", "a\né\n",
         "\ufeffx\r\n\ta\r\n\té\r\n".encode("utf-16-le"), "indentation"),
    # anchored
    Case("a line between is not as it was thought", PYTHON,
         "    def total(self, items):\n        tax = 1\n        for thing in items:\n"
         "            tax += item.tax\n        return tax\n",
         "    def total(self, items):\n        tax = 0\n        for thing in items:\n"
         "            tax += item.tax\n        return tax\n",
         PYTHON.replace("tax = 1", "tax = 0"), "anchored"),
    Case("the changed line itself is not", PYTHON,
         "    def total(self, items):\n        tax = 10\n        for item in items:\n"
         "            tax += item.tax\n        return tax\n",
         "    def total(self, items):\n        tax = 0\n        for item in items:\n"
         "            tax += item.tax\n        return tax\n",
         PYTHON.replace("tax = 1", "tax = 0"), "anchored"),
    Case("a line more in the file", PYTHON,
         "    def total(self, items):\n        tax = 1\n        for item in items:\n"
         "        return tax\n",
         "    def total(self, items):\n        tax = 0\n        for item in items:\n"
         "        return tax\n",
         PYTHON.replace("tax = 1", "tax = 0"), "anchored"),
]  # fmt: skip


@pytest.mark.parametrize("case", DONE, ids=lambda case: case.name)
def test_an_edit_is_done(ask: Box, case: Case) -> None:
    ask.fill({"file": case.before, "other": "left alone\n"})
    done = ask("edit", path="file", old=case.old, new=case.new, all=case.everywhere)
    assert ask.files() == {"file": encoded(case.after), "other": b"left alone\n"}
    assert (done["ok"], done["replaced"]) == (True, case.replaced)
    assert done["steps"] == ([case.step] if case.step else [])


@dataclass(frozen=True)
class Refusal:
    name: str
    before: str | bytes
    old: str
    new: str
    reason: str
    more: tuple[tuple[str, object], ...] = ()


TWICE = "a\nb\nx\na\nb\n"
REFUSED = [
    Refusal("twice", TWICE, "a\nb", "c", "ambiguous", (("lines", [1, 4]), ("step", "exact"))),
    Refusal("twice, overlapping", "aXaXa\n", "aXa", "b", "ambiguous", (("lines", [1, 1]),)),
    Refusal("twice but for blanks", "a \nb\nx\na\nb \n", "a\nb\n", "c\n",
            "ambiguous", (("lines", [1, 4]), ("step", "trailing"))),
    Refusal("twice but for indentation", " a\n b\nx\n  a\n  b\n", "a\nb", "c", "ambiguous",
            (("lines", [1, 4]), ("step", "indentation"))),
    Refusal("anchored twice", "def f():\n    aaaaaaaaaa\n    return\ndef f():\n    aaaaaaaaab\n"
            "    return\n", "def f():\n    aaaaaaaaaX\n    return", "pass", "ambiguous",
            (("lines", [1, 4]), ("step", "anchored"))),
    Refusal("anchored with nothing alike between", "begin\nalpha\nbeta\nend\n",
            "begin\n1234567\n89\nend", "begin\nend", "not_found"),
    Refusal("anchored on two lines", "begin\nend\n", "begin\nEND", "x", "not_found"),
    Refusal("a change where only the file has lines", "begin\nalpha\nbeta\ngamma\nextra\nend\n",
            "begin\nalpha\nbeta\ngamma\nend", "begin\nalpha\nbeta\ngamma\nNEW\nend", "not_found"),
    Refusal("indentation that cannot be carried", "if x:\n    a\nb\n", "if x:\na\nb", "if x:\nc\nb",
            "not_found"),
    Refusal("one depth that is two in the file", "  a\n    b\n", "a\nb", "a\nc", "not_found"),
    Refusal("deeper that is shallower in the file", "    a\n  b\n", "  a\n    b", "x", "not_found"),
    Refusal("shallower than can be", "  a\n  b\n", "      a\n      b", "    a\n  x\n      b",
            "not_found"),
    Refusal("half a line at the end, with other blanks", "a \nb\n", "a\nb\n", "c", "not_found"),
    Refusal("words that are not there", "a\n", "zzz", "b", "not_found"),
    Refusal("blanks alone", "a\n", "   ", "b", "not_found"),
    Refusal("same", "a\n", "a", "a", "same"),
    Refusal("empty", "a\n", "", "b", "empty_old"),
    Refusal("an empty file", "", "a", "b", "not_found"),
    Refusal("another case", "Hello\n", "hello", "b", "not_found"),
    Refusal("Latin-1 has no such character", b"caf\xe9\n", "caf", "日", "encoding"),
    Refusal("half a character", "a\n", "a", "\ud800", "encoding"),
    Refusal("binary", b"a\0b", "a", "b", "binary"),
    Refusal("UTF-32", "\ufeffab".encode("utf-32-le"), "a", "b", "binary"),
    Refusal("a mark, then zeros", b"\xef\xbb\xbfa\0b", "a", "b", "binary"),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_an_edit_is_refused_and_nothing_changes(ask: Box, case: Refusal) -> None:
    ask.fill({"file": case.before})
    refused = ask("edit", path="file", old=case.old, new=case.new)
    assert (refused["ok"], refused["reason"]) == (False, case.reason)
    assert ask.files() == {"file": encoded(case.before)}
    assert {key: refused[key] for key, _ in case.more} == dict(case.more)


NUMBERS = "the line numbers before the lines are not in the file"
WHY = [
    ("a = 'x'\n", "a = ‘x’\n", "quotes, dashes or blanks are other characters"),
    ("a – b\n", "a - b", "quotes, dashes or blanks are other characters"),
    ('say("x")\n', 'say(\\"x\\")', "backslashes before quotes or other characters differ"),
    ("def Total(x):\n", "def total(x):", "upper and lower case differ"),
    ("a  =  1\n", "a = 1", "white space differs"),
    (
        "one\ntwo\n",
        "     1→one\n     2→two",
        NUMBERS,
    ),
    ("one\ntwo\n", "1: one\n2: two", NUMBERS),
    (
        "def f(a):\n    b = 1\n    return a\n",
        "def f(a):\n    c = 22222\n    return b",
        "similar, but not the same: differs at line 2",
    ),
]


@pytest.mark.parametrize(("before", "old", "why"), WHY)
def test_the_reason_is_told_with_the_lines(ask: Box, before: str, old: str, why: str) -> None:
    ask.fill({"file": before})
    (near,) = ask("edit", path="file", old=old, new="new")["nearest"]
    assert (near["first"], near["why"]) == (1, why)
    assert near["text"] == before.removesuffix("\n")


def test_a_change_that_is_there_already_is_pointed_at(ask: Box) -> None:
    ask.fill({"file": "a\nnew text\nb\n"})
    assert ask("edit", path="file", old="old text", new="new text")["lines"] == [2]


def test_a_long_line_is_shown_around_the_change(ask: Box, tmp_path: Path) -> None:
    ask.fill({"file": LONG + "needle" + LONG + "\n"})
    done = ask("edit", path="file", old="needle", new="pin")
    assert "xxpinxx" in done["text"]
    assert len(done["text"]) < 600


def test_distant_places_are_shown_each(ask: Box) -> None:
    ask.fill({"file": "".join(f"{n % 50}\n" for n in range(1, 121))})
    done = ask("edit", path="file", old="\n7\n", new="\nseven\n", all=True)
    assert (done["first"], done["text"].split("\n")[3]) == (4, "seven")
    assert [window["first"] for window in done["windows"]] == [54, 104]
    assert done["more"] == 0


def test_a_change_everywhere_is_bounded(ask: Box) -> None:
    ask.fill({"file": "".join(f"{n}\n" if n % 10 else "x\n" for n in range(50_000))})
    done = ask("edit", path="file", old="x", new="y", all=True)
    shown = [done["text"], *(window["text"] for window in done["windows"])]
    assert done["replaced"] == 5_000
    assert sum(text.count("\n") + 1 for text in shown) <= 200
    assert len(shown) + done["more"] == 5_001  # one is there, and not to its end
    assert len(done["diff"]) < 21_000


def test_new_syntax_errors_are_told_and_old_ones_not(ask: Box) -> None:
    ask.fill({"a.py": "def f():\n    pass\n\n\ndef g():\n    return 1\n"})
    done = ask("edit", path="a.py", old="def g():", new="def g(:")
    assert [line for line, _ in done["errors"]] == [5]
    done = ask("edit", path="a.py", old="return 1", new="return 2")
    assert done["errors"] == []
    written = ask("write", path="b.py", text="def (:\n")
    assert [line for line, _ in written["errors"]] == [1]
