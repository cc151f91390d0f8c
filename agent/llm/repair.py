"""Arguments that are almost JSON, as the one object they can mean; None where there is a choice.

Mended are: raw line breaks and tabs in strings, commas before a closing bracket, brackets missing
at the end of a text that was not cut, what a template leaves behind the object, the same object
said twice, an object inside a string or a fence, and a Python literal. A string that is not closed
is never closed here: nobody knows what was to come.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any, cast

REPAIR_MAX_CHARS = 1_000_000
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^"\[\]{},]+|.', re.DOTALL)
_FENCED = re.compile(r"\A\s*```[a-zA-Z]*\n(.*?)\n?```\s*\Z", re.DOTALL)
_LEFT_BEHIND = re.compile(r"(?:[\s`\]}]|</?[\w:-]+>|<[|｜][^<>]*[|｜]>)*\Z")
_CLOSERS = {"{": "}", "[": "]"}
_LENIENT = json.JSONDecoder(strict=False)


def repaired(raw: str, *, cut: bool = False) -> dict[str, Any] | None:
    """The one object that `raw` can mean. With `cut` more was to come, so nothing is added."""
    if len(raw) > REPAIR_MAX_CHARS:
        return None
    fenced = _FENCED.match(raw)
    text = (fenced[1] if fenced else raw).strip()
    value = _first(text)
    if value is None:
        value = _first(_tidy(text, cut))
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _first(value.strip())
    if value is None and text.startswith("{"):
        value = _python(text)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _first(text: str) -> Any:
    """The value at the start of `text` when nothing of meaning follows it."""
    try:
        value, end = _LENIENT.raw_decode(text)
        rest = text[end:].strip()
        if _LEFT_BEHIND.match(rest) or _LENIENT.decode(rest) == value:
            return value
    except (ValueError, RecursionError):
        pass
    return None


def _tidy(text: str, cut: bool) -> str:
    """`text` without commas before a bracket, and with the brackets that are missing at its end."""
    kept: list[str] = []
    missing: list[str] = []
    for token in _TOKEN.findall(text):
        if token in _CLOSERS:
            missing.append(_CLOSERS[token])
        elif token in ("}", "]"):
            if missing and missing[-1] != token:
                return ""
            if missing:
                missing.pop()
            while kept and (kept[-1] == "," or not kept[-1].strip()):
                kept.pop()
        kept.append(token)
    # After a comma or a colon something was to come; after an open quote anything was.
    ends = "".join(kept).rstrip()[-1:]
    whole = not missing or not (cut or ends in ",:" or '"' in kept)
    return "".join(kept) + "".join(reversed(missing)) if whole else ""


def _python(text: str) -> Any:
    """A dict as Python writes it, when JSON can hold what is in it."""
    try:
        value = ast.literal_eval(text)
        return value if json.loads(json.dumps(value)) == value else None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
