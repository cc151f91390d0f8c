"""What every `Llm` promises, asked of all there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from agent.core.errors import LlmDownError
from agent.core.messages import AssistantMessage, ToolCall
from agent.llm.client import LitellmClient, close
from agent.llm.protocol import Delta, Llm
from agent.llm.replay import Recorder, Replay
from agent.testing.model import Scripted
from tests.llm.asking import Heard, answered, ask, question
from tests.llm.conftest import Provider
from tests.servers.openai import Call, Reply

CALLS = (ToolCall("c1", "bash", {"command": "ls"}, '{"command": "ls"}'),)
REPLIES = (
    AssistantMessage("let me look at it", reasoning="a file, then", calls=CALLS, stop="calls"),
    AssistantMessage("it is done, all of it"),
)

Made = Callable[[], AbstractAsyncContextManager[Llm]]


@pytest.fixture(params=["scripted", "provider", "replay", "recorder"])
def llm(request: pytest.FixtureRequest, provider: Provider, tmp_path: Path) -> Made:
    """One way to answer with REPLIES."""

    @asynccontextmanager
    async def made() -> AsyncIterator[Llm]:
        match request.param:
            case "scripted":
                yield Scripted(REPLIES)
            case "recorder":
                yield Recorder(Scripted(REPLIES), tmp_path / "r")
            case "replay":
                await _talk(Recorder(Scripted(REPLIES), tmp_path / "r"))
                yield Replay(tmp_path / "r")
            case _:
                provider([_wire(reply) for reply in REPLIES])
                yield LitellmClient()
                await close()

    return made


def _wire(reply: AssistantMessage) -> Reply:
    calls = tuple(Call(c.name, c.raw, c.id) for c in reply.calls)
    return Reply(reply.text, calls, reply.reasoning)


async def _talk(llm: Llm) -> list[tuple[AssistantMessage, Heard]]:
    first = question()
    one = await ask(llm, first)
    return [one, await ask(llm, question(*first.messages, one[0], answered(one[0])))]


async def test_the_deltas_are_the_reply_in_pieces(llm: Made) -> None:
    async with llm() as model:
        talk = await _talk(model)

    for expected, (reply, heard) in zip(REPLIES, talk, strict=True):
        said = (reply.text, reply.reasoning, reply.calls, reply.stop)
        assert said == (expected.text, expected.reasoning, expected.calls, expected.stop)
        assert (heard.text, heard.reasoning) == (expected.text, expected.reasoning)
        assert len(heard.deltas) > 1


async def test_an_interrupt_can_arrive_while_the_reply_comes(llm: Made) -> None:
    async with llm() as model:
        await _interrupted(model)


async def test_a_script_and_a_replay_stop_between_two_deltas(tmp_path: Path) -> None:
    await _talk(Recorder(Scripted(REPLIES), tmp_path / "r"))

    for model in (Scripted(REPLIES), Replay(tmp_path / "r")):
        heard = await _interrupted(model)
        assert len(heard.deltas) == 1


async def _interrupted(model: Llm) -> Heard:
    begun, heard = asyncio.Event(), Heard()

    def hear(delta: Delta) -> None:
        heard(delta)
        begun.set()

    task = asyncio.create_task(model.ask(question(), hear))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return heard


async def test_a_script_can_fail_and_can_look_at_the_question() -> None:
    model = Scripted(
        [
            LlmDownError("gone", partial="half a sen"),
            lambda request: AssistantMessage(request.messages[0].text),  # type: ignore[union-attr]
        ]
    )
    heard = Heard()

    with pytest.raises(LlmDownError):
        await model.ask(question(), heard)
    reply, _ = await ask(model)

    assert heard.text == "half a sen"
    assert reply.text == "hi"
    with pytest.raises(AssertionError, match="only 2 replies"):
        await ask(model)
