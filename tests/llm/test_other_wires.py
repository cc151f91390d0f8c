"""Another provider's wire, to see that nothing here knows only one of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.core.errors import GloveboxError, LlmAuthError, LlmDownError, LlmLimitError
from agent.core.messages import ToolCall, ToolMessage, ToolResult, Usage, UserMessage
from tests.llm.asking import Naps, answered, ask_provider, calling, question, without_waiting
from tests.llm.conftest import Provider
from tests.servers.openai import OpenAIServer, Raw, call, say
from tests.servers.openai import reply as scripted

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


def _block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


THOUGHTS = [
    *_block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "let "},
        {"type": "thinking_delta", "thinking": "me see"},
        {"type": "signature_delta", "signature": "c2lnbmVk"},
    ),
    *_block(1, {"type": "redacted_thinking", "data": "aGlkZGVu"}),
    *_block(
        2, TOOL, {"type": "input_json_delta", "partial_json": '{"command": "ls"}'}
    ),
]  # fmt: skip
SIGNED = (
    {"type": "thinking", "thinking": "let me see", "signature": "c2lnbmVk"},
    {"type": "redacted_thinking", "data": "aGlkZGVu"},
)


async def test_signed_thoughts_go_back_to_the_model_that_had_them(anthropic: Provider) -> None:
    server = anthropic([_events(BEGIN, *THOUGHTS, *END), *[_events(BEGIN, *TEXT, *END)] * 2])

    reply, heard = await ask_provider(question(model=MODEL), effort="low")
    history = (UserMessage("hi"), reply, answered(reply))
    await ask_provider(question(*history, model=MODEL), effort="low")
    await ask_provider(question(*history, model="anthropic/claude-haiku-4-5"), effort="low")

    assert heard.reasoning == reply.reasoning == "let me see"
    assert reply.thoughts == SIGNED
    first, same, other = server.requests
    assert first["thinking"]["type"] == same["thinking"]["type"] == "enabled"
    assert same["messages"][1]["content"][:2] == list(SIGNED)
    assert [part["type"] for part in other["messages"][1]["content"]] == ["tool_use"]
    assert "thinking" not in other


async def test_thoughts_that_nobody_signed_are_shown_and_not_sent_back(provider: Provider) -> None:
    server = provider([scripted("", call("bash", {}, id="c"), reasoning="hm"), say("done")])

    reply, heard = await ask_provider()
    await ask_provider(question(UserMessage("hi"), reply, answered(reply)))

    assert (heard.reasoning, reply.reasoning, reply.thoughts) == ("hm", "hm", ())
    assert "hm" not in json.dumps(server.requests[1]["messages"])
