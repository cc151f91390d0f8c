"""What a provider said, fit to be shown: one short line without keys, passwords or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from agent.core.text import terminal_safe

SAID_MAX_CHARS = 300

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_SECRET_MIN_CHARS = 8
_SECRET_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|key|AIza|AKIA|ya29)[-_.]?[A-Za-z0-9_*.-]{8,}"
    r"|\b(?:Bearer|Basic)\s+[A-Za-z0-9_.~+/=-]{6,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)*",
)
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
    # An exception that litellm does not know arrives with its whole traceback in the text.
    text = text.partition("Traceback (most recent call last)")[0]
    if "<html" in text[:1000].lower() or "<!doctype" in text[:1000].lower():
        return "an HTML page"
    # Cut before the patterns run: a body may be huge, and a key cut in half is still caught.
    line = redact(" ".join(terminal_safe(text[: 4 * SAID_MAX_CHARS]).split()), secrets)
    return line if len(line) <= SAID_MAX_CHARS else line[: SAID_MAX_CHARS - 1] + "…"
