"""Where the hunks of a patch belong: each at one place, or nowhere."""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional, Sequence, Tuple

from agent.toolbox.changes import anchored, hunks
from agent.toolbox.changes.hunks import LINE_STEPS, Hunk, Page, Splice
from agent.toolbox.changes.indent import indent_of

FUZZ_MAX = 2
HEADING_MAX = 500

_NAME = re.compile(r"[\w$]+")
_DEFINES = re.compile(
    r"\b(?:class|def|func|fn|fun|function|interface|struct|enum|trait|impl|type|module|namespace)\b"
)
_QUALIFIED = re.compile(r"([\w$]+(?:\.|::|#))+[\w$]+(?:\(\))?")


class Fit(NamedTuple):
    """A place, how it was found, and what the hunk does there."""

    step: str
    start: int
    splices: List[Splice]


class NoFit(Exception):
    """There is no place for a hunk, or more than one: then `starts` has them, from 0."""

    def __init__(self, reason: str, step: str = "exact", starts: Tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.step = step
        self.starts = starts


class Placing:
    """Places the hunks of one file, in the order of the patch."""

    def __init__(self, lines: List[str], waiting: Sequence[Hunk] = ()) -> None:
        self._page = Page(lines)
        self._waiting = list(waiting)
        self._taken: List[Tuple[int, int]] = []
        self._shift = 0  # how far the last place was from the line that the patch named

    def place(self, hunk: Hunk, *, fuzz: int = FUZZ_MAX) -> Fit:
        """The one place of `hunk`, up to `fuzz` lines around it left out. Raises `NoFit`."""
        fit = self._inserted(hunk) if not hunk.old else self._found(hunk, fuzz)
        self._taken += [(splice.start, splice.end) for splice in fit.splices]
        self._waiting = [one for one in self._waiting if one is not hunk]
        if hunk.hint:
            self._shift = fit.start - (hunk.hint - 1)
        return fit

    def _found(self, hunk: Hunk, fuzz: int) -> Fit:
        headings = _headings(self._page, hunk) if hunk.firm else None
        if headings:
            fit = self._climbed(hunk, headings, fuzz)
            if fit is not None:
                return fit
        try:
            fit = self._climbed(hunk, None, fuzz)
        except NoFit as no_fit:
            if hunk.firm and hunk.headings and not headings:
                raise NoFit("no_heading", no_fit.step, no_fit.starts) from no_fit
            raise
        if fit is None:
            raise NoFit("not_found")
        lost = hunk.firm and hunk.headings
        return fit._replace(step="heading" if lost and fit.step == "exact" else fit.step)

    def _climbed(self, hunk: Hunk, headings: Optional[List[int]], most: int) -> Optional[Fit]:
        """Up the ladder, then with less and less of the lines around the change."""
        variants = [(hunk, "")]
        if hunk.loose:
            variants += [(less, "") for less in [hunk.without(0, hunk.loose)] if less]
        for fuzz in range(1, most + 1):
            ends = [(fuzz, 0), (0, fuzz), (fuzz, fuzz)]
            fewer = [hunk.without(first, last) for first, last in ends]
            variants += [(less, "fuzz") for less in fewer if less is not None]
        for variant, name in variants:
            for step in LINE_STEPS if not name else LINE_STEPS[:2]:
                starts = self._possible(variant, step, headings)
                if len(starts) > 1 and name:
                    break  # with less around it, it is no longer sure where it belongs
                if len(starts) > 1 and not self._one_each(hunk, starts):
                    raise NoFit("ambiguous", step, tuple(starts))
                splices = hunks.fitted(self._page, variant, starts[0], step) if starts else None
                if splices is not None:
                    return Fit(name or step, starts[0], splices)
            if not name and variant is hunk:
                fit = self._anchored(hunk, headings)
                if fit is not None:
                    return fit
        return None

    def _one_each(self, hunk: Hunk, starts: List[int]) -> bool:
        """Whether as many hunks with these lines are to come as there are places: one each."""
        same = [one for one in self._waiting if one.old == hunk.old]
        alike = len(same) == len(starts) and all(one.headings == hunk.headings for one in same)
        size = len(hunk.old)
        return alike and all(starts[n] - starts[n - 1] >= size for n in range(1, len(starts)))

    def _anchored(self, hunk: Hunk, headings: Optional[List[int]]) -> Optional[Fit]:
        starts, splices = anchored.found(self._page, hunk)
        if splices is None or not self._allowed(starts, hunk, headings):
            return None
        return Fit("anchored", starts[0], splices)

    def _possible(self, hunk: Hunk, step: str, headings: Optional[List[int]]) -> List[int]:
        """Where `step` finds the hunk, less what the patch itself rules out."""
        found = hunks.starts(self._page, hunk.old, step)
        return self._allowed(found, hunk, headings)

    def _allowed(self, found: List[int], hunk: Hunk, headings: Optional[List[int]]) -> List[int]:
        size = len(hunk.old)
        free = [
            start
            for start in found
            if not any(start < end and begin < start + size for begin, end in self._taken)
        ]
        if hunk.to_end:
            lines = self._page.lines
            free = [s for s in free if not any(line.strip() for line in lines[s + size :])] or free
        expected = hunk.hint - 1 + self._shift
        if hunk.hint and expected in free:
            return [expected]
        if headings is not None:
            free = _under(self._page, free, headings)
        cursor = max([end for _, end in self._taken], default=0)
        free = [start for start in free if start >= cursor] or free
        if len(free) > 1 and not hunk.firm:
            free = _under(self._page, free, _headings(self._page, hunk) or []) or free
        return free

    def _inserted(self, hunk: Hunk) -> Fit:
        """A hunk that only adds: after its heading, at the end, or into an empty file."""
        lines = self._page.lines
        if not lines or hunk.to_end:
            at = len(lines)
        elif hunk.firm and hunk.headings:
            headings = _headings(self._page, hunk)
            if len(headings) != 1:
                raise NoFit("ambiguous" if headings else "not_found", "exact", tuple(headings))
            at = headings[0] + 1
        else:
            raise NoFit("no_context")
        return Fit("exact", at, [Splice(at, at, hunk.added)])


def _headings(page: Page, hunk: Hunk) -> List[int]:
    """Where the last heading is, each after the one before it; all places where that is so."""
    places = [-1]
    for heading in hunk.headings:
        names = [heading]
        if _QUALIFIED.fullmatch(heading.strip()) and not _heading(page, heading):
            names = re.findall(r"[\w$]+", heading)
        for name in names:
            found = _heading(page, name) if len(names) == 1 else _opened(page, name)
            places = sorted({at for place in places for at in _inner(page, place, found)})
    return places


def _inner(page: Page, place: int, found: List[int]) -> List[int]:
    """Those of `found` in the block that begins at `place`, else the next one."""
    below = [at for at in found if at > place]
    inside = [at for at in below if place < 0 or _in_block(page, place, at)]
    return inside or below[:1]


def _heading(page: Page, heading: str) -> List[int]:
    for step in LINE_STEPS:
        found = hunks.starts(page, [heading], step)
        if found:
            return found
    lines, wanted = page.read("indentation"), heading.strip()
    begun = [at for at, line in enumerate(lines) if line.startswith(wanted)]
    if _NAME.fullmatch(wanted):
        return _opened(page, wanted) or begun
    return begun or _opened(page, wanted)


def _opened(page: Page, heading: str) -> List[int]:
    """The lines that open a block and have the words of a heading; those that define, if any do."""
    words = re.findall(r"[\w$]+", heading)
    if not words:
        return []
    wanted = [re.compile(r"(?<![\w$])" + re.escape(word) + r"(?![\w$])") for word in words]
    found = [
        at
        for at, line in enumerate(page.lines)
        if words[0] in line and _in_order(line[:HEADING_MAX], wanted)
    ]
    opened = [at for at in found if _in_block(page, at, _next(page, at))]
    return [at for at in opened if _DEFINES.search(page.lines[at])] or opened


def _in_order(line: str, wanted: Sequence["re.Pattern[str]"]) -> bool:
    """Whether a line has all of these, each after the one before it."""
    at = 0
    for word in wanted:
        match = word.search(line, at)
        if match is None:
            return False
        at = match.end()
    return True


def _next(page: Page, at: int) -> int:
    """The next line that is not blank, -1 when there is none."""
    later = range(at + 1, len(page.lines))
    return next((number for number in later if page.lines[number].strip()), -1)


def _under(page: Page, starts: List[int], headings: List[int]) -> List[int]:
    """Those of `starts` that come after a heading; in its block, when that decides between many."""
    after = [start for start in starts if any(start >= at for at in headings)]
    if len(after) < 2:
        return after
    inside = [start for start in after if any(_in_block(page, at, start) for at in headings)]
    return inside or after


def _in_block(page: Page, heading: int, start: int) -> bool:
    """Whether all lines from `heading` to `start` are indented deeper than it, or open a block."""
    depth = len(indent_of(page.lines[heading]).expandtabs())
    return heading <= start and all(
        line.strip() in ("", "{") or len(indent_of(line).expandtabs()) > depth
        for line in page.lines[heading + 1 : start + 1]
    )
