"""What went wrong between here and the service, sorted by what it means for the request.

The library's classes do not say whether a request was carried out; this is the sorting that does.
"""

from __future__ import annotations

from enum import StrEnum

from agent.core.errors import SandboxError


class Kind(StrEnum):
    """What is known of the request that failed."""

    LIMIT = "limit"  # refused for now, not carried out
    ABSENT = "absent"  # no such thing, not carried out
    CONFLICT = "conflict"  # the state does not allow it, not carried out
    DENIED = "denied"  # the key is not good for it
    REFUSED = "refused"  # any other refusal, not carried out
    UNSURE = "unsure"  # it may have been carried out


NOT_CARRIED_OUT = frozenset(Kind) - {Kind.UNSURE}


class Trouble(SandboxError):
    """A request failed. Does not leave this package unless nothing can be done about it.

    `wait` is how long the service asked us to wait, 0 when it did not say. `box` is the sandbox
    that exists although making it failed.
    """

    def __init__(
        self, kind: Kind, message: str, hint: str = "", *, wait: float = 0.0, box: str = ""
    ) -> None:
        super().__init__(message, hint)
        self.kind = kind
        self.wait = wait
        self.box = box
