"""What was sent once is sent again byte for byte: a provider's cache knows nothing but prefixes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.core.events import TurnFinished
from agent.llm.client import LitellmClient, close
from agent.sandbox.protocol import SandboxSpec
from agent.testing.memory.backend import MemoryBackend
from tests.llm.asking import MODEL, without_waiting
from tests.llm.conftest import Provider
from tests.llm.talks import open_talk, real_tools
from tests.llm.test_other_wires import BEGIN, END, _events
from tests.servers.answers import Answer, Reply
from tests.servers.openai import Fault, Raw, call, reply, say

STEPS = 30
CLAUDE = "anthropic/claude-sonnet-4-5"


def _step(n: int) -> Reply:
    """A reply with calls of many kinds, good and bad, in the order of the steps."""
    path = f"f{n % 4}.txt"
    kinds = (
        (call("write", {"path": path, "content": f"one {n}\nläs 🙂\n"}),),
        (call("bash", '{ "command":"cat f0.txt" }'), call("read", {"path": path})),
        (call("bash", '{"command": "cat f0.txt",}'),),
        (call("sudo", {}), call("bash", '{"comm')),
        (call("edit", {"path": path, "old": "one", "new": "two"}), call("todo", {"items": []})),
        (call("bash", {"command": 7}), call("bash", {"command": "cat"}, id="again")),
    )
    return reply("" if n % 2 else f"Step {n}.", *kinds[n % len(kinds)], reasoning="hm")


def _script() -> list[Answer]:
    """Thirty steps in three turns, with failures that are repeated between them."""
    answers: list[Answer] = []
    for n in range(STEPS):
        if n % 7 == 3:
            answers.append(Fault(500, "again"))
        answers.append(say(f"Done for now, {n}.") if n % 10 == 9 else _step(n))
    return answers


async def _talk(path: Path, model: str) -> None:
    """Three turns, each in a process of its own as far as the session knows."""
    sandbox = await MemoryBackend().create(SandboxSpec(session="prefix", network="none"))
    for turn in ("first", "second", "third"):
        llm = LitellmClient(retry=without_waiting())
        session = open_talk(path, llm, real_tools(), sandbox, model=model, steps=STEPS)
        records = [record async for record in session.send(f"the {turn} task")]
        ended = [r.event for r in records if isinstance(r.event, TurnFinished)]
        assert [(e.outcome, e.problem) for e in ended] == [("done", None)]
        await session.close()
    await close()


def _bytes(messages: Any) -> str:
    return json.dumps(messages, ensure_ascii=False)


async def test_each_request_begins_with_the_bytes_of_the_one_before(
    provider: Provider, tmp_path: Path
) -> None:
    server = provider(_script())

    await _talk(tmp_path / "journal", MODEL)

    assert len(server.requests) > STEPS
    for before, after in zip(server.requests, server.requests[1:], strict=False):
        sent = _bytes(before["messages"])
        assert _bytes(after["messages"]).startswith(sent.removesuffix("]"))
        assert {k: v for k, v in after.items() if k != "messages"} == {
            k: v for k, v in before.items() if k != "messages"
        }
    assert len(server.requests[-1]["messages"]) > 2 * STEPS


def _claude(n: int) -> Raw:
    if n % 10 == 9:
        start = {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        }
        text = {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": "Ok."},
        }
        return _events(BEGIN, start, text, {"type": "content_block_stop", "index": 0}, *END)
    blocks: list[dict[str, Any]] = []
    for index in range(1 + n % 3):
        tool = {"type": "tool_use", "id": f"toolu_{n}_{index}", "name": "bash", "input": {}}
        raw = '{"command": "cat nothing"}' if n % 4 else '{"command": '
        delta = {"type": "input_json_delta", "partial_json": raw}
        blocks += [
            {"type": "content_block_start", "index": index, "content_block": tool},
            {"type": "content_block_delta", "index": index, "delta": delta},
            {"type": "content_block_stop", "index": index},
        ]
    return _events(BEGIN, *blocks, *END)


def _unmarked(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _unmarked(v) for k, v in node.items() if k != "cache_control"}
    return [_unmarked(each) for each in node] if isinstance(node, list) else node


async def test_the_cache_is_marked_at_the_end_of_what_is_stable(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = provider([_claude(n) for n in range(STEPS)])
    monkeypatch.setenv("ANTHROPIC_API_BASE", server.url.removesuffix("/v1"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")

    await _talk(tmp_path / "journal", CLAUDE)

    assert len(server.requests) == STEPS
    for request in server.requests:
        # After the tools and the system prompt, which never change, and after all that was said.
        assert [part.get("cache_control") for part in request["system"]][-1] == {
            "type": "ephemeral"
        }
        marked = [n for n, m in enumerate(request["messages"]) if "cache_control" in _bytes(m)]
        assert marked == [len(request["messages"]) - 1]
        assert "cache_control" in request["messages"][-1]["content"][-1]
    for before, after in zip(server.requests, server.requests[1:], strict=False):
        assert (after["tools"], after["system"]) == (before["tools"], before["system"])
        sent = _bytes(_unmarked(before["messages"]))
        assert _bytes(_unmarked(after["messages"])).startswith(sent.removesuffix("]"))
