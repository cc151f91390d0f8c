"""The line that is always there: where the agent's hands are, and where its work is."""

from __future__ import annotations

from agent.cli.lines import cost_text
from agent.cli.styled import Line
from agent.core.text import one_line
from agent.session.status import Status

_BETWEEN = ("badge", "  ")
_SANDBOX = {"none": "starting", "creating": "starting", "lost": "lost", "closed": "stopped"}
_SYNC = {
    "none": ("badge", "nothing to sync"),
    "synced": ("badge.good", "synced"),
    "ahead": ("badge.warning", "not synced yet"),
    "failed": ("badge.bad", "sync failed"),
}


def badge(status: Status | None, hint: str) -> Line:
    """The badge of a session, also before there is one; in front of it what matters now."""
    parts = [("badge", " opening the repository")] if status is None else _parts(status)
    # In front, because a narrow terminal cuts the end off.
    return tuple([("badge.warning", f" {hint}"), _BETWEEN, *parts] if hint else parts)


def _parts(status: Status) -> list[tuple[str, str]]:
    sandbox = _SANDBOX.get(status.sandbox)
    style = "badge.bad" if status.sandbox == "lost" else "badge"
    return [
        (style, f" {status.backend}" + (f" ({sandbox})" if sandbox else "")),
        _BETWEEN,
        ("badge", f"network {status.network}"),
        _BETWEEN,
        ("badge", one_line(status.branch, 40)),
        _BETWEEN,
        _SYNC[status.sync],
        _BETWEEN,
        ("badge", one_line(status.model, 40)),
        _BETWEEN,
        ("badge", cost_text(status.usage)),
    ]
