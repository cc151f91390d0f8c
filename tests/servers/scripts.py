"""A provider's script as a JSON file.

{"answers": [ANSWER, ...]}                      in the order of the requests
{"conversations": [{"when": TEXT, "answers": [ANSWER, ...]}, ...]}
    by conversation: the first whose TEXT occurs in the first user message; within it by step,
    that is the number of assistant messages so far, so that sessions side by side do not mix

ANSWER: {"text": "...", "calls": [{"name": ..., "arguments": {...} or "text", "id": ...}], ...}
        with the other fields of `Reply`; or {"status": 429, "message": ..., "headers": {...}};
        or {"raw": "text"}; or {"drop": true}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.servers.answers import Answer, Drop, Fault, Raw, Reply, Script, call


def load_script(path: Path) -> Script:
    """The script in the file at `path`."""
    data = json.loads(path.read_text("utf-8"))
    if "answers" in data:
        return [parse_answer(answer) for answer in data["answers"]]
    talks = [(t["when"], [parse_answer(a) for a in t["answers"]]) for t in data["conversations"]]
    return by_conversation(talks)


def by_conversation(talks: list[tuple[str, list[Answer]]]) -> Script:
    """A script that finds its place from the request alone."""

    def script(request: dict[str, Any]) -> Answer:
        first = next((m for m in request["messages"] if m["role"] == "user"), {})
        step = sum(m["role"] == "assistant" for m in request["messages"])
        for when, answers in talks:
            if when in json.dumps(first.get("content"), ensure_ascii=False):
                if step < len(answers):
                    return answers[step]
                return Fault(400, f"the conversation `{when}` has only {len(answers)} answers")
        return Fault(400, "no conversation of the script fits")

    return script


def parse_answer(data: dict[str, Any]) -> Answer:
    """One answer of a script file."""
    if data.get("drop"):
        return Drop()
    if "raw" in data:
        return Raw(data["raw"].encode(), data.get("status", 200))
    if "status" in data:
        return Fault(**data)
    calls = tuple(call(c["name"], c["arguments"], id=c.get("id")) for c in data.pop("calls", []))
    return Reply(calls=calls, **data)
