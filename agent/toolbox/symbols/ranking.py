"""Which of several definitions is meant, and how sure that is."""

from __future__ import annotations

import functools
import posixpath
import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from agent.toolbox.symbols import receivers, rows
from agent.toolbox.symbols.lookup import Found, Lookup

# What is looked for most often comes first.
_WEIGHT = {
    "class": 0, "struct": 0, "interface": 0, "trait": 0, "enum": 0, "union": 0, "type": 1,
    "function": 0, "method": 1, "module": 2, "macro": 1, "constant": 2, "variable": 3, "field": 3,
}  # fmt: skip
_BEFORE = re.compile(
    r"([A-Za-z_$][\w$]*)(?:\([^()]*(?:\([^()]*\)[^()]*)*\))?\s*(?:\?|!)?(?:\.|::|->)\s*$"
)
_FRONT = re.compile(r"([A-Za-z_$][\w.$]*|[)\]])\??\.$")
_IMPORTS = re.compile(r"\s*(?:from|import|export|use|using|require|#\s*include)\b")
BEFORE_CHARS = 400
"""So much before a name is looked at: the patterns here take time that grows faster than it."""
FAR = 999
_PLAIN = frozenset(("module", "function", "method"))
_MEMBERS = frozenset(("method", "field", "function", "constant"))
_SCRIPTS = ("javascript", "typescript", "tsx")
# Where a name of another file must be imported, and where a member needs what it is a member of.
_IMPORTED = frozenset(("python", *_SCRIPTS))
_EXPLICIT = frozenset(("python", "go", "rust", "php", *_SCRIPTS))
_OWN = frozenset(("self", "cls", "this", "super", "@"))


class Use(NamedTuple):
    """Where a name is used: what stands before it and a dot is `before`, `front` before that."""

    path: str
    line: int
    name: str
    before: str
    member: bool
    front: str = ""


def use_of(lookup: Lookup, path: str, line: int, name: str) -> Use:
    """The first use of a name in a line."""
    return uses_of(lookup, path, line, name)[0]


def uses_of(lookup: Lookup, path: str, line: int, name: str) -> List[Use]:
    """Every use of a name in a line; one at least."""
    text = lookup.line(path, line)
    if _IMPORTS.match(text):
        return [Use(path, line, name, "", False)]
    uses: Dict[Use, None] = {}
    for match in re.finditer(rows.whole(name), text):
        head = text[max(0, match.start() - BEFORE_CHARS) : match.start()]
        before = _BEFORE.search(head)
        member = bool(re.search(r"(?:\.|::|->)\s*$", head))
        front = _FRONT.search(head[: before.start()]) if before else None
        told = before.group(1) if before else "", member, front.group(1) if front else ""
        uses[Use(path, line, name, *told)] = None
    return list(uses) or [Use(path, line, name, "", False)]


def origins(lookup: Lookup, use: Use) -> Optional[Set[str]]:
    """The files that imports say a used name is from; None when they say nothing."""
    file = lookup.file(use.path)
    if file is None or use.before in _OWN or (use.member and not use.before):
        return None
    text = "" if use.before else lookup.line(use.path, use.line)
    line = text if _IMPORTS.match(text) else ""
    names = use.name, use.before
    return lookup.modules.origins(use.path, file.language, *names, lookup.defines, line)


def ranked(
    lookup: Lookup, found: Sequence[Found], use: Optional[Use], at: Optional[Place] = None
) -> List[Found]:
    """The likeliest first; without a use, what is neither test nor generated nor of others."""
    if use is None:
        return sorted(found, key=_plain)
    place = at or Place(lookup, use)

    def key(one: Found) -> Tuple[object, ...]:
        said = place.says(one)
        return (
            place.nearness(one),
            {YES: 0, MAYBE: 1, NO: 2}[said],
            one.path != use.path,
            rows.test(one.path) and not rows.test(use.path),
            one.generated or rows.vendored(one.path),
            # A bare name is hardly ever a member, and a member hardly ever a bare name.
            (one.definition.parent >= 0) != use.member,
            _apart(one.path, use.path),
            *_plain(one),
        )

    return sorted(found, key=key)


def decided(lookup: Lookup, best: Found, use: Use) -> bool:
    """Whether imports or the place itself say that `best` is meant."""
    return Place(lookup, use).says(best) == YES


YES, MAYBE, NO = "yes", "maybe", "no"


