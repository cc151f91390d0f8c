"""Markdown of a reply, as lines of the transcript."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.folding import cells, words
from agent.cli.inline import inline
from agent.cli.live import Live
from agent.cli.markdown import HELD_LINES, PREVIEW_CHARS, TABLE_ROWS, Markdown
from agent.cli.styled import Line
from agent.core.events import MessageFinished, SandboxState, TextDelta
from agent.core.messages import AssistantMessage
from agent.core.text import terminal_safe

WIDE = 200


def shown(text: str, width: int = WIDE, *, colours: bool = True) -> list[Line]:
    """All that a reply adds to the transcript."""
    markdown = Markdown(lambda: width, colours=colours)
    lines = [line for row in text.split("\n") for line in markdown.line(row)]
    return [*lines, *markdown.end()]


def rows(text: str, width: int = WIDE, *, colours: bool = True) -> list[str]:
    return [words(line) for line in shown(text, width, colours=colours)]


def looks(text: str) -> list[tuple[str, str]]:
    """The pieces of a text that look like anything."""
    return [piece for line in shown(text) for piece in line if piece[0]]


def streamed(pieces: list[str], width: int = WIDE) -> list[Line]:
    live = Live(lambda: Markdown(lambda: width))
    lines: list[Line] = []
    for piece in pieces:
        lines += live.apply(TextDelta(piece))
        live.area()
    return [*lines, *live.apply(MessageFinished(AssistantMessage("".join(pieces))))]


MARKS = st.sampled_from(
    ["**", "*", "_", "`", "```\n", "```py\n", "~~", "\n", "\n\n", "# ", "- ", "1. ", "> ",
     "| a | b |\n", "|---|---|\n", "---\n", "    ", "[a](b)", "https://a.b/c", "\\*", "é",
     "e\u0301", "漢字", "👩\u200d💻",
     "\ud83d", "\x1b[2J", "\x1b]0;x\x07", "\u202e", "\x9b", "\r\n", "\r", "\t", "word ", "x"]
)  # fmt: skip
REPLIES = st.lists(MARKS | st.text(max_size=5), max_size=40).map("".join)


@given(REPLIES, st.lists(st.integers(1, 12)))
def test_it_does_not_matter_where_a_reply_is_cut(reply: str, cuts: list[int]) -> None:
    pieces, rest = list[str](), reply
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]

    assert streamed([*pieces, rest], 40) == streamed([reply], 40)


@given(REPLIES)
def test_nothing_reaches_the_screen_that_could_steer_it(reply: str) -> None:
    live = Live(lambda: Markdown(lambda: 40))
    lines = live.apply(TextDelta(reply))
    lines += [*live.area(), *live.apply(MessageFinished(AssistantMessage(reply)))]

    for line in lines:
        assert terminal_safe(words(line)) == words(line)
        assert "\n" not in words(line)


NOT_MARKDOWN = """\
2026-01-02 03:04:05,678 [main-1] INFO  a.b.C - took 3*4*5 ms (x**2)
__init__ __all__ _private snake_case_name __a__b__
a*b*c 2**3**4 *args, f(*args, **kwargs)
*.py and src/**/*.ts /* a comment */ /** another */
C:\\Users\\_me\\*.txt \\\\server\\share\\_x
<tag attribute="*x*"><b>bold</b> &lt; &amp; <!-- * -->
handlers[name](event) a[i](x)
Traceback (most recent call last):
  File "a_b.py", line 3, in <module>
