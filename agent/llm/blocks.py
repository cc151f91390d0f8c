"""What a model without tools asks for in its text: fenced shell blocks and search/replace blocks.

The forms are those that models know from Aider. A block that cannot be read is no call but a
problem, which the model is told: nothing is guessed of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SHELLS = ("bash", "sh", "shell", "zsh")
RESULT_MARK = "[result of block "

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[ \t]*(.*?)[ \t]*")
_SEARCH = re.compile(r"<{5,9} SEARCH:?[ \t]*")
_MIDDLE = re.compile(r"={5,9}[ \t]*")
_REPLACE = re.compile(r">{5,9} REPLACE[ \t]*")
_PATH = re.compile(r"[^\s`'\"*:<>|]{1,300}")

Problem = str
NO_PATH: Problem = "there is no line with the path of a file before it"
NOT_CLOSED: Problem = "it has no end"
NO_MIDDLE: Problem = "there is no line `=======` between what to find and what to put there"
EMPTY: Problem = "there is nothing in it"


@dataclass(frozen=True, slots=True)
class Block:
    """A call that was read, or the `problem` for which it was not. `text` is the block itself."""

    tool: str
    text: str
    arguments: dict[str, str] | None = None
    problem: Problem = ""


def blocks_of(text: str, *, cut: bool = False) -> list[Block]:
    """The blocks of a reply in their order; with `cut` more of it was to come."""
    return list(_Reader(own_words(text).split("\n"), cut).read())


def own_words(text: str) -> str:
    """A reply up to where the model goes on with results that it made up."""
    at = text.find(f"\n{RESULT_MARK}")
    return "" if text.startswith(RESULT_MARK) else text if at < 0 else text[:at]


class _Reader:
    def __init__(self, lines: list[str], cut: bool) -> None:
        self._lines = [line.removesuffix("\r") for line in lines]
        self._cut = cut
        self._at = 0
        self._fence = ""
        self._path = ""

    def read(self) -> Iterator[Block]:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            fence = _FENCE.fullmatch(line)
            if _SEARCH.fullmatch(line):
                yield self._change()
            elif self._fence and _closes(line, self._fence):
                self._fence = ""
                self._at += 1
            elif not self._fence and fence and fence[2].lower() in SHELLS:
                yield self._command(fence[1])
            else:
                self._take(line, fence)

    def _take(self, line: str, fence: re.Match[str] | None) -> None:
        """A line of no block: a fence of another kind, perhaps a path."""
        if not self._fence and fence:
            self._fence = fence[1]
            self._path = _path_in(fence[3]) or self._path
        elif line.strip():
            self._path = _path_in(line)
        self._at += 1

    def _command(self, fence: str) -> Block:
        start = self._at
        body = self._until(lambda line: _closes(line, fence), start + 1)
        closed = self._at < len(self._lines)
        self._at += closed
        text = "\n".join(self._lines[start : self._at])
        command = "\n".join(body)
        if not closed and self._cut:
            return Block("bash", text, problem=NOT_CLOSED)
        if not command.strip():
            return Block("bash", text, problem=EMPTY)
        return Block("bash", text, {"command": command})

    def _change(self) -> Block:
        start = self._at
        old = self._until(lambda line: _ends_part(line, self._fence), start + 1)
        middle = self._line(_MIDDLE)
        new = self._until(lambda line: _ends_part(line, self._fence), self._at) if middle else []
        end = middle and self._line(_REPLACE)
        text = "\n".join(self._lines[start : self._at])
        if not middle:
            self._line(_REPLACE)
            return Block("edit", text, problem=NO_MIDDLE)
        if not end:
            return Block("edit", text, problem=NOT_CLOSED)
        if not self._path:
            return Block("edit", text, problem=NO_PATH)
        content = "".join(f"{line}\n" for line in new)
        if not any(line.strip() for line in old):
            return Block("write", text, {"path": self._path, "content": content})
        found = "".join(f"{line}\n" for line in old)
        return Block("edit", text, {"path": self._path, "old": found, "new": content})

    def _until(self, ends: Callable[[str], bool], start: int) -> list[str]:
        """The lines from `start` to one that `ends` them, which comes next."""
        self._at = start
        while self._at < len(self._lines) and not ends(self._lines[self._at]):
            self._at += 1
        return self._lines[start : self._at]

    def _line(self, form: re.Pattern[str]) -> bool:
        """Whether the next line is of `form`, which takes it then."""
        found = self._at < len(self._lines) and bool(form.fullmatch(self._lines[self._at]))
        self._at += found
        return found


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return bare.startswith(fence) and not bare.strip(fence[0])


def _ends_part(line: str, fence: str) -> bool:
    marks = (_SEARCH, _MIDDLE, _REPLACE)
    return any(mark.fullmatch(line) for mark in marks) or bool(fence and _closes(line, fence))


def _path_in(line: str) -> str:
    """The path that a line names and nothing else, without what Markdown puts around it."""
    bare = line.strip().lstrip("#").strip().strip("*`'\":").strip()
    bare = re.sub(r"\A(?:file(?:name)?|path):?\s+", "", bare, flags=re.IGNORECASE).strip("*`'\"")
    return bare if _PATH.fullmatch(bare) and not bare.endswith((".", ",", "!", "?")) else ""
