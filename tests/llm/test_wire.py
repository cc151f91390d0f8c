from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from agent.llm.protocol import Request
from agent.llm.wire import IMAGES_OF, MALFORMED, encode_messages, encode_tools
from tests.llm.asking import BASH, answered, calling, question
from tests.llm.conversations import conversations, objects
from tests.servers.history import history_problem


def _body(request: Request) -> dict[str, Any]:
    return {"messages": encode_messages(request), "tools": encode_tools(request.tools)}


@given(conversations())
def test_any_conversation_is_legal_to_a_strict_provider(messages: tuple[Message, ...]) -> None:
    body = _body(question(*messages))

    sent = json.loads(json.dumps(body, ensure_ascii=False).encode("utf-8"))

    assert history_problem(sent) == ""


@given(conversations(), st.data())
def test_a_prefix_of_a_conversation_gives_a_prefix_of_its_bytes(
    messages: tuple[Message, ...], data: st.DataObject
) -> None:
    # A request ends with what the model has to answer, and then its answer follows.
    ends = [
        n
        for n, m in enumerate(messages, 1)
        if not isinstance(m, AssistantMessage) and _answers(messages[n : n + 1])
    ]
    end = data.draw(st.sampled_from(ends or [len(messages)]))

    shorter = json.dumps(encode_messages(question(*messages[:end])))
    longer = json.dumps(encode_messages(question(*messages)))

    assert longer.startswith(shorter.removesuffix("]"))


def _answers(messages: tuple[Message, ...]) -> bool:
    return not messages or (
        isinstance(messages[0], AssistantMessage)
        and bool(messages[0].calls or messages[0].text.strip())
    )


def test_who_speaks_twice_is_sent_once() -> None:
    image = UserMessage("see", images=(PNG,))
    history = (UserMessage("a"), AssistantMessage(" "), UserMessage("b"), image, UserMessage(" "))

    sent = encode_messages(question(*history, AssistantMessage("c"), AssistantMessage("d")))

    assert [m["role"] for m in sent] == ["system", "user", "assistant"]
    assert [part.get("text") for part in sent[1]["content"]] == ["a\n\nb", "see", None, "(nothing)"]
    assert sent[2]["content"] == "c\n\nd"


def test_what_is_blank_is_named() -> None:
    reply = calling("a")
    blank = ToolMessage((ToolResult("a", True, "\n"),))

    sent = encode_messages(question(UserMessage(""), replace(reply, text=" "), blank))

    assert [m["content"] for m in sent[1:]] == ["(nothing)", None, "(nothing)"]


@given(objects)
def test_arguments_arrive_as_the_object_they_are(arguments: dict[str, Any]) -> None:
    call = ToolCall("c", "bash", arguments, json.dumps(arguments))
    history = (UserMessage("hi"), AssistantMessage("", calls=(call,)), _result("c"))

    sent = encode_messages(question(*history))[2]["tool_calls"][0]["function"]["arguments"]

    assert sent == call.raw


def test_arguments_changed_since_the_model_wrote_them_are_sent_as_they_are() -> None:
    call = ToolCall("c", "bash", {"command": "new"}, '{"command": "old"}')
    history = (UserMessage("hi"), AssistantMessage("", calls=(call,)), _result("c"))

    sent = encode_messages(question(*history))[2]["tool_calls"][0]["function"]["arguments"]

    assert json.loads(sent) == {"command": "new"}


@pytest.mark.parametrize("raw", ['{"comm', "[1]", '"text"', "null", "NaN", '{"a": "\ud800'])
def test_broken_arguments_are_shown_to_the_model_inside_valid_json(raw: str) -> None:
    call = ToolCall("c", "bash", None, raw)
    history = (UserMessage("hi"), AssistantMessage("", calls=(call,)), _result("c"))

    sent = encode_messages(question(*history))[2]["tool_calls"][0]["function"]["arguments"]

    assert json.loads(sent) == {MALFORMED: raw.replace("\ud800", "\ufffd")}


def test_the_whole_form() -> None:
    reply = AssistantMessage("look", calls=(ToolCall("c1", "bash", {"a": 1}, '{"a":1}'),))
    history = (
        UserMessage("see", images=("data:image/png;base64,AA==",)),
        reply,
        answered(reply),
        AssistantMessage(""),
        AssistantMessage("done"),
    )

    assert _body(question(*history)) == {
        "messages": [
            {"role": "system", "content": "You are a test."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                ],
            },
            {
                "role": "assistant",
                "content": "look",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "bash", "arguments": '{"a":1}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "out of c1"},
            {"role": "assistant", "content": "done"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "bash",
                    "description": BASH.description,
                    "parameters": BASH.parameters,
                },
            }
        ],
    }


