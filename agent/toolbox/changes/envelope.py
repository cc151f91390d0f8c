"""Patches between `*** Begin Patch` and `*** End Patch`, as current models are trained to write.

Read with the liberties that models take: signs missing on empty lines, markers with more or fewer
blanks, `@@` with line numbers or a second `@@`, several envelopes, no end.
"""

from __future__ import annotations

import re
from typing import List, Optional

from agent.toolbox.changes.hunks import Hunk
from agent.toolbox.changes.sections import (
    ADD,
    DELETE,
    UPDATE,
    BadPatch,
    Lines,
    Section,
    named,
    signed,
)

_FILE = re.compile(r"^\*\*\*\s*(Add|Create|Update|Modify|Delete|Remove)\s+File\s*:\s*(.+)$", re.I)
_MOVE = re.compile(r"^\*\*\*\s*(?:Move|Rename)\s+to\s*:\s*(.+)$", re.I)
_BEGIN = re.compile(r"^\*\*\*\s*Begin\s+Patch\s*$", re.I)
_END = re.compile(r"^\*\*\*\s*End\s+Patch\s*$", re.I)
_END_OF_FILE = re.compile(r"^\*\*\*\s*End\s+of\s+File\s*$", re.I)
_NUMBERED = re.compile(r"^@@\s*-(\d+)(?:,\d+)?\s+\+\d+(?:,\d+)?\s*@@\s?(.*)$")
_KINDS = {"add": ADD, "create": ADD, "delete": DELETE, "remove": DELETE}


def fits(lines: Lines) -> bool:
    """Whether this is such a patch."""
    return any(_FILE.match(line.strip()) for _, line in lines)


def inside(lines: Lines) -> Lines:
    """What is between the first `*** Begin Patch` and the last `*** End Patch`, if there are."""
    begins = [index for index, (_, line) in enumerate(lines) if _BEGIN.match(line.strip())]
    ends = [index for index, (_, line) in enumerate(lines) if _END.match(line.strip())]
    return lines[begins[0] + 1 if begins else 0 : ends[-1] if ends else len(lines)]


def parse(lines: Lines) -> List[Section]:
    """The sections, in order. Raises `BadPatch`."""
    return _Parser(lines).sections()


class _Parser:
    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._sections: List[Section] = []
        self._hunk: Optional[Hunk] = None

    def sections(self) -> List[Section]:
        for index, (at, line) in enumerate(self._lines):
            if self._named_again(index) or self._named_again(index - 1):
                continue  # a diff is in the section
            if line.startswith("***") or (self._hunk is None and _FILE.match(line.strip())):
                self._marker(at, line, line.strip())
            elif line.startswith("@@") and self._sections and self._sections[-1].kind == UPDATE:
                self._place(at, line)
            else:
                self._line(at, line)
        for section in self._sections:
            self._check(section)
        return self._sections

    def _named_again(self, index: int) -> bool:
        """Whether the two lines with which a diff names its file begin here."""
        three = [line for _, line in self._lines[max(0, index) : index + 3]]
        begun = bool(self._sections) and self._hunk is None and not self._sections[-1].text
        heads = zip(three, ("--- ", "+++ ", "@@"))
        return begun and len(three) == 3 and all(line.startswith(head) for line, head in heads)

    def _marker(self, at: int, line: str, marker: str) -> None:
        file, move = _FILE.match(marker), _MOVE.match(marker)
        if _BEGIN.match(marker) or _END.match(marker):
            self._hunk = None
        elif file:
            kind = _KINDS.get(file.group(1).lower(), UPDATE)
            self._sections.append(Section(kind, named(file.group(2)), at))
            self._hunk = None
        elif move and self._sections and self._sections[-1].kind == UPDATE:
            self._sections[-1].to = named(move.group(1))
        elif _END_OF_FILE.match(marker) and self._sections:
            if self._hunk is not None:
                self._hunk.to_end = True
            self._hunk = None
        else:
            raise BadPatch("marker", at, line)

    def _place(self, at: int, line: str) -> None:
        numbered = _NUMBERED.match(line)
        heading = numbered.group(2) if numbered else re.sub(r"\s*@@\s*$", "", line[2:])
        heading = heading[1:] if heading.startswith(" ") else heading
        hunk = self._hunk
        if hunk is None or hunk.ops:
            hunk = self._open(at)
        if numbered:
            hunk.hint, hunk.firm = int(numbered.group(1)), False
        if heading.strip() and heading.strip() != "...":
            hunk.headings.append(heading)

    def _open(self, at: int) -> Hunk:
        self._hunk = hunk = Hunk([])
        hunk.at = at
        self._sections[-1].add(hunk)
        return hunk

    def _line(self, at: int, line: str) -> None:
        if not self._sections:
            if line.strip():
                raise BadPatch("outside", at, line)
            return
        section = self._sections[-1]
        if section.kind == ADD:
            self._added(section, at, line)
        elif section.kind == DELETE:
            if line.strip():
                raise BadPatch("after_delete", at, line)
        else:
            self._changed(at, line)

    def _added(self, section: Section, at: int, line: str) -> None:
        if line.startswith("\\ No newline"):
            section.text = section.text[:-1]
        elif line.startswith("+"):
            section.text += line[1:] + "\n"
        elif not line.strip():
            # Between sections, or an empty line of the file whose sign was forgotten.
            section.text += "\n"
            section.loose += 1
            return
        elif not line.startswith("@@"):
            section.unsigned.append((at, line))
            section.text += line + "\n"
        section.loose = 0

    def _changed(self, at: int, line: str) -> None:
        if self._hunk is None and not line.strip():
            return
        if not signed(self._hunk or self._open(at), line):
            raise BadPatch("sign", at, line)

    def _check(self, section: Section) -> None:
        if section.kind == ADD and section.loose:
            section.text = section.text[: -section.loose]
        # Without any sign it is the file as it is to be; with some it is not clear what it is.
        lines = [line for line in section.text.split("\n") if line.strip()]
        indented = all(line.startswith(" ") for line in lines)
        if section.unsigned and (len(section.unsigned) < len(lines) or indented):
            raise BadPatch("not_added", *section.unsigned[0])
        section.hunks = [hunk for hunk in section.hunks if hunk.ops]
        for number, hunk in enumerate(section.hunks, 1):
            hunk.number = number
        if section.kind == UPDATE and not section.hunks and not section.to:
            raise BadPatch("no_change", section.at, section.path)
