"""What another process may ask of a session that runs: ports, a link, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from agent.core.errors import SandboxError
from agent.core.events import (
    MessageFinished,
    Notice,
    Record,
    TextDelta,
    TurnFinished,
    UserAnswered,
    UserAsked,
)
from agent.core.messages import AssistantMessage, ToolCall
from agent.host import network
from agent.sandbox.protocol import Endpoint
from agent.session.door import Door, Question, Reply, follow, knock
from agent.session.fork import folded
from agent.session.journal import read
from agent.session.names import name_in
from agent.session.ports import Listener
from agent.session.tail import Tail
from agent.testing.model import Scripted
from agent.tools.ask import tool as ask
from agent.tools.base import Seen, ToolContext
from tests.nesting import assert_nested
from tests.session.rig import open_session


class Ports:
    """A sandbox in which something listens on 3000."""

    def __init__(self) -> None:
        self.toolbox = self

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        listeners = [{"port": 3000, "program": "node"}]
        if op == "ports":
            return {"ok": True, "ports": listeners}
        there = arguments["port"] == 3000
        return {"ok": True, "answers": there, "says": "HTTP/1.1 200 OK", "ports": listeners}

    async def expose(self, port: int) -> Endpoint:
        return Endpoint(port, f"http://secret.localhost:{port}/")


async def opened(folder: Path) -> tuple[Any, Path]:
    session, bench = open_session(folder / "j", Scripted([]))

    async def context(call: Any, on_output: Any) -> ToolContext:
        return ToolContext(cast("Any", Ports()), "x", lambda _: None, Seen())

    bench.context = context  # type: ignore[method-assign]
    await Door(session, folder / "door").unlock()
    return session, folder / "door"


async def test_ports_and_a_link_are_told_until_the_session_is_closed(tmp_path: Path) -> None:
    session, place = await opened(tmp_path)
    assert place.stat().st_mode & 0o077 == 0
    reply = await knock(place, Question("ports"))
    assert reply is not None and reply.ports == (Listener(3000, "node"),)
    reply = await knock(place, Question("preview", 3000))
    assert reply is not None and reply.shown is not None
    assert (reply.shown.url, reply.shown.says) == (
        "http://secret.localhost:3000/",
        "HTTP/1.1 200 OK",
    )
    with pytest.raises(SandboxError, match="nothing answers at port 80"):
        await knock(place, Question("preview", 80, 0.1))
    await session.close()
    assert await knock(place, Question("ports")) is None


@pytest.mark.parametrize("asked", [b"\n", b"{}\n", b'{"ask": "rm"}\n', b"\xff\n", b"x" * 400_000])
async def test_what_is_no_question_is_no_harm(asked: bytes, tmp_path: Path) -> None:
    session, place = await opened(tmp_path)
    reader, writer = await network.connect_unix(place)
    writer.write(asked)
    writer.write_eof()
    said = await reader.read()
    assert not said or msgspec.json.decode(said)["problem"]
    writer.close()
    assert await knock(place, Question("ports")) is not None
    await session.close()


async def test_a_deep_folder_is_no_problem_and_a_missing_one_is_told(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    session, place = await opened(deep)
    assert await knock(place, Question("ports")) is not None
    told: list[Any] = []
    elsewhere = SimpleNamespace(emit=told.append)
    await Door(cast("Any", elsewhere), tmp_path / "no" / "door").unlock()
    assert isinstance(told[0], Notice) and "can ask this session" in told[0].text
    await session.close()
    await asyncio.sleep(0)


async def test_records_are_told_as_they_come_and_the_end_is_in_the_journal(tmp_path: Path) -> None:
    session, place = await opened(tmp_path)
    following = await follow(place)
    assert following is not None
    session.emit(Notice("info", "one"))
    session.emit(TextDelta("tw"))
    session.emit(Notice("info", "x" * 400_000))
    told = [await anext(following) for _ in range(3)]
    assert [type(r.event).__name__ for r in told] == ["Notice", "TextDelta", "Notice"]
    assert told == [told[0], Record(1, told[0].seq, told[1].at, 0, TextDelta("tw")), told[2]]
    await session.close()
    assert [r async for r in following] == []
    assert await follow(place) is None
    news = Tail(tmp_path / "j").news()
    assert [r.seq for r in news] == list(range(len(news)))
    assert told[2] in news
    assert session.listeners == []


async def test_a_session_is_named_from_elsewhere_also_in_the_middle_of_a_turn(
    tmp_path: Path,
) -> None:
    session, _ = open_session(tmp_path / "j", Scripted([AssistantMessage("hello")]))
    await Door(session, tmp_path / "door").unlock()

    with pytest.raises(SandboxError, match="cannot name a session"):
        await knock(tmp_path / "door", Question("rename", text="12"))
    async for record in session.send("go"):
        if isinstance(record.event, MessageFinished):
            assert await knock(tmp_path / "door", Question("rename", text="trunk")) is not None
    await session.close()

    records, _ = read(tmp_path / "j")
    assert folded(records).name == name_in(tmp_path / "j") == "trunk"
    assert_nested(records)


async def test_a_question_is_answered_and_a_turn_is_ended_from_elsewhere(tmp_path: Path) -> None:
    call = ToolCall("c1", "ask", {"question": "which?", "options": ["a", "b"]})
    talk = [AssistantMessage("", calls=(call,), stop="calls"), AssistantMessage("thanks")]
    session, _ = open_session(tmp_path / "j", Scripted(talk), ask("ask"), on_ask="person")
    await Door(session, tmp_path / "door").unlock()
    told: list[str] = []
    async for record in session.send("go"):
        if isinstance(record.event, UserAsked):
            wrong = await knock(tmp_path / "door", Question("answer", id="nobody", text="x"))
            assert wrong == Reply(done=False)
            right = Question("answer", id=record.event.id, chosen=("b",), text="or so")
            assert await knock(tmp_path / "door", right) == Reply(done=True)
        if isinstance(record.event, UserAnswered):
            told += [*record.event.chosen, record.event.text]
    assert told == ["b", "or so"]
    await session.close()
    session, _ = open_session(tmp_path / "k", Scripted(talk), ask("ask"), on_ask="person")
    await Door(session, tmp_path / "door").unlock()
    ended: list[str] = []
    async for record in session.send("go"):
        if isinstance(record.event, UserAsked):
            assert await knock(tmp_path / "door", Question("interrupt")) == Reply(done=True)
        if isinstance(record.event, TurnFinished):
            ended.append(record.event.outcome)
    assert ended == ["interrupted"]
    await session.close()