PNG = "data:image/png;base64,AA=="


def test_images_of_results_follow_all_results_of_a_reply() -> None:
    reply = calling("a", "b")
    results = (ToolResult("b", True, "two", images=(PNG,)), ToolResult("a", True, "one"))
    history = (UserMessage("hi"), reply, ToolMessage(results), AssistantMessage("done"))

    sent = encode_messages(question(*history))

    assert [m["role"] for m in sent[2:]] == ["assistant", "tool", "tool", "user", "assistant"]
    assert sent[5]["content"] == [
        {"type": "text", "text": IMAGES_OF},
        {"type": "image_url", "image_url": {"url": PNG}},
    ]


def test_a_model_that_cannot_see_is_told_that_there_were_images() -> None:
    reply = calling("a")
    shown = ToolMessage((ToolResult("a", True, "one", images=(PNG, PNG)),))
    history = (UserMessage("hi", images=(PNG,)), reply, shown, UserMessage("", images=(PNG,)))

    sent = encode_messages(question(*history), sees=False)

    assert "base64" not in json.dumps(sent)
    assert [m["content"] for m in sent if m["role"] == "user"] == [
        "hi\n[images left out here: 1; as far as is known this model cannot see them]",
        "[images left out here: 2; as far as is known this model cannot see them]\n\n"
        "[images left out here: 1; as far as is known this model cannot see them]",
    ]


def test_results_are_sent_in_the_order_of_their_calls() -> None:
    reply = calling("a", "b")
    backwards = ToolMessage(tuple(reversed(answered(reply).results)))

    sent = encode_messages(question(UserMessage("hi"), reply, backwards))

    assert [(m["tool_call_id"], m["content"]) for m in sent[3:]] == [
        ("a", "out of a"),
        ("b", "out of b"),
    ]


@pytest.mark.parametrize(
    "history",
    [
        (calling("a"),),
        (calling("a"), UserMessage("next")),
        (calling("a", "b"), answered(calling("a"))),
        (calling("a"), answered(calling("b"))),
        (calling("a"), answered(calling("a")), answered(calling("a"))),
        (UserMessage("hi"), answered(calling("a"))),
    ],
)
def test_a_history_with_a_call_without_its_result_is_our_fault(history: Any) -> None:
    with pytest.raises(ValueError, match="result"):
        encode_messages(question(*history))


def test_a_pair_of_surrogates_becomes_its_character_and_a_lone_one_a_mark() -> None:
    sent = encode_messages(question(UserMessage("\ud83d\ude00 \ud83d!")))

    assert sent[1]["content"] == "\U0001f600 \ufffd!"


def _result(call_id: str) -> ToolMessage:
    return ToolMessage((ToolResult(call_id, False, "no"),))


def test_details_that_nobody_can_read_are_left_out() -> None:
    block = {"type": "reasoning_details", "json": "[{"}
    reply = AssistantMessage("well", model=question().model, thoughts=(block,))

    (_, _, said) = encode_messages(question(UserMessage("hi"), reply))

    assert said == {"role": "assistant", "content": "well"}


@pytest.mark.parametrize("model", ["gemini/flash", "openai/other"])
def test_a_signature_in_an_id_of_an_older_journal_goes_where_it_belongs(model: str) -> None:
    calls = (ToolCall("call_1__thought__c2ln", "bash", {}), ToolCall("call_2", "bash", {}))
    reply = AssistantMessage("", calls=calls, model="gemini/flash")
    results = ToolMessage(tuple(ToolResult(call.id, ok=True, text="x") for call in calls))
    request = replace(question(UserMessage("go"), reply, results), model=model)

    asked, *told = encode_messages(request)[-3:]

    assert [one["id"] for one in asked["tool_calls"]] == ["call_1", "call_2"]
    assert [one["tool_call_id"] for one in told] == ["call_1", "call_2"]
    own = {"thought_signature": "c2ln"} if model == "gemini/flash" else None
    assert [one.get("provider_specific_fields") for one in asked["tool_calls"]] == [own, None]
