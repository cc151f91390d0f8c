"""Another provider's wire, to see that nothing here knows only one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import GloveboxError, LlmAuthError, LlmDownError, LlmLimitError
from agent.core.events import MessageFinished
from agent.core.messages import (
    AssistantMessage,
    ToolCall,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)
from agent.session.journal import Journal, read
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


# Gemini signs the first of the calls it makes at a time, and a text it says at the end.
_BASH = {
    "functionCall": {"name": "bash", "args": {"command": "ls"}},
    "thoughtSignature": "U0lH+/==",
}
GEMINI = [
    [{"text": "let me see", "thought": True}],
    [{"text": "I look."}],
    [_BASH, {"functionCall": {"name": "bash", "args": {"command": "pwd"}}}],
]


def _parts(*parts: list[dict[str, Any]]) -> Raw:
    events = [
        {"candidates": [{"content": {"role": "model", "parts": part}, "index": 0}]}
        for part in parts
    ]
    events[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[call-overload]
    return _data(*events)


def _data(*events: dict[str, Any], end: str = "") -> Raw:
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return Raw((body + end).encode(), content_type="text/event-stream")


@pytest.fixture
def gemini(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    def start(script: Any) -> OpenAIServer:
        server = provider(script)
        monkeypatch.setenv("GEMINI_API_BASE", server.url)
        monkeypatch.setenv("GEMINI_API_KEY", "sk-0123456789")
        return server

    return start


def kept(reply: AssistantMessage, folder: Path) -> AssistantMessage:
    """As a session that is resumed has it: from its journal."""
    journal = Journal(folder / "journal.jsonl")
    journal.append(1, MessageFinished(reply))
    journal.close()
    (record,), _ = read(folder / "journal.jsonl")
    assert isinstance(record.event, MessageFinished)
    return record.event.message


async def test_geminis_signatures_go_back_with_the_calls_they_came_with(
    gemini: Provider, provider: Provider, tmp_path: Path
) -> None:
    server = gemini([_parts(*GEMINI), _parts([{"text": "done"}])])
    model = "gemini/gemini-3-pro-preview"

    reply, _ = await ask_provider(question(model=model))
    assert max(len(one.id) for one in reply.calls) < 40, "others refuse longer ones"
    reply = kept(reply, tmp_path)
    history = (UserMessage("hi"), reply, answered(reply))
    await ask_provider(question(*history, model=model))

    said, first, second = server.requests[1]["contents"][1]["parts"]
    assert said == {"text": "I look."}
    assert first["thoughtSignature"] == "U0lH+/=="
    assert "thoughtSignature" not in second
    other = provider([say("done")])
    await ask_provider(question(*history))
    assert "U0lH" not in json.dumps(other.requests[0]), "it means nothing to another model"


async def test_the_signature_of_a_text_goes_back_with_it(gemini: Provider, tmp_path: Path) -> None:
    server = gemini(
        [
            _parts([{"text": "I am "}], [{"text": "done.", "thoughtSignature": "VEVYVA=="}]),
            _parts([{"text": "welcome"}]),
        ]
    )
    model = "gemini/gemini-3-pro-preview"

    reply, _ = await ask_provider(question(model=model))
    history = (UserMessage("hi"), kept(reply, tmp_path), UserMessage("thanks"))
    await ask_provider(question(*history, model=model))

    (part,) = server.requests[1]["contents"][1]["parts"]
    assert part == {"text": "I am done.", "thoughtSignature": "VEVYVA=="}


def _delta(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    head = {"id": "gen-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "provider": "P", "choices": [choice]}


def _thought(**detail: Any) -> dict[str, Any]:
    """A chunk of OpenRouter's, which has no text of its own, and often nothing but the detail."""
    text = detail.get("text") or None
    return _delta(content="", reasoning=text, reasoning_details=[detail])


CLAUDES = [
    {"type": "reasoning.text", "text": "let ", "format": "anthropic-claude-v1", "index": 0},
    {"type": "reasoning.text", "text": "me see", "format": "anthropic-claude-v1", "index": 0},
    {"type": "reasoning.text", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
]
GEMINIS = [
    {"type": "reasoning.summary", "summary": "hm", "format": "google-gemini-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "RU5D", "id": "c", "index": 0},
    {"type": "reasoning.encrypted", "data": "T1RIRVI=", "id": "d", "index": 0},
]


@pytest.mark.parametrize(
    ("sent", "back"),
    [(CLAUDES, [CLAUDES[1] | {"text": "let me see", "signature": "c2ln"}]), (GEMINIS, GEMINIS)],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_openrouters_details_go_back_whole(
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    sent: list[dict[str, Any]],
    back: list[dict[str, Any]],
    stream: bool,
) -> None:
    tool = call("bash", {"command": "ls"}, id="c").wire()
    chunks = [
        *(_thought(**detail) for detail in sent),
        _delta(content=None, tool_calls=[{"index": 0, **tool}]),
        _delta("tool_calls", content=""),
    ]
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_details": back,
        "tool_calls": [tool],
    }
    whole = _delta() | {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    body = _data(*chunks, end="data: [DONE]\n\n") if stream else Raw(json.dumps(whole).encode())
    server = provider([body, say("done")])
    monkeypatch.setenv("OPENROUTER_API_BASE", server.url)
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-0123456789")
    model = "openrouter/google/gemini-3-pro-preview"

    reply, _ = await ask_provider(question(model=model), stream=stream)
    assert [one.id for one in reply.calls] == ["c"]
    reply = kept(reply, tmp_path)
    history = (UserMessage("hi"), reply, answered(reply))
    await ask_provider(question(*history, model=model))

    assert server.requests[1]["messages"][2]["reasoning_details"] == back
    other = provider([say("done")])
    await ask_provider(question(*history))
    assert "reasoning_details" not in json.dumps(other.requests[0])


async def test_the_plain_thoughts_of_deepseek_go_back_with_its_calls(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [scripted("", call("bash", {}, id="c"), reasoning="let me see"), say("done")]
    server = provider(script)
    monkeypatch.setenv("DEEPSEEK_API_BASE", server.url)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-0123456789")
    model = "deepseek/deepseek-reasoner"

    reply, _ = await ask_provider(question(model=model), effort="low")
    history = (UserMessage("hi"), reply, answered(reply))
    await ask_provider(question(*history, model=model), effort="low")

    assert server.requests[1]["messages"][2]["reasoning_content"] == "let me see"
