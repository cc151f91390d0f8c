"""What a check finds, as data: for a person, for `--json`, and for the exit code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from agent.core.errors import GloveboxError
from agent.core.text import one_line

State = Literal["ok", "warning", "failed", "skipped"]


class Finding(msgspec.Struct, frozen=True):
    """One part of the machine: what was seen, and when it does not work what to do."""

    name: str
    state: State
    found: str
    fix: str = ""


class Section(msgspec.Struct, frozen=True):
    """Findings that belong together. `usable`: for a backend, whether sandboxes can be made."""

    title: str
    findings: tuple[Finding, ...]
    backend: str = ""
    usable: bool = False


class Report(msgspec.Struct, frozen=True):
    """Everything that was tested."""

    system: str
    sections: tuple[Section, ...]

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that work, in the order in which `auto` takes them."""
        return tuple(s.backend for s in self.sections if s.backend and s.usable)

    @property
    def ok(self) -> bool:
        """Whether there is a sandbox and nothing that every session needs is broken."""
        essential = (f for s in self.sections if not s.backend for f in s.findings)
        return bool(self.backends) and not any(f.state == "failed" for f in essential)


async def tried(name: str, check: Callable[[], Awaitable[str]]) -> Finding:
    """A check that returns what it saw, and fails by raising one of our errors."""
    try:
        return Finding(name, "ok", await check())
    except GloveboxError as error:
        return Finding(name, "failed", one_line(error.message, 400), error.hint)
