from __future__ import annotations

import pytest

from agent.cli.lines import cost_text, line_of
from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallStarted,
    Notice,
    Problem,
    SyncFinished,
    SyncStarted,
    TurnFinished,
    Undone,
)
from agent.core.messages import ToolCall, ToolResult, Usage

CALL = ToolCall("c", "bash", {})


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (CallStarted(CALL, "$ ls\x1b[2J"), "→ $ ls␛[2J"),
        (CallFinished(ToolResult("c", ok=True, text="a\nb"), 1.25), "  ✓ a (1.2 s)"),
        (
            CallFinished(ToolResult("c", ok=False, text="FAILED\nExit code 1."), 0.0),
            "  ✗ Exit code 1: FAILED (0.0 s)",
        ),
        (Notice("warning", "odd", "do this"), "! odd\n    do this"),
        (SyncStarted(), None),
        (SyncFinished("", "", 0), "· nothing changed"),
        (
            SyncFinished("glovebox/1-2", "0123456789ab", 1, 2, 3, notes=("`glovebox/1` is yours",)),
            "✓ glovebox/1-2 is at 0123456789 (1 file, +2 -3)\n! `glovebox/1` is yours",
        ),
        (
            SyncFinished("glovebox/1", problem=Problem("SyncError", "full", "free"), notes=("n",)),
            "✗ not mirrored: full\n    free\n! n",
        ),
        (Undone("a", "", ("left",)), "✓ undone; the branch is back at its start\n! left"),
        (TurnFinished("failed", Usage(), 1, Problem("X", "bad\x07")), "✗ bad␇"),
    ],
)
def test_an_event_as_a_line(event: AnyEvent, line: str | None):
    assert line_of(event) == line


def test_an_unknown_price_is_not_zero():
    assert cost_text(Usage(1000, 0, 500, None)) == "1,500 tokens, cost unknown"
    assert cost_text(Usage(1000, 0, 500, 0.5)) == "1,500 tokens, $0.5000"
