"""The published schema of `--json`, as a reader of another language would use it."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema

PLACE = Path(__file__).parents[2] / "docs" / "events.schema.json"


@functools.cache
def _validator() -> Any:
    schema = json.loads(PLACE.read_text("utf-8"))
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def assert_valid(record: Any) -> None:
    """`record` is one that docs/events.schema.json allows."""
    problems = list(_validator().iter_errors(record))
    assert not problems, problems[0].message
