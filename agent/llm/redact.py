"""What a provider said, fit to be shown: one short line without keys, passwords or HTML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from agent.core.text import terminal_safe

SAID_MAX_CHARS = 300
_BODY_MAX_CHARS = 10_000

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_SECRET_MIN_CHARS = 8
_SECRET_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|key|AIza|AKIA|ya29)[-_.]?[A-Za-z0-9_*.-]{8,}"
    r"|\b(?:Bearer|Basic)\s+[A-Za-z0-9_.~+/=-]{6,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)*",
)
# What follows the provider's own words in litellm's text, or stands around them.
_LIBRARY_TAIL = re.compile(
    r"Traceback \(most recent call last\)|Original exception: |\. Handle with `litellm"
)
_JSON_MESSAGE = re.compile(r"""\{.*?"message"\s*:\s*"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_URL_USER = re.compile(r"(?<=://)[^/\s@]+@")
_LIBRARY_PREFIX = re.compile(
    r"^\s*(?:(?:litellm\.)?[A-Za-z]*(?:Error|Exception|Timeout)(?: Error)?\s*(?::|-)"
    r"|Error code: \d+ -)\s*"
)


def secrets_in(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Values of the environment that look like secrets by their name, longest first."""
    found = {
        value
        for name, value in variables.items()
        if _SECRET_NAME.search(name) and len(value) >= _SECRET_MIN_CHARS
    }
    return tuple(sorted(found, key=len, reverse=True))


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with each of `secrets`, and all that has the shape of a key, replaced."""
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    text = _URL_USER.sub("[secret]@", text)
    return _SECRET_SHAPES.sub("[secret]", text)


def said(text: str, secrets: Iterable[str]) -> str:
    """A provider's error text as one short line; "" when there is nothing to show."""
    while stripped := _LIBRARY_PREFIX.sub("", text, count=1):
        if stripped == text:
            break
        text = stripped
    text = _LIBRARY_TAIL.split(text[:_BODY_MAX_CHARS], maxsplit=1)[0]
    if in_json := _JSON_MESSAGE.search(text):
        text = _unescaped(in_json[1])
    if "<html" in text[:1000].lower() or "<!doctype" in text[:1000].lower():
        return "an HTML page"
    # Secrets go before anything is cut: half a key would not be recognised.
    start = redact(text, secrets)[: 4 * SAID_MAX_CHARS]
    line = " ".join(terminal_safe(start).split())
    return line if len(line) <= SAID_MAX_CHARS else line[: SAID_MAX_CHARS - 1] + "…"


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text
