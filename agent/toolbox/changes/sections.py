"""What a patch asks for, whichever format it is written in."""

from __future__ import annotations

import re
from typing import List, Tuple

from agent.toolbox.changes.hunks import Hunk

ADD, UPDATE, DELETE = "add", "update", "delete"

Lines = List[Tuple[int, str]]
"""Lines of a patch with their numbers, from 1."""

_HEREDOC = re.compile(r"^.*<<-?\s*(['\"]?)(\w+)\1\s*$")


class Section:
    """What is to become of one file."""

    def __init__(self, kind: str, path: str, at: int) -> None:
        self.kind = kind
        self.path = path
        self.at = at  # the line of the patch where it begins
        self.to = ""  # the name it moves to
        self.text = ""  # of a new file
        self.mode = -1
        self.loose = 0  # how many empty lines at the end of a new file may be there by mistake
        self.named = False  # by the two lines `---` and `+++`
        self.unsigned: Lines = []  # lines of a new file without a sign before them
        self.hunks: List[Hunk] = []

    def add(self, hunk: Hunk) -> None:
        self.hunks.append(hunk)
        hunk.number, hunk.signed = len(self.hunks), True


class BadPatch(Exception):
    """Line `at` of the patch cannot be read; `why` is a word for the reason, `line` its text."""

    def __init__(self, why: str, at: int = 0, line: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.at = at
        self.line = line


def unwrapped(patch: str) -> Lines:
    """The lines of `patch` without what models put around it: code fences, a shell's heredoc."""
    raw = patch.split("\n")
    if len(raw) > 1 and all(line.endswith("\r") for line in raw[:-1]):
        raw = [line[:-1] if line.endswith("\r") else line for line in raw]
    lines = list(enumerate(raw, 1))
    while True:
        lines = _stripped(lines)
        inner = _inner(lines)
        if len(inner) == len(lines):
            return lines
        lines = inner


def _stripped(lines: Lines) -> Lines:
    while lines and not lines[0][1].strip():
        lines = lines[1:]
    while lines and not lines[-1][1].strip():
        lines = lines[:-1]
    return lines


def _inner(lines: Lines) -> Lines:
    if len(lines) < 2:
        return lines
    first, last = lines[0][1].strip(), lines[-1][1].strip()
    heredoc = _HEREDOC.match(first)
    if first.startswith("```") or (heredoc and last == heredoc.group(2)):
        return lines[1:-1] if last in ("```", heredoc.group(2) if heredoc else "") else lines[1:]
    return lines


def named(name: str) -> str:
    """A path as models write it: without quotes around it."""
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'`":
        name = name[1:-1]
    return name


def signed(hunk: Hunk, line: str) -> bool:
    """Take `line` into `hunk` by the sign before it; whether it had one."""
    if line.startswith("\\ No newline"):
        hunk.newline = {"-": True, "+": False}.get(hunk.ops[-1][0]) if hunk.ops else None
    elif line in ("", "\r"):
        hunk.ops.append((" ", ""))
        hunk.loose += 1
    elif line[0] in " -+":
        text = line[1:]
        if line[0] != "+":  # lines of a file are compared without their end and the file's mark
            text = text[text.startswith("\ufeff") : len(text) - text.endswith("\r")]
        hunk.ops.append((line[0], text))
        hunk.loose = 0
    else:
        return False
    return True
