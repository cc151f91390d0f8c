from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.events import ReasoningDelta, TextDelta
from agent.core.messages import AssistantMessage, ToolCall, Usage
from agent.llm.assemble import Assembler, decode, tokens
from agent.llm.protocol import ToolSchema
from tests.llm.conversations import objects, streams

readable = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def _assembled(chunks: list[Any], taken: tuple[str, ...] = ()) -> AssistantMessage:
    assembler = Assembler(taken)
    for chunk in chunks:
        list(assembler.add(chunk))
    return assembler.message("m", Usage())


def _calls(*fragments: dict[str, Any], finish: str = "tool_calls") -> AssistantMessage:
    chunks = [{"choices": [{"delta": {"tool_calls": [f]}}]} for f in fragments]
    return _assembled([*chunks, {"choices": [{"delta": {}, "finish_reason": finish}]}])


def _fragment(
    arguments: str = "{}", *, index: int | None = 0, id: str | None = None, name: str | None = None
) -> dict[str, Any]:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


@given(readable, readable, st.lists(objects, max_size=3), st.data())
def test_however_a_stream_is_cut_the_message_is_the_same(
    text: str, reasoning: str, arguments: list[dict[str, Any]], data: st.DataObject
) -> None:
    raws = tuple(json.dumps(each, ensure_ascii=False) for each in arguments)
    raws = tuple(raw.encode("utf-8", "replace").decode() for raw in raws)

    message = _assembled(data.draw(streams(text, reasoning, raws)))

    assert message == AssistantMessage(
        text=text,
        reasoning=reasoning,
        calls=tuple(ToolCall(f"c{n}", "bash", json.loads(raw), raw) for n, raw in enumerate(raws)),
        stop="calls" if raws else "done",
        model="m",
    )


@given(readable, readable, st.data())
def test_the_deltas_are_the_text(text: str, reasoning: str, data: st.DataObject) -> None:
    assembler = Assembler()
    deltas = [d for c in data.draw(streams(text, reasoning, ())) for d in assembler.add(c)]

    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == text
    assert "".join(d.text for d in deltas if isinstance(d, ReasoningDelta)) == reasoning
    assert all(d.text for d in deltas)


def test_calls_whose_fragments_are_mixed_are_told_apart_by_index() -> None:
    message = _calls(
        _fragment('{"a"', index=0, id="x", name="one"),
        _fragment('{"b"', index=1, id="y", name="two"),
        _fragment(": 1}", index=0),
        _fragment(": 2}", index=1),
    )

    assert [(c.id, c.name, c.arguments) for c in message.calls] == [
        ("x", "one", {"a": 1}),
        ("y", "two", {"b": 2}),
    ]


@pytest.mark.parametrize("index", [0, None])
def test_a_server_that_does_not_number_its_calls_is_understood_by_ids(index: int | None) -> None:
    message = _calls(
        _fragment('{"a": ', index=index, id="x", name="one"),
        _fragment("1}", index=index),
        _fragment('{"b": 2}', index=index, id="y", name="two"),
    )

    assert [(c.id, c.arguments) for c in message.calls] == [("x", {"a": 1}), ("y", {"b": 2})]


def test_missing_and_repeated_ids_and_names_are_filled_in() -> None:
    fragments = [
        _fragment(index=0, id="call_1", name="one"),
        _fragment(index=1, id="call_1", name="two"),
        _fragment(index=2, id=None, name="three"),
        _fragment(index=3, id="used", name=None),
    ]
    chunks = [{"choices": [{"delta": {"tool_calls": [f]}}]} for f in fragments]

    message = _assembled(chunks, taken=("used", "call_2"))

    ids = [call.id for call in message.calls]
    assert ids == ["call_1", "call_3", "call_4", "call_5"]
    assert [call.name for call in message.calls] == ["one", "two", "three", "unknown"]


def test_a_whole_answer_is_read_like_a_streamed_one() -> None:
    function = {"name": "bash", "arguments": {"already": "decoded"}}
    answer = {"content": "hi", "tool_calls": [{"id": "x", "function": function}]}

    message = _assembled([{"choices": [{"message": answer, "finish_reason": "stop"}]}])

    assert (message.text, message.stop) == ("hi", "calls")
    assert message.calls[0].arguments == {"already": "decoded"}


