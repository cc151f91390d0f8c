from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.core.errors import LlmDownError, UserError
from agent.core.messages import AssistantMessage, ToolCall, Usage, UserMessage
from agent.llm.protocol import Request, ToolSchema
from agent.llm.replay import Recorder, Replay
from agent.testing.model import Scripted
from tests.llm.asking import BASH, answered, ask, calling, question

CALL = replace(calling("c1", "c2"), text="let me look", usage=Usage(10, 2, 3, 0.5), model="m")
DONE = AssistantMessage("it is done", reasoning="hm", usage=Usage(20, 12, 4, None), model="m")
FIRST = question(UserMessage("fix it"))
SECOND = question(UserMessage("fix it"), CALL, answered(CALL))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return tmp_path / "talk.jsonl"


async def _record(path: Path) -> None:
    recorder = Recorder(Scripted([CALL, DONE]), path)
    await ask(recorder, FIRST)
    await ask(recorder, SECOND)


async def test_a_recording_answers_the_same_questions_at_no_cost(recording: Path) -> None:
    await _record(recording)
    replay = Replay(recording)

    first, _ = await ask(replay, FIRST)
    second, heard = await ask(replay, SECOND)

    assert first == replace(CALL, model="replay", usage=Usage(10, 2, 3, 0.0))
    assert second == replace(DONE, model="replay", usage=Usage(20, 12, 4, 0.0))
    assert (heard.text, heard.reasoning) == ("it is done", "hm")


async def test_what_belongs_to_the_machine_may_differ(recording: Path) -> None:
    await _record(recording)
    replay = Replay(recording)
    elsewhere = answered(CALL)
    elsewhere = replace(
        elsewhere,
        results=tuple(replace(r, text="/other/path 12:30", details={}) for r in elsewhere.results),
    )
    asked = [
        replace(FIRST, system="Another machine.", model="replay:x"),
        question(UserMessage("fix it", at=99.0), replace(CALL, text="other words"), elsewhere),
    ]

    replies = [(await ask(replay, each))[0].text for each in asked]

    assert replies == ["let me look", "it is done"]


def _other_arguments(request: Request) -> Request:
    calls = (ToolCall("c1", "bash", {"command": "rm"}), *CALL.calls[1:])
    return question(request.messages[0], replace(CALL, calls=calls), request.messages[2])


def _other_name(request: Request) -> Request:
    calls = (replace(CALL.calls[0], name="read"), *CALL.calls[1:])
    return question(request.messages[0], replace(CALL, calls=calls), request.messages[2])


def _other_tools(*tools: ToolSchema) -> Callable[[Request], Request]:
    return lambda request: replace(request, tools=tools)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (_other_tools(), "the tools changed: `bash` is gone"),
        (_other_tools(BASH, replace(BASH, name="read")), "the tools changed: `read` is new"),
        (
            _other_tools(replace(BASH, parameters={"type": "object", "required": ["x"]})),
            "the tools changed: `bash` has another schema",
        ),
        (lambda r: question(UserMessage("other"), *r.messages[1:]), "message 1 is another"),
        (
            lambda r: question(UserMessage("fix it", images=("data:,x",)), *r.messages[1:]),
            "message 1 is another",
        ),
        (_other_arguments, "message 2 is another"),
        (_other_name, "message 2 is another"),
        (lambda r: question(*r.messages[:2], answered(CALL, ok=False)), "message 3 is another"),
        (
            lambda r: question(*r.messages, UserMessage("and?")),
            "the conversation has 4 messages, recorded were 3",
        ),
    ],
)
async def test_a_question_of_another_shape_is_refused_and_the_difference_named(
    recording: Path, change: Callable[[Request], Request], differs: str
) -> None:
    await _record(recording)
    replay = Replay(recording)
    await ask(replay, FIRST)

    with pytest.raises(UserError) as caught:
        await ask(replay, change(SECOND))

    assert f"`{recording}` does not fit at reply 2: {differs}" in caught.value.message
    assert "--record" in caught.value.hint


async def test_a_description_may_be_reworded_without_a_new_recording(recording: Path) -> None:
    await _record(recording)

    reply, _ = await ask(
        Replay(recording), replace(FIRST, tools=(replace(BASH, description="new"),))
    )

    assert reply.text == CALL.text


