"""Another provider's wire, to see that nothing here knows only one of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.core.errors import GloveboxError, LlmAuthError, LlmDownError, LlmLimitError
from agent.core.messages import ToolCall, ToolMessage, ToolResult, Usage, UserMessage
from tests.llm.asking import Naps, answered, ask_provider, calling, question, without_waiting
from tests.llm.conftest import Provider
from tests.servers.openai import OpenAIServer, Raw

MODEL = "anthropic/claude-sonnet-4-5"

COUNTED = {"input_tokens": 10, "cache_read_input_tokens": 50, "output_tokens": 1}
BEGIN = {
    "type": "message_start",
    "message": {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": COUNTED},
}
TEXT = [
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "hello"},
    },
    {"type": "content_block_stop", "index": 0},
]
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}}
CALL = [
    {"type": "content_block_start", "index": 1, "content_block": TOOL},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": '{"command": "ls"}'},
    },
    {"type": "content_block_stop", "index": 1},
]
END = [
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
]


def _events(*events: dict[str, Any]) -> Raw:
    body = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
    return Raw(body.encode(), content_type="text/event-stream")


def _fault(status: int, kind: str, message: str) -> Raw:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return Raw(json.dumps(body).encode(), status)


@pytest.fixture
def anthropic(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    def start(script: Any) -> OpenAIServer:
        server = provider(script)
        monkeypatch.setenv("ANTHROPIC_API_BASE", server.url.removesuffix("/v1"))
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
        return server

    return start


async def test_a_reply_with_a_call_and_its_price(anthropic: Provider) -> None:
    anthropic([_events(BEGIN, *TEXT, *CALL, *END)])

    message, heard = await ask_provider(question(model=MODEL))

    assert (message.text, heard.text, message.stop) == ("hello", "hello", "calls")
    assert message.calls == (ToolCall("toolu_1", "bash", {"command": "ls"}, '{"command": "ls"}'),)
    cost = (10 * 3.0 + 50 * 0.3 + 7 * 15.0) / 1e6
    assert message.usage == Usage(60, 50, 7, pytest.approx(cost))


async def test_the_stable_prefix_is_marked_for_the_providers_cache(anthropic: Provider) -> None:
    server = anthropic([_events(BEGIN, *TEXT, *END)])
    reply = calling("a")

    await ask_provider(question(UserMessage("hi"), reply, answered(reply), model=MODEL))

    request = server.requests[0]
    assert request["system"][-1]["cache_control"] == {"type": "ephemeral"}
    assert json.dumps(request["messages"][-1]).count("cache_control") == 1
    assert json.dumps(request["messages"][:-1]).count("cache_control") == 0


async def test_images_of_results_reach_a_model_that_sees(anthropic: Provider) -> None:
    server = anthropic([_events(BEGIN, *TEXT, *END)])
    reply = calling("a")
    results = (ToolResult("a", True, "one", images=("data:image/png;base64,AAAA",)),)

    await ask_provider(question(UserMessage("hi"), reply, ToolMessage(results), model=MODEL))

    result, words, image = server.requests[0]["messages"][-1]["content"]
    assert (result["type"], result["content"]) == ("tool_result", "one")
    assert words["type"] == "text"
    assert image["source"] == {"type": "base64", "media_type": "image/png", "data": "AAAA"}


@pytest.mark.parametrize(
    ("answer", "kind", "message", "tries"),
    [
        (_fault(401, "authentication_error", "who?"), LlmAuthError, "key (401): who?", 1),
        (_fault(400, "x", "Your credit balance is too low"), LlmLimitError, "quota", 1),
        (_fault(429, "rate_limit_error", "slow"), LlmLimitError, "requests: slow", 5),
        (_fault(529, "overloaded_error", "Overloaded"), LlmDownError, "failing", 5),
    ],
)
async def test_failures_are_told_in_the_providers_own_words(
    anthropic: Provider, answer: Raw, kind: type[GloveboxError], message: str, tries: int
) -> None:
    server = anthropic(lambda _: answer)

    with pytest.raises(kind) as caught:
        await ask_provider(question(model=MODEL), retry=without_waiting(Naps()))

    assert message in caught.value.message
    assert "{" not in caught.value.message
    assert len(server.requests) == tries


@pytest.mark.parametrize(
    "rest",
    [
        (),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},),
    ],
)
async def test_a_reply_that_is_cut_is_kept(anthropic: Provider, rest: Any) -> None:
    server = anthropic([_events(BEGIN, *TEXT, *rest)])

    with pytest.raises(LlmDownError, match="the reply was cut: ") as caught:
        await ask_provider(question(model=MODEL))

    assert caught.value.partial == "hello"
    assert len(server.requests) == 1