class Place:
    """Where a name is used, and what that says about which definition is meant."""

    def __init__(self, lookup: Lookup, use: Use, far: bool = True) -> None:
        self._lookup = lookup
        self._use = use
        self._far = far
        file = lookup.file(use.path)
        self._language = file.language if file is not None else ""
        one = file.at(use.line) if file is not None else None
        self._around = file.qualified(one).split(".") if file is not None and one else []
        self._said = origins(lookup, use)
        self._classes: Optional[List[Found]] = None

    def says(self, one: Found) -> str:
        """Whether `one` is meant here."""
        use, parent = self._use, _parent(one)
        if one.definition.kind in _MEMBERS and self._is_member(one):
            return self._member(one, parent)
        if self._said is not None:
            return YES if one.path in self._said else NO
        if use.member:
            return NO if use.before in _OWN else MAYBE
        if one.path == use.path and (not parent or parent in self._around):
            return YES
        if one.path == use.path or self._language not in _IMPORTED:
            return MAYBE
        # What is neither imported nor defined in a file of such a language cannot be meant there.
        return MAYBE if self._open() else NO

    def _is_member(self, one: Found) -> bool:
        """Whether it is of a class or the like: in a module or a function it is a plain name."""
        if one.definition.parent < 0:
            return False
        file = self._lookup.file(one.path)
        return file is None or file.definitions[one.definition.parent].kind not in _PLAIN

    def _member(self, one: Found, parent: str) -> str:
        use = self._use
        if use.before in _OWN:
            if parent in self._around and one.path == use.path and use.before != "super":
                return YES
            return YES if self.nearness(one) < FAR and self._nearest() == one else MAYBE
        if use.before:
            if self.nearness(one) < FAR:
                return YES if self._nearest() == one else MAYBE
            return YES if parent == use.before else MAYBE
        if use.member or self._language not in _EXPLICIT:
            return MAYBE
        inside = one.path == use.path and bool(self._around) and parent in self._around
        return YES if inside and not _in_function(self._around, parent) else NO

    def nearness(self, one: Found) -> int:
        """How far up a member is in the classes of what it is a member of, and their bases."""
        if self._classes is None:
            self._classes = self._lineage()
        parent = _parent(one)
        for index, known in enumerate(self._classes):
            if known.name == parent:
                return 2 * index + (known.path != one.path)
        return FAR

    def _nearest(self) -> Optional[Found]:
        found = self._lookup.definitions(self._use.name)
        found = [one for one in found if self.nearness(one) < FAR]
        return min(found, key=lambda one: (self.nearness(one), *_plain(one)), default=None)

    def _lineage(self) -> List[Found]:
        """The class of what stands before the dot and those it is derived from, nearest first."""
        use, lookup = self._use, self._lookup
        if not self._far or not use.before:
            return []
        meant = functools.partial(_meant, lookup)
        if use.before not in _OWN:
            part = use.front in _OWN
            word = f"{use.front}.{use.before}" if use.front and not part else use.before
            return receivers.classes_of(lookup, use.path, use.line, word, part, meant)
        file = lookup.file(use.path)
        own = next(
            (
                d
                for name in reversed(self._around)
                for d in (file.definitions if file is not None else ())
                if d.name == name and d.kind in receivers.CLASSES and d.line <= use.line <= d.end
            ),
            None,
        )
        if file is None or own is None:
            return []
        known = receivers.lineage(lookup, file.found(own), meant)
        return known[1:] if use.before == "super" else known

    def _open(self) -> bool:
        """Whether a file takes every name of some module."""
        return bool(self._lookup.modules.imports(self._use.path, self._language).stars)


def _meant(lookup: Lookup, dotted: str, path: str, line: int) -> Optional[Found]:
    """The class or function that a dotted name in a line is; no further classes are asked."""
    key = dotted, path, line
    if key not in lookup.meant:
        lookup.meant[key] = _sought(lookup, dotted, path, line)
    return lookup.meant[key]


def _sought(lookup: Lookup, dotted: str, path: str, line: int) -> Optional[Found]:
    front, _, name = dotted.rpartition(".")
    use = Use(path, line, name, front.rpartition(".")[2], bool(front))
    kinds = (*receivers.CLASSES, "function")
    file = lookup.file(path)
    names = lookup.modules.imports(path, file.language).names if file is not None else {}
    called = names[name].name or name if name in names and not front else name
    found = [one for one in lookup.definitions(called) if one.definition.kind in kinds]
    place = Place(lookup, use, far=False)
    said = {one: place.says(one) for one in found}
    meant = ranked(lookup, [one for one in found if said[one] != NO], use, place)
    return meant[0] if meant else None


def _parent(one: Found) -> str:
    return one.qualified.split(".")[-2] if "." in one.qualified else ""


def _in_function(around: List[str], parent: str) -> bool:
    """Whether there is anything between a class and the place: there its names are not bare."""
    return around[-1] != parent


def _plain(one: Found) -> Tuple[object, ...]:
    return (
        rows.test(one.path),
        one.generated or rows.vendored(one.path),
        _WEIGHT.get(one.definition.kind, 4),
        one.name.startswith("_"),
        one.path.count("/"),
        one.path,
        one.line,
    )


def _apart(one: str, other: str) -> int:
    """How many folders lie between two files."""
    first, second = posixpath.dirname(one).split("/"), posixpath.dirname(other).split("/")
    common = 0
    for a, b in zip(first, second):
        if a != b:
            break
        common += 1
    return len(first) + len(second) - 2 * common
