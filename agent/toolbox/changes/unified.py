"""Unified diffs, of git or by hand, as models write them: with line numbers that may be wrong."""

from __future__ import annotations

import re
from typing import List, Optional, Tuple

from agent.toolbox.changes.hunks import Hunk
from agent.toolbox.changes.sections import ADD, DELETE, UPDATE, BadPatch, Lines, Section, signed

NOWHERE = "/dev/null"
REGULAR = 0o100000

_GIT = re.compile(r"^diff --git (.+)$")
_PLACE = re.compile(r"^@@(?: -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)|.*)$")
_TIME = re.compile(r"(\t|\s+\d{4}-\d\d-\d\d[ T]).*$")
_MODE = re.compile(r"^(old mode|new mode|new file mode|deleted file mode) (\d{6})$")
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}


def fits(lines: Lines) -> bool:
    """Whether this is such a diff."""
    return any(
        _GIT.match(line) or (line.startswith("--- ") and lines[at + 1][1].startswith("+++ "))
        for at, (_, line) in enumerate(lines[:-1])
    )


def parse(lines: Lines) -> List[Section]:
    """The sections, in order. Raises `BadPatch`."""
    return _Parser(lines).sections()


class _Parser:
    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._sections: List[Section] = []
        self._hunk: Optional[Hunk] = None
        self._left = (0, 0)  # how many old and new lines the hunk should still have

    def sections(self) -> List[Section]:
        index = 0
        while index < len(self._lines):
            at, line = self._lines[index]
            if self._header(index):
                self._names(at, line[4:], self._lines[index + 1][1][4:])
                index += 1
            elif _GIT.match(line):
                self._git(at, line)
            elif line.startswith("@@") and self._sections:
                self._place(at, line)
            elif self._hunk is not None:
                self._body(at, line)
            elif self._sections:
                self._extended(at, line)
            index += 1
        for section in self._sections:
            _settle(section)
        return self._sections

    def _header(self, index: int) -> bool:
        """Whether a file begins here, and not a line `-- …` that is taken away."""
        old, new, place = ([line for _, line in self._lines[index : index + 3]] + ["", ""])[:3]
        if not old.startswith("--- ") or not new.startswith("+++ "):
            return False
        if place.startswith("@@") and (old.startswith(("--- a/", "--- /")) or "+++ b/" in new):
            return True  # whatever the counts of the hunk before say: they are often wrong
        return self._hunk is None or min(self._left) <= 0

    def _git(self, at: int, line: str) -> None:
        """`diff --git a/x b/x` counts where no content changes; other files are named again."""
        names = _two_names(line[len("diff --git ") :])
        self._sections.append(Section(UPDATE, names[0], at))
        self._sections[-1].to = names[1]
        self._hunk = None

    def _names(self, at: int, old: str, new: str) -> None:
        old, new = _name(old), _name(new)
        ours, theirs = old.startswith("a/"), new.startswith("b/")
        old = old[2:] if ours and not new.startswith("a/") else old
        new = new[2:] if theirs and not old.startswith("b/") else new
        begun = self._sections[-1] if self._sections else None
        if begun is None or begun.hunks or begun.named:
            begun = Section(UPDATE, old, at)
            self._sections.append(begun)
        begun.path, begun.to, begun.named = old, new, True
        self._hunk = None

    def _extended(self, at: int, line: str) -> None:
        """The lines of git between `diff --git` and the first hunk."""
        section = self._sections[-1]
        mode = _MODE.match(line)
        if mode:
            value = int(mode.group(2), 8)
            if value & 0o170000 != REGULAR:
                raise BadPatch("not_a_file", at, line)
            if mode.group(1).startswith("new"):
                section.mode = value & 0o777
            section.kind = {"new file mode": ADD, "deleted file mode": DELETE}.get(
                mode.group(1), section.kind
            )
        elif line.startswith(("rename from ", "rename to ")):
            name = _name(line.split(" ", 2)[2])
            section.path, section.to = (
                (name, section.to) if line.startswith("rename from ") else (section.path, name)
            )
        elif line.startswith(("copy from ", "copy to ")):
            raise BadPatch("copy", at, line)
        elif line.startswith(("GIT binary patch", "Binary files ")):
            raise BadPatch("binary", at, line)
        elif section.named and line[:1] in ("+", "-", " "):
            self._place(at, "@@")
            self._body(at, line)

    def _place(self, at: int, line: str) -> None:
        place = _PLACE.match(line)
        self._hunk = Hunk([])
        self._hunk.at, self._hunk.firm = at, False
        self._left = (0, 0)
        if place and place.group(1):
            old, new = (int(n) if n else 1 for n in (place.group(2), place.group(4)))
            self._hunk.hint = int(place.group(1)) + (old == 0)
            self._left = (old, new)
            self._hunk.headings = [place.group(5)] if place.group(5).strip() else []
        self._sections[-1].add(self._hunk)

    def _body(self, at: int, line: str) -> None:
        hunk = self._hunk
        assert hunk is not None
        if max(self._left) <= 0 and (line == "-- " or line.startswith(("diff ", "Index: "))):
            self._hunk = None  # the signature of a mail, or the next file
        elif signed(hunk, line):
            sign = line[:1] or " "
            self._left = (self._left[0] - (sign != "+"), self._left[1] - (sign != "-"))
        else:
            raise BadPatch("sign", at, line)


def _settle(section: Section) -> None:
    """What kind it is, and that it makes sense. Raises `BadPatch`."""
    if section.path == NOWHERE:
        section.kind, section.path = ADD, section.to
    elif section.to == NOWHERE:
        section.kind = DELETE
    if section.to in (NOWHERE, section.path) or section.kind != UPDATE:
        section.to = ""
    if section.kind == ADD:
        signs = {sign for hunk in section.hunks for sign, line in hunk.ops if line or sign != " "}
        if signs - {"+"}:
            raise BadPatch("not_added", section.at, section.path)
        lines = [line for hunk in section.hunks for line in hunk.added]
        ended = not any(hunk.newline is False for hunk in section.hunks)
        section.text = "\n".join(lines) + ("\n" if lines and ended else "")
        section.hunks = []
    elif section.kind == UPDATE and not section.hunks and not section.to and section.mode < 0:
        raise BadPatch("no_change", section.at, section.path)


def _name(name: str) -> str:
    """A file name of a header: without a time after it, and out of git's quotes."""
    name = _TIME.sub("", name).rstrip()
    return _unquoted(name) if len(name) > 1 and name[0] == name[-1] == '"' else name


def _two_names(both: str) -> Tuple[str, str]:
    """The names in `a/x b/x`; git quotes neither blanks nor anything that says where one ends."""
    half = len(both) // 2
    if both[:half] == both[half + 1 :]:
        return both[:half], both[:half]
    if both[:half].startswith("a/") and both[half + 1 :] == "b/" + both[2:half]:
        return both[2:half], both[2:half]
    old, _, new = both.partition(" b/")
    return _name(old)[2:] if old.startswith("a/") else _name(old), new


def _unquoted(name: str) -> str:
    out, at, data = bytearray(), 1, name.encode("utf-8", "surrogateescape")
    while at < len(data) - 1:
        octal = re.match(rb"\\([0-3][0-7]{2})", data[at:])
        if octal:
            out.append(int(octal.group(1), 8))
            at += 4
        elif data[at : at + 1] == b"\\" and chr(data[at + 1]) in _ESCAPES:
            out.append(_ESCAPES[chr(data[at + 1])])
            at += 2
        else:
            out.append(data[at])
            at += 1
    return out.decode("utf-8", "surrogateescape")
