"""What a test wants to go wrong: the next requests of some kind, in one of the ways it does."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

How = Literal[
    "status",  # answer with `status` and do nothing
    "drop before",  # cut the connection, having done nothing
    "drop after",  # do it, wait `seconds`, then cut the connection instead of answering
    "status after",  # do it, wait `seconds`, then answer with `status`
    "slow",  # wait `seconds` first
    "hang up",  # websocket: cut after the first frame that carries data
    "stop",  # the box begins to stop by itself, and the request meets that
    "truncate",  # a download ends too early
]


@dataclass
class Fault:
    """`times` requests whose method and path fit meet it."""

    method: str
    path: str
    how: How
    times: int = 1
    status: int = 500
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: str | None = None

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and method == self.method and bool(re.search(self.path, path))


@dataclass(frozen=True)
class Seen:
    """One request that arrived, and the status of the answer; 0 when there was none."""

    method: str
    path: str
    query: str
    body: bytes
    status: int


current: ContextVar[Fault | None] = ContextVar("current", default=None)
"""The fault that the request at hand meets."""