async def test_long_texts_differ_even_in_their_last_character(recording: Path) -> None:
    await ask(Recorder(Scripted([DONE]), recording), question(UserMessage("x" * 9999 + "a")))

    with pytest.raises(UserError, match="message 1 is another"):
        await ask(Replay(recording), question(UserMessage("x" * 9999 + "b")))

    assert recording.stat().st_size < 2000


async def test_running_past_the_end_says_how_many_replies_there_are(recording: Path) -> None:
    await _record(recording)
    replay = Replay(recording)
    for request in (FIRST, SECOND):
        await ask(replay, request)

    with pytest.raises(UserError, match="ends after 2 replies; one more is needed"):
        await ask(replay, SECOND)


async def test_a_conversation_is_gone_on_with_in_another_process(recording: Path) -> None:
    await ask(Recorder(Scripted([CALL]), recording), FIRST)
    await ask(Recorder(Scripted([DONE]), recording), SECOND)

    reply, _ = await ask(Replay(recording), SECOND)

    assert reply.text == DONE.text


async def test_a_second_conversation_is_not_added_to_a_recording(recording: Path) -> None:
    await _record(recording)
    before = recording.read_bytes()
    inner = Scripted([DONE])

    with pytest.raises(UserError, match="already holds a recording"):
        await ask(Recorder(inner, recording), FIRST)

    assert inner.requests == []
    assert recording.read_bytes() == before


async def test_recording_only_appends(recording: Path) -> None:
    await ask(Recorder(Scripted([CALL]), recording), FIRST)
    before = recording.read_bytes()

    await ask(Recorder(Scripted([DONE]), recording), SECOND)

    assert recording.read_bytes().startswith(before)
    assert recording.stat().st_mode & 0o777 == 0o600


async def test_a_failure_is_not_recorded(recording: Path) -> None:
    recorder = Recorder(Scripted([LlmDownError("gone", partial="half"), DONE]), recording)

    with pytest.raises(LlmDownError):
        await ask(recorder, FIRST)
    await ask(recorder, FIRST)

    assert (await ask(Replay(recording), FIRST))[0].text == DONE.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a recording"),
        (b"\xff\xfe", "is not a recording"),
        (b"hello\n", "is not a recording"),
        (b'{"format":"other","v":1}\n', "is not a recording"),
        (b'{"format":"glovebox-recording","v":2}\n', "version 2; this glovebox reads 1"),
        (b'{"format":"glovebox-recording","v":1}', "last line"),
        (b'{"format":"glovebox-recording","v":1}\n{"key"', "last line"),
        (b'{"format":"glovebox-recording","v":1}\n{"key":1}\n', "line 2"),
    ],
)
async def test_a_file_that_is_no_whole_recording_is_refused(
    recording: Path, content: bytes, message: str
) -> None:
    recording.write_bytes(content)

    with pytest.raises(UserError) as caught:
        Replay(recording)

    assert message in caught.value.message
    assert str(recording) in caught.value.message
    assert caught.value.hint


async def test_a_torn_recording_is_not_written_to(recording: Path) -> None:
    await _record(recording)
    torn = recording.read_bytes()[:-5]
    recording.write_bytes(torn)

    with pytest.raises(UserError, match="last line"):
        Recorder(Scripted([]), recording)

    assert recording.read_bytes() == torn


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        Replay(tmp_path / "absent")
    with pytest.raises(UserError, match="directory"):
        Replay(tmp_path)
    with pytest.raises(UserError, match="directory"):
        Recorder(Scripted([]), tmp_path)


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    os.symlink("/dev/null", elsewhere)

    with pytest.raises(UserError, match="cannot record to"):
        await ask(Recorder(Scripted([DONE]), elsewhere), FIRST)


async def test_the_format_is_stable(recording: Path) -> None:
    await _record(recording)

    header, first, _ = [json.loads(line) for line in recording.read_text().splitlines()]

    assert header == {"format": "glovebox-recording", "v": 1}
    assert first["key"] == {
        "tools": {"bash": "9e2fcd061b033258"},
        "messages": [{"role": "user", "text": "fix it"}],
    }
