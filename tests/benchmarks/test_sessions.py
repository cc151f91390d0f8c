"""Many sessions in one process do not mix, and the check of that would notice."""

from __future__ import annotations

import json
import os

import pytest

from benchmarks.speed.sessions import (
    STEPS,
    TURNS,
    Figures,
    _look_at_requests,  # pyright: ignore[reportPrivateUsage]
    many_sessions,
)

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


async def test_sessions_side_by_side_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    figures = await many_sessions(16, 3)
    assert figures.faults == []
    assert figures.steps == 15 * TURNS * STEPS
    assert figures.memory_each < 5_000_000
    # The loop's pool, its watcher, what starts sandboxes: not one a session.
    assert figures.threads <= min(32, (os.cpu_count() or 1) + 4) + 4


@pytest.mark.parametrize(
    ("requests", "fault"),
    [
        ([["one"], ["two"]], "2 requests came in"),
        ([["one", "two"]] * 24, "a request has 2 words"),
    ],
)
def test_a_mixed_request_is_seen(requests: list[list[str]], fault: str) -> None:
    figures = Figures(2, 0)
    log = "\n".join(json.dumps({"messages": words}) for words in requests).encode()
    _look_at_requests(["one", "two"], log, figures)
    assert figures.faults[-1] == fault
