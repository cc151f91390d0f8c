"""What is in a file of code: its definitions, what it refers to, where its syntax breaks."""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple


class Definition(NamedTuple):
    """Something with a name, from the line of its name to `end`, both counted from 1.

    `column` is where the name begins, in bytes from 0. `parent` is the index of what it belongs to,
    -1 for nothing. `owner` names what it belongs to where that is not in this file. The kind `impl`
    is a scope and no definition of its name, `prototype` a promise of one elsewhere.
    """

    kind: str
    name: str
    line: int
    end: int
    column: int
    parent: int
    signature: str
    owner: str = ""


class Outline(NamedTuple):
    """A file's content in short. `sure` is False when regular expressions had to do.

    `definitions` are in the order of the text. `references` holds every other use of a name with
    its lines in order, one entry a line; `errors` (line, what is there), at most a few.
    """

    language: str
    definitions: Tuple[Definition, ...]
    references: Dict[str, List[int]]
    errors: Tuple[Tuple[int, str], ...]
    sure: bool

    def at(self, line: int) -> Optional[Definition]:
        """The innermost definition around `line`."""
        return around(self.definitions, line)

    def qualified(self, definition: Definition) -> str:
        """Its name with those of what it belongs to: `Class.method`."""
        return qualified(self.definitions, definition)


def around(definitions: Sequence[Definition], line: int) -> Optional[Definition]:
    """The innermost of a file's definitions around `line`."""
    index = bisect_right([one.line for one in definitions], line) - 1
    while index >= 0:
        one = definitions[index]
        if one.line <= line <= one.end:
            return one
        index = one.parent if one.parent < index else -1
    return None


def qualified(definitions: Sequence[Definition], definition: Definition) -> str:
    """The name of one of a file's definitions, with those of what it belongs to."""
    names, one = [definition.name], definition
    while one.parent >= 0:
        one = definitions[one.parent]
        names.append(one.name)
    if one.owner:
        names.append(one.owner)
    return ".".join(reversed(names))


# Between `parsing` and its workers: two lengths before a request, one before an answer.
REQUEST = struct.Struct("!II")
ANSWER = struct.Struct("!I")


def packed(outline: Outline) -> List[Any]:
    """The outline as JSON holds it."""
    return [
        outline.language,
        [list(one) for one in outline.definitions],
        outline.references,
        [list(one) for one in outline.errors],
        outline.sure,
    ]


def unpacked(value: Sequence[Any]) -> Outline:
    """The outline that `packed` made."""
    language, definitions, references, errors, sure = value
    return Outline(
        language,
        tuple(Definition(*one) for one in definitions),
        references,
        tuple((int(line), str(text)) for line, text in errors),
        bool(sure),
    )