#include <stdio.h>
#!/bin/sh
$ echo "$HOME" && ls -la | wc -l
a ~ b ~c ~~~ d
100% `unclosed
    indented **code** with `marks`
key: value_with_underscores = [1, 2]
  two spaces   and    columns"""


def test_what_is_no_markdown_keeps_every_character() -> None:
    assert rows(NOT_MARKDOWN) == NOT_MARKDOWN.split("\n")
    for line in NOT_MARKDOWN.split("\n"):
        assert rows(line) == [line]


@given(st.text(alphabet="ab \t*_`[]()\\/<>|#-+.:~é漢", max_size=60))
def test_letters_are_never_lost(text: str) -> None:
    def kept(said: str) -> str:
        return "".join(char for char in said if char in "abé漢")

    # An address that is also the text of its link is said once; here there is none.
    if "](" not in text:
        assert kept("".join(rows(text, 20))) == kept(text)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("**bold *both* more**", [("bold", "bold "), ("bold italic", "both"), ("bold", " more")]),
        ("***both***", [("bold italic", "both")]),
        ("**a *b***", [("bold", "a "), ("bold italic", "b")]),
        ("**漢字**を", [("bold", "漢字")]),
        ("**`code`**", [("bold code", "code")]),
        ("`a*b` and ``c`d``", [("code", "a*b"), ("code", "c`d")]),
        ("_it was_ _x_", [("italic", "it was")]),
        ("~~gone~~", [("gone", "gone")]),
        ("# A *b* #", [("heading.1", "A "), ("heading.1 italic", "b")]),
        ("[text](http://a.b/c_(d))", [("link", "text"), ("link.to", "http://a.b/c_(d)")]),
        ("[http://a.b](http://a.b)", [("link", "http://a.b")]),
        ("see https://a.b/_c_d.", [("link", "https://a.b/_c_d")]),
        ("> said *so*", [("dim", "> "), ("quote", "said "), ("quote italic", "so")]),
        ("2) *x*", [("list", "2)"), ("italic", "x")]),
        ("**over\nlines** x", [("bold", "over"), ("bold", "lines")]),
        ("\\*not\\* my\\_name", []),
    ],
)
def test_how_it_looks(text: str, pieces: list[tuple[str, str]]) -> None:
    assert looks(text) == pieces


def test_without_colours_code_keeps_its_marks() -> None:
    assert rows("use `x` **now**", colours=False) == ["use `x` now"]


def test_prose_is_broken_at_words_and_lists_hang() -> None:
    text = "- one two three\n  - four five six\nhttp://a.b/a-long-address seven"

    assert rows(text, 14) == [
        "- one two",
        "  three",
        "  - four five",
        "    six",
        "http://a.b/a-long-address",
        "seven",
    ]


def test_blank_lines_stay_between_but_not_around() -> None:
    assert rows("\n\none\n\n\ntwo\n\n") == ["one", "", "two"]


CODE = 'def f(x):\n\tif x:   \n        return """a\n\n    b""" + x * ' + "9" * 300


def test_code_is_what_it_was() -> None:
    """Nothing before, behind or within its lines, so that it can be copied from the screen."""
    expected = ["─── python", *CODE.split("\n"), "───"]

    assert rows(f"```python\n{CODE}\n```", 40) == expected
    assert rows(f"```nosuch\n{CODE}\n```", 40)[1:] == expected[1:]
    assert rows(f"```python\n{CODE}", 40) == expected  # a reply that was cut off
    indented = "\n".join(f"   {row}" for row in CODE.split("\n"))
    assert rows(f"- so:\n   ```python\n{indented}\n   ```", 40)[1:] == expected


def test_code_has_the_colours_of_its_language_across_lines() -> None:
    code = '/* one\n for\n if */ let a = 1;\n```\n````py\n"""for\n```\nfor"""\nfor'
    pieces = looks(f"```js\n{code}\n````")

    assert pieces[1:8] == [
        ("token.comment", "/* one"),
        ("token.comment", " for"),
        ("token.comment", " if */"),
        ("token.keyword", "let"),
        ("token.value", "1"),
        ("dim", "───"),
        ("dim", "─── py"),
    ]
    assert pieces[8:-1] == [
        ("token.string", '"""for'),
        ("token.string", "```"),
        ("token.string", 'for"""'),
        ("token.keyword", "for"),
    ]


TABLE = "| Name | What *it* does |\n|:--|--:|\n| `a` | x |\n| long name | y \\| z | w |"


def test_a_table_has_columns() -> None:
    assert rows(TABLE) == [
        "Name      │ What it does",
        "──────────┼─────────────",
        "a         │            x",
        "long name │    y | z | w",
    ]
    assert rows("| a |\n|---|\n| b | c |") == ["a", "─────", "b | c"]
    assert rows("a | b\nno table") == ["a | b", "no table"]
    assert rows("| a | b |\n| c | d |") == ["| a | b |", "| c | d |"]


