"""What a session costs before anybody has said anything: the system prompt and all the tools."""

from __future__ import annotations

import json
import sys

import pytest

from agent.host.files import package_texts
from agent.tools.base import Tool, schema_of
from agent.tools.builtin import builtin
from tests.prompting.test_builder import prompt

TOKENS_MAX = 3_000


def wire(tool: Tool) -> str:
    """A tool as a provider is told of it."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": schema_of(tool.arguments),
    }
    return json.dumps({"type": "function", "function": function}, separators=(",", ":"))


def test_it_stays_small(capsys: pytest.CaptureFixture[str]) -> None:
    import litellm

    def count(text: str) -> int:
        # By the encoding that litellm brings along: what it does not know it counts like this, too.
        return len(litellm.encode(model="gpt-4", text=text))  # pyright: ignore

    texts = package_texts("prompts")
    tools = {k.removeprefix("tools/"): v for k, v in texts.items() if k.startswith("tools/")}
    sizes = {tool.name: count(wire(tool)) for tool in builtin(tools)}
    sizes["(system prompt)"] = count(prompt())
    total = sum(sizes.values())
    with capsys.disabled():
        rows = [*sorted(sizes.items(), key=lambda item: -item[1]), ("together", total)]
        lines = "".join(f"  {name:<16}{size:>6}\n" for name, size in rows)
        sys.stdout.write(f"\ntokens of a first request\n{lines}")
    assert total < TOKENS_MAX
