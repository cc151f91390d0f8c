"""What differs between two texts, also where they are too large to compare line with line."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.toolbox.changes import diffs

LINES = st.lists(st.integers(0, 40).map(str), max_size=60)


def changed(old: list[str], new: list[str], found: list[diffs.Change]) -> list[str]:
    out: list[str] = []
    at = 0
    for a, b, c, d in found:
        assert at <= a <= b
        out += [*old[at:a], *new[c:d]]
        at = b
    return out + old[at:]


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(LINES, LINES, st.sampled_from([0, 30, 4_000_000]))
def test_the_changes_lead_from_one_to_the_other(
    monkeypatch: pytest.MonkeyPatch, old: list[str], new: list[str], most: int
) -> None:
    monkeypatch.setattr(diffs, "COMPARED_PAIRS_MAX", most)
    assert changed(old, new, diffs.changes(old, new)) == new


def test_distant_changes_of_a_large_text_are_told_apart() -> None:
    old = [f"{n}" if n % 3 else "" for n in range(30_000)]
    new = ["x" if n in (7, 15_000, 29_999) else line for n, line in enumerate(old)]
    found = diffs.changes(old, new)
    assert [a for a, _, _, _ in found] == [7, 15_000, 29_999]
    assert diffs.unified(old, new, found, 10_000).count("\n-") == 3