@given(st.integers(1, 80), st.lists(st.text("ab 漢*`", max_size=30), min_size=2, max_size=6))
def test_a_table_fits_where_there_is_room_for_it(width: int, row: list[str]) -> None:
    bars = "|".join(["---"] * len(row))
    text = f"|{'|'.join('h' for _ in row)}|\n|{bars}|\n|{'|'.join(row)}|"

    room = [cells(line) for line in rows(text, width) if "│" in line]
    assert all(line <= width for line in room)


def test_a_table_without_end_comes_in_parts() -> None:
    live = Live(lambda: Markdown(lambda: 80))
    lines = live.apply(TextDelta("| a | b |\n|---|---|\n" + "| c | d |\n" * (TABLE_ROWS + 5)))

    assert len(lines) == TABLE_ROWS + 2
    assert "c │ d" in [words(line) for line in live.area()]


def test_what_is_unfinished_can_be_seen() -> None:
    live = Live(lambda: Markdown(lambda: 80))

    def area(text: str) -> list[Line]:
        live.apply(TextDelta(text))
        return live.area()

    assert area("one **two") == [(("", "one "), ("bold", "two"))]
    assert area("** three\n\n- f") == [
        (("", ""),),
        (("list", "-"), ("", " "), ("", "f")),
    ]
    assert area(" x\n| a | b |\n|--|--|\n| c") == [
        (("bold", "a"), ("dim", " │ "), ("bold", "b")),
        (("dim", "──┼──"),),
        (("dim", "| c"),),
    ]
    assert words(area("\n\n```py\nfor x")[-1]) == "for x"


def test_bold_that_never_ends_is_shown_soon() -> None:
    live = Live(lambda: Markdown(lambda: 80))

    assert live.apply(TextDelta("**a\n" * (HELD_LINES - 1))) == []
    assert [words(line) for line in live.apply(TextDelta("b\n"))] == ["**a"] * (HELD_LINES - 1) + [
        "b"
    ]


def test_what_happens_beside_a_reply_does_not_end_its_code() -> None:
    live = Live(lambda: Markdown(lambda: 80))
    live.apply(TextDelta("```\n# a\n# b"))

    beside = live.apply(SandboxState("ready", "local"))
    lines = live.apply(TextDelta("c\n```\n# Title\n"))

    assert [words(line) for line in [*beside, *lines]] == [
        "· sandbox `local` is ready",
        "# bc",
        "───",
        "Title",
    ]


def test_a_window_may_be_resized_in_the_middle() -> None:
    width = 80
    live = Live(lambda: Markdown(lambda: width))
    text = "one two three four"
    assert live.apply(TextDelta(f"{text}\n")) == [(("", text),)]
    width = 10

    assert [words(line) for line in live.apply(TextDelta(f"{text}\n"))] == ["one two", "three four"]


def calls(work: Callable[[], Any]) -> int:
    """How many functions are called, the interpreter's own included."""
    count = 0

    def one(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(one)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


LONG = {
    "one line": "word **bold** `code` [a](b) ",
    "no space": "x",
    "openers": "**a *b `c [d](e ~~f _g ",
    "spaces": " ",
    "lines": "- a **bold** item\n",
    "code": "```py\nx = 1\n```\n",
    "table": "| a | b |\n|---|---|\n",
}


@pytest.mark.parametrize("name", LONG)
def test_twice_as_much_is_twice_the_work(name: str) -> None:
    def work(size: int) -> int:
        text = (LONG[name] * size)[:size]
        return calls(lambda: streamed([text[at : at + 50] for at in range(0, size, 50)], 80))

    work(2_000)  # what is loaded once
    one, two = work(10_000), work(20_000)
    assert two < 2.3 * one


def test_what_is_drawn_again_and_again_is_small() -> None:
    live = Live(lambda: Markdown(lambda: 80))
    for _ in range(100):
        live.apply(TextDelta("word " * 1_000))
        assert sum(len(words(line)) for line in live.area()) <= PREVIEW_CHARS


def test_a_link_in_emphasis_keeps_both_looks() -> None:
    line, waits = inline("**[a](b)**")

    assert line == (("bold link", "a"), ("bold", " ("), ("bold link.to", "b"), ("bold", ")"))
    assert not waits
