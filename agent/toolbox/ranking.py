"""Which of several definitions is meant, and how sure that is."""

from __future__ import annotations

import posixpath
import re
from typing import List, NamedTuple, Optional, Sequence, Set, Tuple

from agent.toolbox import rows
from agent.toolbox.lookup import Found, Lookup

# What is looked for most often comes first.
_WEIGHT = {
    "class": 0, "struct": 0, "interface": 0, "trait": 0, "enum": 0, "union": 0, "type": 1,
    "function": 0, "method": 1, "module": 2, "macro": 1, "constant": 2, "variable": 3, "field": 3,
}  # fmt: skip
_BEFORE = re.compile(r"([A-Za-z_$][\w$]*)\s*(?:\?|!)?(?:\.|::|->)\s*$")
_IMPORTS = re.compile(r"\s*(?:from|import|export|use|using|require|#\s*include)\b")
_OWN = frozenset(("self", "cls", "this", "super", "@"))


class Use(NamedTuple):
    """Where a name is used: what stands before it and a dot is `before`."""

    path: str
    line: int
    name: str
    before: str
    member: bool


def use_of(lookup: Lookup, path: str, line: int, name: str) -> Use:
    """The use of a name in a line."""
    text = lookup.line(path, line)
    found = list(re.finditer(r"(?<![\w$])" + re.escape(name) + r"(?![\w$])", text))
    if not found or _IMPORTS.match(text):
        return Use(path, line, name, "", False)
    head = text[: found[0].start()]
    before = _BEFORE.search(head)
    member = bool(re.search(r"(?:\.|::|->)\s*$", head))
    return Use(path, line, name, before.group(1) if before else "", member)


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
    said = origins(lookup, use)
    around = _around(lookup, use)

    def key(one: Found) -> Tuple[object, ...]:
        here = one.path == use.path
        return (
            not _fits(one, use, said, around),
            not (said is not None and one.path in said),
            not here,
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
    said = origins(lookup, use)
    return (said is not None and best.path in said) or _fits(best, use, said, _around(lookup, use))


def _fits(one: Found, use: Use, said: Optional[Set[str]], around: List[str]) -> bool:
    """Whether the place of the use names this very definition."""
    parent = one.qualified.split(".")[-2] if "." in one.qualified else ""
    if use.before in _OWN:
        return one.path == use.path and bool(parent) and parent in around
    if use.before and parent:
        return parent == use.before
    if use.member or said is not None:
        return False
    return one.path == use.path and (not parent or parent in around)


def _around(lookup: Lookup, use: Use) -> List[str]:
    file = lookup.file(use.path)
    one = file.at(use.line) if file is not None else None
    return file.qualified(one).split(".") if file is not None and one is not None else []


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
