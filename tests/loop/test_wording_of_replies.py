"""What the model is told of its own replies, as it reads it."""

from __future__ import annotations

from pathlib import Path

from agent.loop import wording
from tests.snapshots import assert_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"


def test_it_reads_as_it_did() -> None:
    said = [
        wording.call_cut("write"),
        wording.reply_cut(),
        wording.thoughts_cut(),
        wording.reply_empty(),
        wording.unknown_tool("Bash", ["bash", "read"]),
        wording.looks_only("bash"),
    ]

    assert_snapshot(SNAPSHOTS / "replies.txt", "\n\n".join(said) + "\n")
