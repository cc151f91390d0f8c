"""Patterns as models write them, made into one that Python's `re` runs over a whole text.

The dialect is what `rg`, `git grep -P` and Python have in common, with look-around and
back-references. Of several lines it is where it says so, by `\\n`, `(?s)` or `[\\s\\S]`. Where
they differ: POSIX classes, `(?<name>…)`, `\\x{41}`, `\\z`, `\\h`, `\\<` and
`\\>` mean what they do elsewhere; `\\w`, `\\d` and letter case are Unicode's; the end of a line,
CRLF too, is not part of it. A pattern that is none is searched as the text it is.
"""

from __future__ import annotations

import re
import warnings
from typing import List, NamedTuple, Pattern, Tuple

from agent.toolbox.search.glob import POSIX
from agent.toolbox.search.literals import literals

PATTERN_MAX_CHARS = 20_000

_OUTSIDE = {
    "h": r"[ \t]",
    "z": r"\Z",
    "<": r"\b(?=\w)",
    ">": r"\b(?<=\w)",
    "s": r"[^\S\n]",
    "W": r"[^\w\n]",
    "D": r"[^\d\n]",
}
_HEX = re.compile(r"\\[xu]\{([0-9A-Fa-f]{1,6})\}")
_PROPERTY = re.compile(r"\\p(?:\{(\w+)\}|(\w))")
_PROPERTIES = {
    **dict.fromkeys(("L", "Letter", "Alphabetic"), r"[^\W\d_]"),
    **dict.fromkeys(("N", "Nd", "Number"), r"\d"),
}
_TAKES_NEWLINES = re.compile(r"\\[sWDS]|\\n")
# What is only written to mean line ends as well.
_SPANS = re.compile(
    r"(?<!\\)(?:\\\\)*(?:\\n|\(\?[a-zA-Z]*s[a-zA-Z]*[:)-])"
    r"|\[(?:\\s\\S|\\S\\s|\\w\\W|\\W\\w|\\d\\D|\\D\\d)\]"
)
_LINES_ALONE = re.compile(r"\\[AZz]|\(\?[a-zA-Z]*x")


class Wanted(NamedTuple):
    """What to look for.

    `regex` may be run over a text of many lines: unless it `spans` lines it matches within one, or,
    `alone`, must be shown one line at a time. One of `texts`, in lower case where case is ignored,
    is in every match, if there are any. `unusual` says why the pattern was taken as text.
    """

    regex: Pattern[str]
    spans: bool
    alone: bool
    texts: Tuple[str, ...]
    unusual: str


def wanted(pattern: str, *, fixed: bool, ignore_case: bool) -> Wanted:
    """The compiled pattern; every text is one, as text at least."""
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else 0)
    if fixed:
        return _as_text(pattern, flags, "")
    spans = "\n" in pattern or bool(_SPANS.search(pattern))
    alone = not spans and bool(_LINES_ALONE.search(pattern))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            regex = re.compile(translated(pattern, within_lines=not spans and not alone), flags)
    except (re.error, OverflowError, RecursionError) as error:
        return _as_text(pattern, flags, str(error))
    return Wanted(regex, spans, alone, _texts(regex), "")


def _as_text(pattern: str, flags: int, unusual: str) -> Wanted:
    regex = re.compile(re.escape(pattern), flags)
    return Wanted(regex, "\n" in pattern, False, _texts(regex), unusual)


def _texts(regex: Pattern[str]) -> Tuple[str, ...]:
    texts = literals(regex)
    return tuple(text.lower() for text in texts) if regex.flags & re.IGNORECASE else texts


def translated(pattern: str, *, within_lines: bool) -> str:
    """`pattern` for `re`. `within_lines` takes the newline out of all that would match it."""
    if len(pattern) > PATTERN_MAX_CHARS:
        raise re.error("it is longer than %d characters" % PATTERN_MAX_CHARS)
    out: List[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            text, at = _escape(pattern, at, within_lines)
            out.append(text)
        elif char == "[":
            end = _set_end(pattern, at)
            if not end:
                raise re.error("unterminated character set")
            out.append(_set(pattern[at + 1 : end], within_lines))
            at = end + 1
        elif pattern.startswith("(?<", at) and pattern[at + 3 : at + 4] not in ("=", "!"):
            out.append("(?P<")
            at += 3
        else:
            out.append(char)
            at += 1
    return "".join(out)


def _escape(pattern: str, at: int, within_lines: bool) -> Tuple[str, int]:
    """What a backslash outside brackets starts, and where it ends."""
    coded = _HEX.match(pattern, at)
    if coded:
        return _char(coded.group(1)), coded.end()
    named = _PROPERTY.match(pattern, at)
    if named:
        name = named.group(1) or named.group(2)
        if name not in _PROPERTIES:
            raise re.error("\\p{%s} is not known" % name)
        return _PROPERTIES[name], named.end()
    letter = pattern[at + 1 : at + 2]
    if letter in _OUTSIDE and (within_lines or letter not in "sWD"):
        return _OUTSIDE[letter], at + 2
    return pattern[at : at + 2], at + 2


def _char(digits: str) -> str:
    code = int(digits, 16)
    if code > 0x10FFFF:
        raise re.error("no character has the code %s" % digits)
    return re.escape(chr(code))


def _set_end(pattern: str, at: int) -> int:
    """Where the bracket at `at` is closed, 0 when it is not."""
    at += 2 if pattern[at + 1 : at + 2] == "^" else 1
    start = at
    while at < len(pattern):
        if pattern.startswith("[:", at) and ":]" in pattern[at:]:
            at = pattern.index(":]", at) + 1
        elif pattern[at] == "]" and at > start:
            return at
        at += 2 if pattern[at] == "\\" else 1
    return 0


def _set(body: str, within_lines: bool) -> str:
    """The inside of brackets, in brackets."""
    body = _HEX.sub(lambda coded: _char(coded.group(1)), body)
    for name, inside in POSIX.items():
        body = body.replace("[:%s:]" % name, inside)
    if _PROPERTY.search(body):
        raise re.error("\\p{} inside brackets is not known")
    body = body.replace("\\h", r" \t")
    if body.startswith("^"):
        # A newline that is taken out twice does no harm.
        return "[%s%s]" % (body, r"\n" if within_lines else "")
    if within_lines and _TAKES_NEWLINES.search(body):
        return r"(?:(?!\n)[%s])" % body
    return "[%s]" % body
