"""What class an object is of, by the looks of the text around: evidence, not proof.

`bill = Bill(…)`, `bill: Bill`, `with Bill() as bill`, `self.bill = Bill(…)` and functions that say
what they return. Nothing is run and no type is followed through expressions.
"""

from __future__ import annotations

import functools
import re
from typing import Callable, List, Optional, Tuple

from agent.toolbox.code.outline import Definition
from agent.toolbox.symbols.lookup import File, Found, Lookup

BASES_MAX = 40
LINES_MAX = 1_500
LINE_CHARS = 1_000
"""Nobody wrote a longer line, and the patterns here take time that grows faster than it."""
CLASSES = frozenset(("class", "struct", "interface", "trait", "enum"))
READ = frozenset(("python", "javascript", "typescript", "tsx"))
"""The languages whose ways to say it are known here."""

_ROUTINES = ("function", "method")
_TYPE = r"(?:Optional\[)?[\"']?(?P<said>[A-Za-z_$][\w.$]*)"
_MADE = r"=\s*(?:await\s+|new\s+)?(?P<made>[A-Za-z_$][\w.$]*)\s*(?:[(;#]|$)"
_RETURNS = re.compile(r"(?:->|\)\s*:)\s*(?:Optional\[)?[\"']?([A-Za-z_$][\w.$]*)[^,(]*$")

Resolve = Callable[[str, str, int], Optional[Found]]
"""What a dotted name in a line of a file is: a class or a function, as far as that can be told."""


def classes_of(
    lookup: Lookup, path: str, line: int, before: str, own: bool, resolve: Resolve
) -> List[Found]:
    """The class of what is called `before` there, dotted or not, or is an object's `own` part.

    With its bases, nearest first.
    """
    file = lookup.file(path)
    if file is None or file.language not in READ:
        return []
    said = _class(lookup, before, path, line, resolve) if not own else None
    if said is None and "." not in before:
        said = _assigned(lookup, file, line, before, own, resolve)
    return lineage(lookup, said, resolve) if said is not None else []


def lineage(lookup: Lookup, one: Found, resolve: Resolve) -> List[Found]:
    """A class and those it is derived from, nearest first."""
    known, waiting = [one], [(name, one) for name in derived_from(one.definition.signature)]
    for _ in range(BASES_MAX):
        if not waiting:
            break
        name, derived = waiting.pop(0)
        base = resolve(name, derived.path, derived.line)
        if base is not None and base.definition.kind in CLASSES and base not in known:
            known.append(base)
            waiting += [(name, base) for name in derived_from(base.definition.signature)]
    return known


def derived_from(signature: str) -> List[str]:
    """The dotted names of the classes that a signature names as bases."""
    match = re.search(r"\((.*)\)|\b(?:extends|implements)\b(.*)|:(.*)", signature)
    inner = next((part for part in match.groups() if part), "") if match else ""
    inner = re.sub(r"\[[^\]]*\]|<[^>]*>|\w+\s*=\s*[\w.]+", "", inner)
    return [part.strip() for part in re.split(r"[,\s]+", inner) if part.strip()]


def _assigned(
    lookup: Lookup, file: File, line: int, name: str, own: bool, resolve: Resolve
) -> Optional[Found]:
    """The class of what is given the name where it is used, or before: the nearest counts."""
    lines = lookup.lines(file.path)
    line = min(line, len(lines))  # it may have changed since
    around = _around(file, line)
    if own:
        holder = next((one for one in around if one.kind in CLASSES), None)
        first, last = (holder.line, holder.end) if holder is not None else (1, len(lines))
        front = r"(?:\b(?:self|cls|this)\.|^\s*)"
        numbers = [*range(line, first - 1, -1), *range(line + 1, min(last, len(lines)) + 1)]
    else:
        routines = [one.line for one in around if one.kind in _ROUTINES]
        front = r"(?<![\w.$])" if routines else r"^\s*"
        numbers = list(range(line, (routines[-1] if routines else 1) - 1, -1))
    given = _given(front, name)
    told = functools.partial(_told, lookup, name, file.path, resolve)
    for number in numbers[:LINES_MAX]:
        found = told(given, number, lines[number - 1])
        if found is not None:
            return found
    if not own and around:
        given = _given(r"^(?:export\s+)?(?:(?:const|let|var)\s+)?", name)
        for number, text in enumerate(lines[:LINES_MAX], 1):
            found = told(given, number, text)
            if found is not None:
                return found
    return None


def _given(front: str, name: str) -> "re.Pattern[str]":
    called = re.escape(name)
    return re.compile(
        r"%s%s\s*(?::\s*%s[^=,)]*)?(?:%s)?|\bwith\s+(?P<opened>[A-Za-z_][\w.]*)\(.*\)\s+as\s+%s\b"
        % (front, called, _TYPE, _MADE, called)
    )


def _told(
    lookup: Lookup,
    name: str,
    path: str,
    resolve: Resolve,
    given: "re.Pattern[str]",
    number: int,
    text: str,
) -> Optional[Found]:
    """The class that a line says something is of."""
    if name not in text or len(text) > LINE_CHARS:
        return None
    for match in given.finditer(text):
        for word in filter(None, (match["said"], match["made"], match["opened"])):
            if word != name:
                found = _class(lookup, word, path, number, resolve)
                if found is not None:
                    return found
    return None


def _class(lookup: Lookup, word: str, path: str, line: int, resolve: Resolve) -> Optional[Found]:
    """The class that is called so, or that what is called so returns."""
    front, _, last = word.rpartition(".")
    found = resolve(word, path, line)
    if found is None and front:
        # A member of a class: `Bill.of(…)`.
        holder = resolve(front, path, line)
        if holder is None or holder.definition.kind not in CLASSES:
            return None
        names = [(one.name, one.path) for one in lineage(lookup, holder, resolve)]
        members = [one for one in lookup.definitions(last) if _holder(one) in names]
        found = min(members, key=lambda one: names.index(_holder(one)), default=None)
    if found is None or found.definition.kind in CLASSES:
        return found
    returned = _RETURNS.search(found.definition.signature)
    if returned is None:
        return None
    if returned.group(1) == "Self":
        return resolve(found.qualified.rpartition(".")[0], found.path, found.line)
    one = resolve(returned.group(1), found.path, found.line)
    return one if one is not None and one.definition.kind in CLASSES else None


def _holder(one: Found) -> Tuple[str, str]:
    return one.qualified.rpartition(".")[0].rpartition(".")[2], one.path


def _around(file: File, line: int) -> List[Definition]:
    """The definitions around a line, the innermost first."""
    one = file.at(line)
    found: List[Definition] = []
    while one is not None:
        found.append(one)
        one = file.definitions[one.parent] if one.parent >= 0 else None
    return found
