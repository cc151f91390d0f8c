"""What a person says while a turn is under way: heard with the next request, or given back."""

from __future__ import annotations

from pathlib import Path

from agent.core.errors import LlmDownError
from agent.core.events import Attached, Steered
from agent.core.messages import AssistantMessage, UserMessage
from agent.llm.protocol import Request
from agent.session import journal
from agent.session.fork import folded
from agent.session.search import passages
from agent.session.session import Session
from agent.session.transcript import transcript_of
from agent.testing.model import Scripted
from tests.loop.rig import call, reply
from tests.session.rig import send
from tests.session.test_additions import opened, texts


def steered(path: Path, *said: str) -> tuple[Session, Scripted]:
    """A session whose person says this while the model reads a file."""
    session: list[Session] = []

    def reads(_: Request) -> AssistantMessage:
        for text in said:
            assert session[0].steer(text)
        return reply("", call("read", path="big"))

    made, _, model = opened(path, [reads, reply("both done"), reply("more")])
    session.append(made)
    return made, model


async def test_the_next_request_has_it_and_so_has_whoever_resumes(tmp_path: Path) -> None:
    session, model = steered(tmp_path / "j", "and b", "and c")
    records = await send(session, "do a")
    assert [r.event.message.text for r in records if isinstance(r.event, Steered)] == [
        "and b",
        "and c",
    ]
    assert len(model.requests) == 2, "no turn of its own"
    assert texts(model.requests[1].messages)[:2] == ["do a", "call"]
    assert texts(model.requests[1].messages)[3:] == ["and b", "and c"]
    assert session.unheard() == []
    await session.close()

    read = journal.read(tmp_path / "j")[0]
    again = folded(read).history
    assert again.messages == session.state.history.messages
    assert again.said() == ("do a", "and b", "and c"), "a summary keeps the person's words"
    assert [hit.who for hit in passages(read, ["and", "c"])] == ["you"]
    assert UserMessage("and b") in [
        UserMessage(m.text) for m in transcript_of(read).messages if isinstance(m, UserMessage)
    ]


async def test_an_undo_takes_it_along_and_a_redo_gives_it_back(tmp_path: Path) -> None:
    session, _ = steered(tmp_path / "j", "and b")
    await send(session, "do a")
    before = session.state.history.messages
    async for _ in session.undo():
        pass
    assert session.state.history.said() == ()
    async for _ in session.redo():
        pass
    assert session.state.history.messages == before
    assert session.state.history.said() == ("do a", "and b")
    await session.close()


async def test_files_that_it_mentions_come_with_it(tmp_path: Path) -> None:
    session, model = steered(tmp_path / "j", "look at @a.py:2-2", "no: @a.py:3-3")
    records = await send(session, "do a, as in @a.py:1-1")
    attached = [r.event.files for r in records if isinstance(r.event, Attached)]
    assert attached == [("a.py",)] * 3
    first, last = model.requests[0].messages[-1], model.requests[1].messages[-1]
    assert isinstance(first, UserMessage)
    assert isinstance(last, UserMessage)
    assert "one" in first.text
    assert "two" in last.text
    assert "three" in last.text
    await session.close()


async def test_what_no_request_had_is_given_back_once(tmp_path: Path) -> None:
    session: list[Session] = []

    def last(_: Request) -> AssistantMessage:
        assert session[0].steer("too late")
        return reply("done")

    def fails(_: Request) -> AssistantMessage:
        assert session[0].steer("never heard")
        raise LlmDownError("down")

    made, _, model = opened(tmp_path / "j", [last, fails])
    session.append(made)
    assert not made.steer("too early")
    for text, late in (("a", "too late"), ("b", "never heard")):
        records = await send(made, text)
        assert not [r for r in records if isinstance(r.event, Steered)]
        assert not made.steer("over")
        assert made.unheard() == [late]
        assert made.unheard() == []
    assert len(model.requests) == 2
    await made.close()
