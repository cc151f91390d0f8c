from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.llm.repair import repaired
from tests.llm.conversations import objects


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ('{"a": "one\ntwo\tthree"}', {"a": "one\ntwo\tthree"}),
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2, ], "b": {"c": 3 , } ,\n}', {"a": [1, 2], "b": {"c": 3}}),
        ('{"a": ",}"}', {"a": ",}"}),
        ('{"a": ",}",}', {"a": ",}"}),
        ('{"a": {"b": [1', {"a": {"b": [1]}}),
        ('{"a": "x"', {"a": "x"}),
        ('{"a": 1}}', {"a": 1}),
        ('{"a": 1}</tool_call>', {"a": 1}),
        ('{"a": 1}<|im_end|>', {"a": 1}),
        ('{"a": 1}{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        (json.dumps('{"a": "x"}'), {"a": "x"}),
        ("{'a': 'it\\'s', 'b': True, 'c': None}", {"a": "it's", "b": True, "c": None}),
    ],
)
def test_what_can_only_mean_one_thing_is_mended(raw: str, meant: dict[str, Any]) -> None:
    assert repaired(raw) == meant


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "ls -la",
        "[1]",
        '"text"',
        '{"a": "never closed',
        '{"a": "x", "b": "never closed}',
        '{"a": 1,',
        '{"a":',
        '{"a": 1} {"b": 2}',
        '{"a": 1} and more',
        '{"a": [1}',
        "{'a': {1, 2}}",
        "{'a': never}",
        "__import__('os')",
        "{" * 5_000,
        "{'a': " + "[" * 5_000,
        '{"a": "x",}' + " " * 1_000_000,
    ],
)
def test_what_can_mean_several_things_is_left(raw: str) -> None:
    assert repaired(raw) is None


@pytest.mark.parametrize("raw", ['{"a": "x"', '{"a": {"b": 1}', '{"a": "never closed'])
def test_nothing_is_added_to_what_was_cut(raw: str) -> None:
    assert repaired(raw, cut=True) is None


@given(objects, st.data())
def test_a_text_cut_within_a_string_is_never_taken_for_whole(
    value: dict[str, Any], data: st.DataObject
) -> None:
    raw = json.dumps({"a": value, "content": "line\n" * 3})
    end = data.draw(st.integers(raw.index('"content": "') + 12, len(raw) - 3))

    assert repaired(raw[:end]) is None
