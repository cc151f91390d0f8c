"""From the indentation that a model wrote to the one that the file has."""

from __future__ import annotations

from math import gcd
from typing import Dict, List, Optional, Sequence, Tuple

TAB_COLUMNS = 8


def indent_of(line: str) -> str:
    """The white space before the text of a line."""
    return line[: len(line) - len(line.lstrip())]


class Indentation:
    """Which indentation in the file stands for which one as it was written."""

    def __init__(self, known: Dict[str, str]) -> None:
        self._known = known

    @classmethod
    def between(cls, written: Sequence[str], found: Sequence[str]) -> Optional[Indentation]:
        """From lines as written to the same lines as found; None when that makes no sense.

        One written depth must be one depth in the file, and what is deeper must be no shallower.
        """
        known: Dict[str, str] = {}
        for line, other in zip(written, found):
            if line.strip() and known.setdefault(indent_of(line), indent_of(other)) != indent_of(
                other
            ):
                return None
        depths = sorted((_columns(a), _columns(b)) for a, b in known.items())
        found_depths = [depth for _, depth in depths]
        if found_depths != sorted(found_depths):
            return None
        return cls(known) if known else None

    def carried(self, lines: Sequence[str], *, signed: bool) -> Optional[List[str]]:
        """`lines` as the file would indent them; None when one of them has no counterpart.

        `signed` lines had a sign before them, which those as written may have lost.
        """
        unit = self._unit(lines)
        known = dict(self._known)
        if signed and self._one_space():
            return list(lines)
        for line in lines:
            written = indent_of(line)
            if line.strip() and written not in known:
                depth = self._depth(written, unit)
                if depth is None:
                    return None
                known[written] = depth
        return [known[indent_of(line)] + line.lstrip() if line.strip() else line for line in lines]

    def _one_space(self) -> bool:
        """A patch whose kept lines lost the sign before them: its added lines are right."""
        return all(found == " " + written for written, found in self._known.items())

    def _depth(self, written: str, unit: Tuple[str, str]) -> Optional[str]:
        below = [known for known in self._known if written.startswith(known)]
        if below:
            base = max(below, key=len)
            return self._known[base] + _translated(written[len(base) :], unit)
        above = [known for known in self._known if known.startswith(written)]
        if not above:
            return None
        base = min(above, key=len)
        found, missing = self._known[base], _translated(base[len(written) :], unit)
        return found[: len(found) - len(missing)] if found.endswith(missing) else None

    def _unit(self, lines: Sequence[str]) -> Tuple[str, str]:
        """One level as written and as found."""
        pairs = sorted(self._known.items(), key=lambda pair: len(pair[0]))
        steps: List[Tuple[str, str]] = []
        for at in range(1, len(pairs)):
            (less, found_less), (more, found_more) = pairs[at - 1], pairs[at]
            if more.startswith(less) and found_more.startswith(found_less):
                steps.append((more[len(less) :], found_more[len(found_less) :]))
        for written, found in steps:
            if written and found and written != found:
                times = gcd(len(written), len(found))
                return written[: len(written) // times], found[: len(found) // times]
        return ("", "") if steps else self._other_kind(lines)

    def _other_kind(self, lines: Sequence[str]) -> Tuple[str, str]:
        """One level where all known lines are at one depth: what tabs are to spaces, if it must."""
        (base, found), *_ = self._known.items()
        indents = [indent_of(line) for line in [*lines, *self._known] if line.strip()]
        if "\t" in found and not any("\t" in indent for indent in indents):
            level = 0
            for indent in indents:
                level = gcd(level, len(indent))
            return " " * level, "\t"
        if found and "\t" not in found and any("\t" in indent for indent in indents):
            return "\t", " " * (len(found) // max(1, len(base)))
        return "", ""


def _translated(written: str, unit: Tuple[str, str]) -> str:
    """More indentation, in levels of the file as far as it has whole levels."""
    one, other = unit
    if not one:
        return written
    levels, rest = 0, written
    while rest.startswith(one):
        levels, rest = levels + 1, rest[len(one) :]
    return other * levels + rest


def _columns(indent: str) -> int:
    return len(indent.expandtabs(TAB_COLUMNS))
