"""Which of several definitions is meant, and how sure that is."""

from __future__ import annotations

import posixpath
import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from agent.toolbox.symbols import rows
from agent.toolbox.symbols.lookup import Found, Lookup

# What is looked for most often comes first.
_WEIGHT = {
    "class": 0, "struct": 0, "interface": 0, "trait": 0, "enum": 0, "union": 0, "type": 1,
    "function": 0, "method": 1, "module": 2, "macro": 1, "constant": 2, "variable": 3, "field": 3,
}  # fmt: skip
_BEFORE = re.compile(r"(super(?=\(\))|[A-Za-z_$][\w$]*)(?:\(\))?\s*(?:\?|!)?(?:\.|::|->)\s*$")
_IMPORTS = re.compile(r"\s*(?:from|import|export|use|using|require|#\s*include)\b")
FAR = 99
BASES_MAX = 40
_MEMBERS = frozenset(("method", "field", "function", "constant"))
_CLASSES = frozenset(("class", "struct", "interface", "trait", "enum"))
_SCRIPTS = ("javascript", "typescript", "tsx")
# Where a name of another file must be imported, and where a member needs what it is a member of.
_IMPORTED = frozenset(("python", *_SCRIPTS))
_EXPLICIT = frozenset(("python", "go", "rust", "php", *_SCRIPTS))
_OWN = frozenset(("self", "cls", "this", "super", "@"))


class Use(NamedTuple):
    """Where a name is used: what stands before it and a dot is `before`."""

    path: str
    line: int
    name: str
    before: str
    member: bool


def use_of(lookup: Lookup, path: str, line: int, name: str) -> Use:
    """The first use of a name in a line."""
    return uses_of(lookup, path, line, name)[0]


def uses_of(lookup: Lookup, path: str, line: int, name: str) -> List[Use]:
    """Every use of a name in a line; one at least."""
    text = lookup.line(path, line)
    if _IMPORTS.match(text):
        return [Use(path, line, name, "", False)]
    uses: Dict[Use, None] = {}
    for match in re.finditer(r"(?<![\w$])" + re.escape(name) + r"(?![\w$])", text):
        head = text[: match.start()]
        before = _BEFORE.search(head)
        member = bool(re.search(r"(?:\.|::|->)\s*$", head))
        uses[Use(path, line, name, before.group(1) if before else "", member)] = None
    return list(uses) or [Use(path, line, name, "", False)]


def origins(lookup: Lookup, use: Use) -> Optional[Set[str]]:
    """The files that imports say a used name is from; None when they say nothing."""
    file = lookup.file(use.path)
    if file is None or use.before in _OWN or (use.member and not use.before):
        return None
    return lookup.modules.origins(use.path, file.language, use.name, use.before, lookup.defines)


def ranked(lookup: Lookup, found: Sequence[Found], use: Optional[Use]) -> List[Found]:
    """The likeliest first; without a use, what is neither test nor generated nor of others."""
    if use is None:
        return sorted(found, key=_plain)
    place = Place(lookup, use)

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

    def __init__(self, lookup: Lookup, use: Use) -> None:
        self._lookup = lookup
        self._use = use
        file = lookup.file(use.path)
        self._language = file.language if file is not None else ""
        one = file.at(use.line) if file is not None else None
        self._around = file.qualified(one).split(".") if file is not None and one else []
        self._said = origins(lookup, use)
        self._classes: Optional[List[str]] = None

    def says(self, one: Found) -> str:
        """Whether `one` is meant here."""
        use, parent = self._use, _parent(one)
        if one.definition.parent >= 0 and one.definition.kind in _MEMBERS:
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

    def _member(self, one: Found, parent: str) -> str:
        use = self._use
        if use.before in _OWN:
            if parent in self._around and one.path == use.path and use.before != "super":
                return YES
            return YES if self.nearness(one) < FAR and self._nearest() == one else MAYBE
        if use.before:
            return YES if parent == use.before else MAYBE
        if use.member or self._language not in _EXPLICIT:
            return MAYBE
        inside = one.path == use.path and bool(self._around) and parent in self._around
        return YES if inside and not _in_function(self._around, parent) else NO

    def nearness(self, one: Found) -> int:
        """How far up in the classes around, by their bases, a member of `self` or `super` is."""
        if self._use.before not in _OWN:
            return FAR
        if self._classes is None:
            self._classes = self._bases()
        parent = _parent(one)
        return self._classes.index(parent) if parent in self._classes else FAR

    def _nearest(self) -> Optional[Found]:
        found = self._lookup.definitions(self._use.name)
        found = [one for one in found if self.nearness(one) < FAR]
        return min(found, key=lambda one: (self.nearness(one), *_plain(one)), default=None)

    def _bases(self) -> List[str]:
        """The class around and those it is derived from, by name, nearest first."""
        file = self._lookup.file(self._use.path)
        own = next(
            (
                d
                for name in reversed(self._around)
                for d in (file.definitions if file is not None else ())
                if d.name == name and d.kind in _CLASSES and d.line <= self._use.line <= d.end
            ),
            None,
        )
        if own is None:
            return []
        names, waiting = [own.name], _derived_from(own.signature)
        for _ in range(BASES_MAX):
            if not waiting:
                break
            name = waiting.pop(0)
            if name not in names:
                names.append(name)
                found = ranked(self._lookup, self._lookup.definitions(name), None)
                waiting += _derived_from(found[0].definition.signature) if found else []
        return names[1:] if self._use.before == "super" else names

    def _open(self) -> bool:
        """Whether a file takes every name of some module."""
        return bool(self._lookup.modules.imports(self._use.path, self._language).stars)


def _derived_from(signature: str) -> List[str]:
    """The names of the classes that a signature names as bases."""
    match = re.search(r"\((.*)\)|\b(?:extends|implements)\b(.*)|:(.*)", signature)
    inner = next((part for part in match.groups() if part), "") if match else ""
    inner = re.sub(r"\[[^\]]*\]|<[^>]*>|\w+\s*=\s*[\w.]+", "", inner)
    return [part.split(".")[-1].strip() for part in re.split(r"[,\s]+", inner) if part.strip()]


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
