"""docs/events.schema.json is what the code says, and what it says only grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from agent.core.events import Record
from tests.e2e.schema import PLACE, assert_valid
from tests.snapshots import assert_snapshot

PROMISED = Path(__file__).parent / "snapshots" / "promised.json"


def schema() -> dict[str, Any]:
    """The schema of one line of `--json`."""
    made = msgspec.json.schema(Record)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of `glovebox --json`",
        **made,
    }


def test_the_schema_is_current():
    assert_snapshot(PLACE, json.dumps(schema(), indent=1, ensure_ascii=False) + "\n")


def test_it_refuses_what_is_no_record():
    good = {"v": 1, "seq": 0, "at": 1.5, "turn": 0, "event": {"type": "SyncStarted"}}
    assert_valid(good)
    for wrong in (
        {**good, "event": {"type": "Unheard"}},
        {**good, "seq": "0"},
        {key: value for key, value in good.items() if key != "event"},
        {**good, "event": {"type": "Notice", "level": "loud", "text": "x"}},
    ):
        try:
            assert_valid(wrong)
        except AssertionError:
            continue
        raise AssertionError(wrong)


def fields() -> dict[str, list[str]]:
    """The fields of each type that the schema has."""
    parts: dict[str, Any] = schema()["$defs"]
    return {name: sorted(part.get("properties", {})) for name, part in sorted(parts.items())}


def test_nothing_that_was_promised_is_taken_away():
    """What was there at the first release of the schema. Add to the file; never take out of it."""
    promised = json.loads(PROMISED.read_text("utf-8"))
    now = fields()
    for name, wanted in promised.items():
        assert set(wanted) <= set(now.get(name, [])), name
