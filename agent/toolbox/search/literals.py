"""Texts of which one must be in every match: what a quick search can look for beforehand."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any, List, Pattern, Tuple

_NEW = sys.version_info >= (3, 11)
op: Any = importlib.import_module("re._constants" if _NEW else "sre_constants")
parser: Any = importlib.import_module("re._parser" if _NEW else "sre_parse")

CHOICES_MAX = 16

Texts = Tuple[str, ...]

_NONE: Texts = ()
_SAME = tuple(getattr(op, n) for n in ("SUBPATTERN", "ATOMIC_GROUP") if hasattr(op, n))
_REPEATS = tuple(
    getattr(op, n) for n in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") if hasattr(op, n)
)


def literals(regex: Pattern[str]) -> Texts:
    """One of these is in every match, in another case where the pattern ignores it.

    They are ASCII, so that they are the same bytes in every encoding that is a superset of it.
    None when nothing can be said.
    """
    try:
        return _of_sequence(parser.parse(regex.pattern, regex.flags & ~re.DEBUG))
    except (re.error, RecursionError, OverflowError):
        return _NONE


def _of_sequence(nodes: Any) -> Texts:
    """The best that any part of a sequence gives."""
    found: List[Texts] = []
    run = ""
    for kind, value in nodes:
        if kind is op.LITERAL and 32 <= value < 127:
            run += chr(value)
            continue
        found.append((run,))
        run = ""
        found.append(_of_node(kind, value))
    found.append((run,))
    return max((texts for texts in found if texts and all(texts)), key=_worth, default=_NONE)


def _worth(texts: Texts) -> Tuple[int, int]:
    return min(map(len, texts)), -len(texts)


def _of_node(kind: Any, value: Any) -> Texts:
    if kind in _SAME:
        inner = value if kind is not op.SUBPATTERN else value[-1]
        changed = value[1:3] if kind is op.SUBPATTERN else (0, 0)
        return _NONE if changed[0] & re.IGNORECASE else _of_sequence(inner)
    if kind in _REPEATS and value[0] > 0:
        return _of_sequence(value[2])
    if kind is op.BRANCH:
        each = [_of_sequence(branch) for branch in value[1]]
        texts = tuple(text for branch in each for text in branch)
        return texts if all(each) and len(texts) <= CHOICES_MAX else _NONE
    return _NONE