@pytest.mark.parametrize(
    ("finish", "stop"),
    [
        ("stop", "done"),
        ("tool_calls", "done"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "filtered"),
        ("anything", "done"),
        (None, "done"),
    ],
)
def test_the_reason_to_stop(finish: str | None, stop: str) -> None:
    chunk = {"choices": [{"delta": {"content": "x"}, "finish_reason": finish}]}

    assert _assembled([chunk]).stop == stop


@pytest.mark.parametrize(("finish", "stop"), [("stop", "calls"), ("length", "length")])
def test_calls_are_the_reason_to_stop_unless_they_may_be_cut(finish: str, stop: str) -> None:
    assert _calls(_fragment(id="x", name="bash"), finish=finish).stop == stop


@pytest.mark.parametrize(
    ("raw", "arguments"),
    [
        ("", {}),
        (" \n", {}),
        ("{}", {}),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"a": ["\\ud800"]}', {"a": ["\ufffd"]}),
        ('{"a', None),
        ("[]", None),
        ("null", None),
        ('{"a": NaN}', None),
        ("[" * 100_000, None),
        ('{"a":' * 200 + "1" + "}" * 200, None),
        ('{"a": 18446744073709551616}', {"a": 2**64}),
        ('{"a": 1.5e300}', {"a": 1.5e300}),
        ('{"a": 1e999}', None),
        ('{"a": 1} {"b": 2}', None),
    ],
)
def test_arguments_are_an_object_or_none(raw: str, arguments: dict[str, Any] | None) -> None:
    assert decode(raw) == arguments


def test_the_last_usage_counts_and_unknown_is_not_free() -> None:
    assembler = Assembler()
    for prompt in (1, 7):
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 3},
        }
        list(assembler.add({"choices": [], "usage": usage}))

    assert tokens(assembler.usage, None) == Usage(prompt=7, cached=3, completion=2, cost=None)
    assert tokens(None, None) == Usage(cost=None)


def test_a_reply_without_anything_is_known_as_empty() -> None:
    assembler = Assembler()
    list(assembler.add({"choices": [{"delta": {}, "finish_reason": "stop"}]}))
    assert assembler.empty

    list(assembler.add({"choices": [], "usage": {"prompt_tokens": 1}}))
    assert not assembler.empty


@pytest.mark.parametrize(
    ("raw", "finish", "arguments"),
    [
        ('{"command": "ls",}', "tool_calls", {"command": "ls"}),
        ('{"command": "ls"', "tool_calls", {"command": "ls"}),
        ('{"command": "ls"', "length", None),
        ('{"command": "ls"}', "length", {"command": "ls"}),
        ("", "tool_calls", {}),
        ("", "length", None),
        ("{'a': " + "{'a': " * 150 + "1" + "}" * 151, "tool_calls", None),
    ],
)
def test_arguments_are_mended_unless_they_were_cut(
    raw: str, finish: str, arguments: dict[str, Any] | None
) -> None:
    call = _calls(_fragment(raw, id="x", name="bash"), finish=finish).calls[0]

    assert (call.arguments, call.raw) == (arguments, raw)


WRITTEN = 'Look: <tool_call>{"name": "bash", "arguments": {"command": "ls"}}</tool_call>'
BASH = ToolSchema("bash", "", {"properties": {"command": {"type": "string"}}})


def _saying(text: str, *fragments: dict[str, Any], finish: str = "stop") -> AssistantMessage:
    assembler = Assembler(("call_1",))
    delta = {"content": text, "tool_calls": list(fragments)}
    list(assembler.add({"choices": [{"delta": delta, "finish_reason": finish}]}))
    return assembler.message("m", Usage(), (BASH,))


def test_a_call_in_the_text_is_a_call() -> None:
    message = _saying(WRITTEN)

    assert (message.text, message.stop) == ("Look:", "calls")
    assert [(c.id, c.name, c.arguments) for c in message.calls] == [
        ("call_2", "bash", {"command": "ls"})
    ]


def test_text_beside_calls_of_the_wire_is_only_text() -> None:
    message = _saying(WRITTEN, _fragment(id="x", name="bash"))

    assert message.text == WRITTEN
    assert [call.id for call in message.calls] == ["x"]


def test_a_text_that_was_cut_calls_nothing() -> None:
    assert _saying(WRITTEN, finish="length").calls == ()
