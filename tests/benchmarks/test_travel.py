"""What goes in and comes home is in proportion to what there is, and to what changed."""

from __future__ import annotations

import pytest

from benchmarks.speed import travel

pytestmark = pytest.mark.sandbox


async def test_bytes_are_those_of_git_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(travel, "COUNTS", (100, 300))
    monkeypatch.setattr(travel, "HISTORY", 4)

    trips = await travel.travel(1)

    seeds = [trip for trip in trips if trip.what.startswith("seed")]
    homes = [trip for trip in trips if trip.what.startswith("sync")]
    for trip in seeds:
        assert trip.sent < 1.02 * trip.floor + 1_000
    small, large = homes
    assert small.sent < 1_500
    assert large.sent < small.sent + 100
    assert all("x" in trip.text() for trip in trips)
