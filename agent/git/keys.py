"""What keys and tokens look like: only forms that are hardly ever anything else.

A file that is left out by mistake is work that does not arrive. The forms are as their issuers
document them; the pattern is one that Python, grep and sed read alike.
"""

from __future__ import annotations

import re

PATTERN = (
    "-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----"
    "|PuTTY-User-Key-File-[23]:"
    "|(AKIA|ASIA)[0-9A-Z]{16}"
    "|gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60}"
    "|glpat-[A-Za-z0-9_-]{20}"
    "|xox[baprs]-[0-9]{8,}-[A-Za-z0-9-]{20}"
    "|sk-(ant|proj)-[A-Za-z0-9_-]{20}"
    "|[rs]k_live_[A-Za-z0-9]{20}"
    "|AIza[0-9A-Za-z_-]{35}"
    "|npm_[A-Za-z0-9]{36}|pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{20}"
)
_FORM = re.compile(PATTERN.encode())
_BLOCK = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*KEY-----|\Z)"
_WHOLE = re.compile(
    f"{_BLOCK}|(?:{PATTERN})[A-Za-z0-9_-]*"
    r"|\bsk-[A-Za-z0-9]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"
    r"|(?<=Bearer )[A-Za-z0-9_.~+/=-]{16,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
)
_ASSIGNED = re.compile(
    r"""(\b[A-Z][A-Z0-9_]*(?:KEY|SECRET|TOKEN|PASSWORD|PASSWD)[A-Z0-9_]*=["']?)[^\s"'$<]{8,}"""
)
LOOK_BYTES = 2_000_000
"""Only the beginning of a file is looked at, and of one with NULs nothing."""


def holds_key(head: bytes) -> bool:
    """Whether the beginning of a file has something in it that opens a door."""
    return b"\0" not in head[:8_000] and _FORM.search(head) is not None


def masked(text: str) -> str:
    """`text` with every key in it replaced, a private key with all of its lines.

    So is what a URL has for a password, what follows `Bearer`, and what is assigned to a variable
    whose name says what it is. Here a word too many is better than one too few.
    """
    return _ASSIGNED.sub(r"\1[secret]", _WHOLE.sub("[secret]", text))
