"""A thousand turns with a model that misbehaves in every way: real library, real sessions.

What must hold: each turn ends, each call has one result, what is sent is always legal to a strict
provider (the server looks), and a journal that is read again gives the same conversation.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.app.models import TEXT_PROMPT
from agent.core.events import (
    CallFinished,
    CallStarted,
    MessageFinished,
    Record,
    StepFinished,
    StepStarted,
    TurnFinished,
    TurnStarted,
)
from agent.host.files import package_texts
from agent.llm.client import LitellmClient, close, window
from agent.llm.fallback import Fallback
from agent.llm.protocol import Llm
from agent.llm.spoken import Spoken
from agent.sandbox.protocol import SandboxSpec
from agent.session.journal import read
from agent.session.state import State
from agent.testing.memory.backend import MemoryBackend
from agent.tools.base import Toolset
from tests.llm.asking import without_waiting
from tests.llm.conftest import KEY, Provider
from tests.llm.talks import open_talk, real_tools
from tests.servers.chaos import WAYS, Chaos

TURNS, SESSIONS, RESTART = 1_000, 20, 10
SEED = 6


def _native() -> Llm:
    return LitellmClient(
        retry=without_waiting(), first_byte_seconds=3.0, idle_seconds=3.0, whole_seconds=3.0
    )


async def _never(_: str) -> bool:
    return False


def _in_text() -> Llm:
    """A chain of two models that are spoken with in text."""
    spoken = Spoken(_native(), package_texts("prompts")[TEXT_PROMPT], _never)
    return Fallback(spoken, ["openai/second"], window=window)


def _whole(records: list[Record]) -> None:
    """One turn: what was started is finished, and each call has one result."""
    kinds = Counter(type(record.event) for record in records)
    for started, finished in (
        (TurnStarted, TurnFinished),
        (StepStarted, StepFinished),
        (CallStarted, CallFinished),
    ):
        assert kinds[started] == kinds[finished], started
    assert kinds[TurnFinished] == 1
    events = [record.event for record in records]
    asked = [c.id for e in events if isinstance(e, MessageFinished) for c in e.message.calls]
    answered = [e.result.call_id for e in events if isinstance(e, CallFinished)]
    assert sorted(asked) == sorted(answered)
    assert len(set(asked)) == len(asked)


async def _talk(
    path: Path, llm: Callable[[], Llm], tools: Toolset, turns: int, outcomes: Counter[str]
) -> None:
    sandbox = await MemoryBackend().create(SandboxSpec(session=path.stem, network="none"))
    for begin in range(0, turns, RESTART):
        session = open_talk(path, llm(), tools, sandbox)
        for turn in range(begin, begin + RESTART):
            records = [r async for r in session.send(f"talk {path.stem}, turn {turn}")]
            _whole(records)
            outcomes.update(r.event.outcome for r in records if isinstance(r.event, TurnFinished))
        lived = session.state.history.messages
        await session.close()
        again = State()
        for record in read(path)[0]:
            again.apply(record)
        assert again.history.messages == lived
        assert (again.usage, again.turn, again.open) == (
            session.state.usage,
            begin + RESTART,
            False,
        )


@pytest.fixture
def chaos(provider: Provider) -> Iterator[tuple[Chaos, list[str]]]:
    made = Chaos(SEED)
    server = provider(made)
    yield made, server.problems


async def _turns(
    folder: Path, count: int, sessions: int, llm: Callable[[], Llm] = _native
) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    tools = real_tools()
    async with asyncio.TaskGroup() as group:
        for n in range(sessions):
            path = folder / f"{n}.jsonl"
            group.create_task(_talk(path, llm, tools, count // sessions, outcomes))
    await close()
    return outcomes


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_a_thousand_turns_with_a_model_that_misbehaves_in_every_way(
    chaos: tuple[Chaos, list[str]], tmp_path: Path
) -> None:
    made, problems = chaos

    outcomes = await _turns(tmp_path, TURNS, SESSIONS)

    assert problems == []
    assert outcomes.total() == TURNS
    assert outcomes.keys() <= {"done", "failed", "limit"}
    assert min(made.taken[way] for way in WAYS) > 3
    assert outcomes["done"] > TURNS // 2
    assert not any(KEY in path.read_text() for path in tmp_path.iterdir())


@pytest.mark.slow
async def test_two_hundred_turns_in_text_through_a_chain_of_models(
    chaos: tuple[Chaos, list[str]], tmp_path: Path
) -> None:
    made, problems = chaos

    outcomes = await _turns(tmp_path, 200, 10, _in_text)

    assert problems == []
    assert outcomes.total() == 200
    assert outcomes.keys() <= {"done", "failed", "limit"}
    assert made.taken["in blocks"] > 5
    assert outcomes["done"] > 100
