"""Models without tools: what they are sent, and what is read from what they write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.app.models import TEXT_PROMPT, open_model
from agent.config import Settings
from agent.core.errors import LlmDownError
from agent.core.events import CallFinished, TurnFinished
from agent.core.messages import (
    AssistantMessage,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from agent.host.files import package_texts
from agent.llm import wording
from agent.llm.blocks import EMPTY, NO_MIDDLE, NO_PATH, NOT_CLOSED
from agent.llm.client import calls_tools, close
from agent.llm.protocol import Request, ToolSchema
from agent.llm.spoken import Spoken, as_text, with_calls
from agent.sandbox.protocol import SandboxSpec
from agent.session.journal import read
from agent.session.state import State
from agent.testing.memory.backend import MemoryBackend
from agent.testing.model import Line, Scripted
from tests.llm.asking import BASH, MODEL, ask, question
from tests.llm.conftest import Provider
from tests.llm.talks import open_talk, real_tools
from tests.servers.openai import Fault, say
from tests.snapshots import assert_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
PROMPT = package_texts("prompts")[TEXT_PROMPT]
LS = "I look.\n\n```bash\nls\n```"
MARKED = "a.py\n```\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n```"


async def _never(_: str) -> bool:
    return False


async def _always(_: str) -> bool:
    return True


def _spoken(*lines: Line) -> tuple[Spoken, Scripted]:
    model = Scripted(lines)
    return Spoken(model, PROMPT, _never), model


async def test_blocks_become_calls_and_what_was_said_is_kept() -> None:
    llm, model = _spoken(AssistantMessage(f"{LS}\n\n{MARKED}", model="m"))

    reply, heard = await ask(llm)

    (sent,) = model.requests
    assert (sent.tools, sent.system) == ((), f"You are a test.\n\n{PROMPT}")
    assert reply.text == heard.text == f"{LS}\n\n{MARKED}"
    assert [(c.id, c.name, c.arguments) for c in reply.calls] == [
        ("call_1", "bash", {"command": "ls"}),
        ("call_2", "edit", {"path": "a.py", "old": "one\n", "new": "two\n"}),
    ]
    assert (reply.stop, reply.model) == ("calls", "m")


def _history(reply: AssistantMessage, *texts: str) -> tuple[Any, ...]:
    results = [ToolResult(c.id, True, t) for c, t in zip(reply.calls, texts, strict=True)]
    return UserMessage("hi"), reply, ToolMessage(tuple(results))


def test_results_go_back_as_words_of_the_user() -> None:
    said = with_calls(AssistantMessage(f"{LS}\n\n{MARKED}"), question())

    sent = as_text(question(*_history(said, "a.py\n", "")), PROMPT)

    assert sent.messages[1:] == (
        AssistantMessage(f"{LS}\n\n{MARKED}", stop="calls"),
        UserMessage(
            "[result of block 1, bash: ok]\na.py\n\n[result of block 2, edit: ok]\n(nothing)"
        ),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n```", NO_PATH),
        ("a.py\n<<<<<<< SEARCH\none\n=======\ntwo", NOT_CLOSED),
    ],
)
def test_a_block_that_cannot_be_read_is_explained_in_its_own_form(text: str, problem: str) -> None:
    said = with_calls(AssistantMessage(text), question())

    sent = as_text(question(*_history(said, "not a JSON object")), PROMPT)

    assert said.calls[0].arguments is None
    assert isinstance(sent.messages[2], UserMessage)
    assert wording.block_unread("edit", problem) in sent.messages[2].text
    assert "JSON" not in sent.messages[2].text


def test_what_another_model_called_is_shown_as_blocks() -> None:
    calls = (
        ToolCall("a", "bash", {"command": "cat <<E\n```\nE"}),
        ToolCall("b", "edit", {"path": "a.py", "old": "one", "new": "two\n"}),
        ToolCall("c", "write", {"path": "b.py", "content": "x\n"}),
        ToolCall("d", "grep", {"pattern": "läs"}),
        ToolCall("e", "bash", None, '{"comm'),
    )
    native = AssistantMessage("Look:", calls=calls, stop="calls")

    sent = as_text(question(*_history(native, *"12345")), PROMPT).messages[1]

    assert isinstance(sent, AssistantMessage)
    assert sent.calls == ()
    assert sent.text == (
        "Look:\n\n````bash\ncat <<E\n```\nE\n````\n\n"
        "a.py\n```\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n```\n\n"
        "b.py\n```\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n```\n\n"
        '```text\ngrep {"pattern": "läs"}\n```\n\n```text\nbash {"comm\n```'
    )


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "bash", "arguments": {"command": "ls"}}</tool_call>',
        'bash(command="ls")',
    ],
)
def test_a_call_in_a_familys_own_words_is_understood_too(text: str) -> None:
    tool = ToolSchema("bash", "", {"properties": {"command": {"type": "string"}}})

    assert with_calls(AssistantMessage(text), question(tools=[tool])).calls == (
        ToolCall("call_1", "bash", {"command": "ls"}, '{"command": "ls"}'),
    )


def test_a_reply_that_was_cut_keeps_its_whole_blocks() -> None:
    reply = with_calls(AssistantMessage(f"{LS}\n```bash\nrm -", stop="length"), question())

    assert reply.stop == "length"
    assert [call.arguments for call in reply.calls] == [{"command": "ls"}, None]


def test_without_tools_nothing_is_read_and_nothing_explained() -> None:
    bare = question(tools=())

    assert with_calls(AssistantMessage(LS), bare) == AssistantMessage(LS)
    assert as_text(bare, PROMPT).system == bare.system


def test_ids_of_calls_are_new_in_the_conversation() -> None:
    said = with_calls(AssistantMessage(LS), question())
    again = with_calls(AssistantMessage(LS), question(*_history(said, "a.py")))

    assert [said.calls[0].id, again.calls[0].id] == ["call_1", "call_2"]


def test_what_was_called_without_being_given_has_a_new_id_too() -> None:
    said = with_calls(AssistantMessage(LS), question())
    wild = AssistantMessage(LS, calls=(ToolCall("call_1", "grep", {}), ToolCall("x", "ls", {})))

    reply = with_calls(wild, question(*_history(said, "a.py")))

    assert [(call.id, call.name) for call in reply.calls] == [("call_2", "grep"), ("x", "ls")]


@pytest.mark.parametrize(
    "refusal",
    [
        "registry.ollama.ai/library/llama2:latest does not support tools",
        "No endpoints found that support tool use",
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        "Function calling is not supported by this model",
    ],
)
async def test_a_model_whose_server_refuses_tools_is_spoken_with(refusal: str) -> None:
    model = Scripted([LlmDownError(refusal), AssistantMessage(LS), AssistantMessage("done")])
    llm = Spoken(model, PROMPT, _always)

    reply, heard = await ask(llm)
    await ask(llm)

    assert [len(request.tools) for request in model.requests] == [1, 0, 0]
    assert [call.name for call in reply.calls] == ["bash"]
    assert heard.notices == [f"`{MODEL}` cannot call tools: it writes what it wants done as text"]


async def test_another_failure_is_no_reason_to_speak() -> None:
    llm = Spoken(Scripted([LlmDownError("the tool shed burns")]), PROMPT, _always)

    with pytest.raises(LlmDownError, match="shed"):
        await ask(llm)


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("openai/gpt-4o", True),
        ("openai/test-model", True),
        ("ollama/llama2", False),
        ("ollama/never-heard-of", False),
        ("ollama_chat/qwen3", True),
        ("deepseek/deepseek-reasoner", False),
    ],
)
async def test_who_calls_tools_is_what_the_table_says(model: str, known: bool) -> None:
    assert await calls_tools(model) == known


def test_it_reads_as_it_did() -> None:
    said = [
        PROMPT.strip(),
        wording.results([wording.result(1, "bash", "a.py\n", ok=True),
                         wording.result(2, "edit", "", ok=False)]),
        *(wording.block_unread("edit", each) for each in (NO_PATH, NOT_CLOSED, NO_MIDDLE)),
        wording.block_unread("bash", EMPTY),
    ]  # fmt: skip

    assert_snapshot(SNAPSHOTS / "text_protocol.txt", "\n\n".join(said) + "\n")


SCRIPT = (
    f"First a look.\n\n{LS}\n\n[result of block 1, bash: ok]\nI made this up.\n```bash\nrm x\n```",
    "a.txt\n```\n<<<<<<< SEARCH\n=======\none\ntwo\n>>>>>>> REPLACE\n```",
    "a.txt\n```\n<<<<<<< SEARCH\ntwo\n>>>>>>> REPLACE\n```",
    "```python a.txt\n<<<<<<< SEARCH\ntwo\n=======\nthree\n>>>>>>> REPLACE\n```\n"
    "```bash\ncat a.txt\n```",
    "",
    "It is changed:\n```text\nthree\n```",
)


async def test_a_session_without_tools_over_a_real_connection(
    provider: Provider, tmp_path: Path
) -> None:
    server = provider([Fault(500), *(say(text) for text in SCRIPT)])
    sandbox = await MemoryBackend().create(SandboxSpec(session="text", network="none"))
    llm = open_model(MODEL, Settings(tools="text"))
    session = open_talk(tmp_path / "journal", llm, real_tools(), sandbox)

    records = [record async for record in session.send("change a.txt")]
    await session.close()
    await close()

    ended = [r.event for r in records if isinstance(r.event, TurnFinished)]
    assert [(e.outcome, e.problem) for e in ended] == [("done", None)]
    assert session.last_text == SCRIPT[-1]
    results = [r.event.result for r in records if isinstance(r.event, CallFinished)]
    assert [(r.ok, r.details.get("path")) for r in results[1:4]] == [
        (True, "/workspace/a.txt"), (False, None), (True, "/workspace/a.txt"),
    ]  # fmt: skip
    assert server.problems == []
    assert all("tools" not in request for request in server.requests)
    _prefixes([request["messages"] for request in server.requests[1:]])
    told = [m["content"] for m in server.requests[-1]["messages"] if m["role"] == "user"]
    assert "I made this up" not in json.dumps(server.requests[-1]["messages"])
    assert "no line `=======`" in told[3]
    assert "reply was empty" in told[-1]
    state = State()
    for record in read(tmp_path / "journal")[0]:
        state.apply(record)
    assert state.history.messages == session.state.history.messages


def _prefixes(sent: Sequence[list[Any]]) -> None:
    for before, after in pairwise(sent):
        # An empty reply is not sent back: what follows it joins the message before.
        stable = len(before) if len(after) > len(before) else len(before) - 1
        assert after[:stable] == before[:stable]


async def test_a_request_is_the_same_whoever_asks_again() -> None:
    said = with_calls(AssistantMessage(f"{LS}\n\n{MARKED}"), question())
    request: Request = question(*_history(said, "a.py", "done"), tools=(BASH,))

    assert as_text(request, PROMPT) == as_text(request, PROMPT)
