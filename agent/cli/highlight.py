"""Colours of code, a line at a time as it comes. Never another character than was given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, cast

from pygments import lexers
from pygments.lexer import ExtendedRegexLexer, Lexer, LexerContext, RegexLexer
from pygments.token import Token

from agent.cli.styled import Line

LINE_CHARS, BLOCK_CHARS = 500, 200_000
"""What is longer is shown without colours."""
_OPEN, _CLOSE = "/*", "*/"
_COMMON = ("python", "bash", "javascript", "json")
# Of the terminal's own colours those that can be read on light and on dark; the innermost wins.
_STYLES = {
    Token.Comment: "token.comment",
    Token.Keyword: "token.keyword",
    Token.Keyword.Constant: "token.value",
    Token.Literal.String: "token.string",
    Token.Literal.Number: "token.value",
    Token.Name.Builtin: "token.value",
    Token.Name.Class: "token.name",
    Token.Name.Function: "token.name",
    Token.Name.Decorator: "token.value",
    Token.Name.Tag: "token.keyword",
    Token.Name.Attribute: "token.value",
    Token.Operator.Word: "token.keyword",
    Token.Generic.Deleted: "diff.removed",
    Token.Generic.Inserted: "diff.added",
    Token.Generic.Heading: "diff.head",
    Token.Generic.Subheading: "diff.place",
}


class Highlighter:
    """The looks of one block of code in `language`, which nobody may know."""

    def __init__(self, language: str) -> None:
        found = re.match(r"[\w+#.-]+", language)
        self._lexer = _lexer(found[0].lower()) if found else None
        self._stack = ["root"]
        self._comment = False
        self._left = BLOCK_CHARS

    def line(self, text: str) -> Line:
        """The next line of the block."""
        line, self._stack, self._comment = self._looks(text)
        self._left -= len(text)
        return line

    def peek(self, text: str) -> Line:
        """The beginning of the next line."""
        return self._looks(text)[0]

    def _looks(self, text: str) -> tuple[Line, list[str], bool]:
        if self._lexer is None or len(text) > LINE_CHARS or self._left < len(text):
            return (("", text),), self._stack, self._comment
        pieces: list[tuple[str, str]] = []
        if self._comment:
            # Most languages know a comment of C only as a whole: that one is open, we remember.
            inside, end, text = text.partition(_CLOSE)
            pieces.append((_STYLES[Token.Comment], inside + end))
            if not end:
                return tuple(pieces), self._stack, True
        closed = text + _CLOSE if _OPEN in text else text
        tokens, stack = _tokens(self._lexer, closed, self._stack)
        kinds = [kind for kind, value in tokens if value != "\n"]
        left_open = closed != text and kinds[-1] in Token.Comment
        length = len(text)
        for kind, value in tokens:
            pieces.append((_style(kind), value[:length]))
            length -= len(value[:length])
        return _joined(pieces), stack, left_open


def _tokens(lexer: Lexer, text: str, stack: list[str]) -> tuple[list[tuple[Any, str]], list[str]]:
    """What a line consists of, and what state it leaves to the next one."""
    if type(lexer).get_tokens_unprocessed is RegexLexer.get_tokens_unprocessed:
        context = LexerContext(f"{text}\n", 0, list(stack))
        # The one way to go on from a state; made for its subclass, it works for any with rules.
        run_from: Any = ExtendedRegexLexer.get_tokens_unprocessed
        try:
            run = run_from(lexer, context=context)
            return [(kind, value) for _, kind, value in run], context.stack
        except TypeError:  # a few have rules that cannot be gone on with
            pass
    return [(kind, value) for _, kind, value in lexer.get_tokens_unprocessed(f"{text}\n")], stack


@cache
def _style(kind: Any) -> str:
    return next((_STYLES[each] for each in reversed(kind.split()) if each in _STYLES), "")


def _joined(pieces: Iterable[tuple[str, str]]) -> Line:
    line: list[tuple[str, str]] = []
    for style, text in pieces:
        if line and line[-1][0] == style:
            line[-1] = (style, line[-1][1] + text)
        elif text:
            line.append((style, text))
    return tuple(line) or (("", ""),)


def warm() -> None:
    """Load what common languages need; it takes a moment."""
    for name in _COMMON:
        _lexer(name)


@cache
def _names() -> frozenset[str]:
    return frozenset(
        name for _, names, _, _ in lexers.get_all_lexers(plugins=False) for name in names
    )


@cache
def _lexer(name: str) -> Lexer | None:
    # Asked for names that it has: for any other one it would look through what is installed.
    return cast("Any", lexers).get_lexer_by_name(name) if name in _names() else None
