"""Glob patterns as `git` and `rg` read them, in time linear in the path whatever the pattern.

`*` and `?` stop at a slash, `**` as a whole segment is any number of segments, `[a-z]`, `[!a-z]`
and `[[:alpha:]]` are one character, `{a,b}` is either, a backslash takes the next as it is.
"""

from __future__ import annotations

import functools
import re
from typing import Callable, Dict, List, Optional, Sequence, Tuple

EXPANSIONS_MAX = 1_000
"""Of the braces of one pattern; more than that is a mistake or an attack."""

POSIX: Dict[str, str] = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9a-fA-F",
}

Test = Callable[[str], object]


class BadPattern(ValueError):
    """A pattern that means nothing; the text says why."""


def expand(pattern: str) -> List[str]:
    """`pattern` for each choice of its braces. Raises BadPattern for too many."""
    done: List[str] = []
    open_ones = [pattern]
    while open_ones:
        text = open_ones.pop()
        braces = _braces(text)
        if braces is None:
            done.append(text)
        else:
            start, end, choices = braces
            open_ones.extend(text[:start] + choice + text[end:] for choice in reversed(choices))
        if len(open_ones) + len(done) > EXPANSIONS_MAX:
            raise BadPattern("more than %d choices in braces" % EXPANSIONS_MAX)
    return done


def _braces(text: str) -> Optional[Tuple[int, int, List[str]]]:
    """The first braces of `text`: where they start and end, and what is between the commas."""
    at, depth, start, commas = 0, 0, 0, [0]
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == "[":
            at = class_end(text, at) or at
        elif char == "{":
            depth += 1
            if depth == 1:
                start, commas = at, [at]
        elif char == "," and depth == 1:
            commas.append(at)
        elif char == "}" and depth:
            depth -= 1
            if not depth:
                ends = [*commas[1:], at]
                return start, at + 1, [text[a + 1 : b] for a, b in zip(commas, ends)]
        at += 1
    if depth:
        raise BadPattern("a brace is not closed")
    return None


def class_end(text: str, start: int) -> int:
    """Where the `[` at `start` is closed, 0 when it is not."""
    at = start + 1
    if text[at : at + 1] in ("!", "^"):
        at += 1
    if text[at : at + 1] == "]":
        at += 1
    while at < len(text):
        if text.startswith("[:", at) and ":]" in text[at:]:
            at = text.index(":]", at) + 2
        elif text[at] == "]":
            return at
        else:
            at += 2 if text[at] == "\\" else 1
    return 0


class Glob:
    """One pattern without braces, matched against the segments of a path."""

    def __init__(self, pattern: str) -> None:
        self._steps: List[Optional[Test]] = []
        for segment in _split(pattern):
            if len(segment) < 2 or segment.strip("*"):
                self._steps.append(segment_test(segment))
            elif not self._steps or self._steps[-1] is not None:
                self._steps.append(None)
        # `a/**` is what is in `a`, not `a` itself.
        self._inner = bool(self._steps) and self._steps[-1] is None

    def matches(self, parts: Sequence[str]) -> bool:
        """Whether the whole path, given as its segments, is one that the pattern means."""
        steps = self._steps
        step = at = 0
        back, resume = -1, 0
        while at < len(parts):
            if step < len(steps) and steps[step] is None:
                back, resume = step, at
                step += 1
                if step == len(steps):
                    return self._inner
            elif step < len(steps) and steps[step](parts[at]):  # type: ignore[misc]
                step += 1
                at += 1
            elif back >= 0:
                resume += 1
                at, step = resume, back + 1
            else:
                return False
        return step == len(steps)


def _split(pattern: str) -> List[str]:
    """`pattern` at its slashes, those in a class or after a backslash not counted."""
    parts: List[str] = []
    at = start = 0
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 1
        elif pattern[at] == "[":
            at = class_end(pattern, at) or at
        elif pattern[at] == "/":
            parts.append(pattern[start:at])
            start = at + 1
        at += 1
    return [part for part in [*parts, pattern[start:]] if part]


@functools.lru_cache(maxsize=4_096)
def segment_test(segment: str) -> Test:
    """What tells whether one name fits one segment of a pattern."""
    if not any(char in segment for char in "*?[\\"):
        return segment.__eq__
    if not segment.strip("*"):
        return _anything
    if segment[0] == "*" and not any(char in segment[1:] for char in "*?[\\"):
        tail = segment[1:]
        return lambda name: name.endswith(tail)
    return re.compile(_regex(segment), re.DOTALL).match


def _anything(name: str) -> bool:
    return True


def _regex(segment: str) -> str:
    """Each `*` takes the least that lets what follows it match, once and for all: no second tries.

    That is enough in a pattern whose parts between the stars have a fixed length, and it keeps a
    pattern with twenty stars from taking for ever.
    """
    chunks: List[str] = [""]
    at = 0
    while at < len(segment):
        char = segment[at]
        at += 1
        if char == "*":
            if chunks[-1] or len(chunks) == 1:
                chunks.append("")
        elif char == "?":
            chunks[-1] += "."
        elif char == "[" and class_end(segment, at - 1):
            end = class_end(segment, at - 1)
            chunks[-1] += _class(segment[at:end])
            at = end + 1
        elif char == "\\" and at < len(segment):
            chunks[-1] += re.escape(segment[at])
            at += 1
        else:
            chunks[-1] += re.escape(char)
    if len(chunks) == 1:
        return chunks[0] + r"\Z"
    middle = "".join("(?=(.*?%s))\\%d" % (c, n) for n, c in enumerate(chunks[1:-1], 1))
    return chunks[0] + middle + ".*" + chunks[-1] + r"\Z"


def _class(body: str) -> str:
    """The inside of square brackets as those of a regular expression."""
    negated, at = body[:1] in ("!", "^"), 0
    body = body[1:] if negated else body
    items: List[str] = []
    while at < len(body):
        if body.startswith("[:", at) and ":]" in body[at:]:
            end = body.index(":]", at)
            items.append(POSIX.get(body[at + 2 : end], ""))
            at = end + 2
            continue
        low, at = _class_char(body, at)
        items.append(_quoted(low))
        if body[at : at + 1] == "-" and at + 1 < len(body):
            high, at = _class_char(body, at + 1)
            if low <= high:
                items.append("%s-%s" % (_quoted(low), _quoted(high)))
    inside = "".join(items)
    if not inside:
        return "." if negated else "(?!)"
    return "[%s%s]" % ("^" if negated else "", inside)


def _class_char(body: str, at: int) -> Tuple[str, int]:
    if body[at] == "\\" and at + 1 < len(body):
        at += 1
    return body[at], at + 1


def _quoted(char: str) -> str:
    return "\\" + char if char in "\\]^-[&~|" else char
