"""Patterns for file names, as far as a fall-back needs them: `*` `**` `?` `[…]` `{a,b}` `!`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence

ALTERNATIVES_MAX = 100
_PARTS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def fits(path: str, patterns: Sequence[str]) -> bool:
    """Whether `path` fits one of the patterns, where there are any, and none that has a `!`."""
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return (not wanted or any(_one(path, pattern) for pattern in wanted)) and not any(
        _one(path, pattern) for pattern in unwanted
    )


def _one(path: str, pattern: str) -> bool:
    """A pattern without a slash means the name, wherever the file is."""
    pattern = pattern.removeprefix("./")
    name = path if "/" in pattern.rstrip("/") else path.rpartition("/")[2]
    return _compiled(pattern.lstrip("/")).fullmatch(name) is not None


@functools.lru_cache(256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("|".join(map(_translated, _alternatives(pattern))), re.DOTALL)


def _alternatives(pattern: str) -> list[str]:
    found = [pattern]
    for _ in range(ALTERNATIVES_MAX):
        at = next((n for n, one in enumerate(found) if _BRACES.search(one)), None)
        if at is None or len(found) > ALTERNATIVES_MAX:
            break
        match = _BRACES.search(found[at])
        assert match is not None
        before, after = found[at][: match.start()], found[at][match.end() :]
        found[at : at + 1] = [f"{before}{word}{after}" for word in match.group(1).split(",")]
    return found


_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def _translated(pattern: str) -> str:
    return "".join(_part(part) for part in _parts(pattern))


def _parts(pattern: str) -> Iterator[str]:
    return (match.group() for match in _PARTS.finditer(pattern))


def _part(part: str) -> str:
    if part == "**/":
        return "(?:.*/)?"
    if part == "**":
        return ".*"
    if part == "*":
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if len(part) > 2 and part[0] == "[":
        inner = part[1:-1].replace("\\", "\\\\")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return re.escape(part)
