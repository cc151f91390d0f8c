"""What the model asks the user: answered, declined, too late, interrupted, by policy, by nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import AnswerNeeded
from agent.core.events import CallFinished, TurnFinished, UserAnswered, UserAsked
from agent.core.messages import ToolMessage
from agent.host.files import package_texts
from agent.session import journal
from agent.session.questions import OnAsk, Questions
from agent.session.state import State
from agent.testing.model import Scripted
from agent.tools.base import Item
from agent.tools.builtin import builtin
from tests.loop.rig import call, reply
from tests.nesting import assert_nested
from tests.session.rig import open_session, send

TOOLS = builtin(package_texts("prompts/tools"))
ASK, TODO = TOOLS.find("ask"), TOOLS.find("todo")
assert ASK is not None and TODO is not None
QUESTION = {"question": "Which one?", "options": ["red", "blue", "green"]}


class Asked:
    """Questions whose events a test sees."""

    def __init__(self, on_ask: OnAsk = "person", seconds: float = 60.0) -> None:
        self.events: list[Any] = []
        self.questions = Questions(self.events.append, seconds)
        self.questions.on_ask = on_ask

    async def ask(self, *, multiple: bool = False) -> UserAnswered:
        return await self.questions.ask("Which?", ["red", "blue"], multiple=multiple)

    async def begin(self, *, multiple: bool = False) -> tuple[asyncio.Task[UserAnswered], str]:
        asking = asyncio.create_task(self.ask(multiple=multiple))
        while not self.events:
            await asyncio.sleep(0)
        return asking, self.events[0].id


@pytest.mark.parametrize(
    ("multiple", "given", "words", "how", "chosen"),
    [
        (False, ["blue"], "", "answered", ("blue",)),
        (False, ["blue", "red"], "", "answered", ("red",)),
        (True, ["blue", "red"], "", "answered", ("red", "blue")),
        (True, ["pink"], "", "declined", ()),
        (False, [], "neither", "answered", ()),
        (False, [], "", "declined", ()),
    ],
)
async def test_an_answer(
    multiple: bool, given: list[str], words: str, how: str, chosen: tuple[str, ...]
) -> None:
    asked = Asked()
    asking, identity = await asked.begin(multiple=multiple)
    assert asked.questions.answer("another", ["red"], "") is False
    assert asked.questions.answer(identity, given, words) is True
    assert asked.questions.answer(identity, ["red"], "") is False
    answered = await asking
    assert (answered.how, answered.chosen, answered.text) == (how, chosen, words)
    assert asked.events == [UserAsked(identity, "Which?", ("red", "blue"), multiple), answered]


async def test_nobody_in_time() -> None:
    asked = Asked(seconds=0.01)
    assert (await asked.ask()).how == "late"
    assert asked.events[-1].how == "late"
    assert asked.questions.answer(asked.events[0].id, ["red"], "") is False


@pytest.mark.parametrize(("policy", "chosen"), [("deny", ()), ("allow", ("red",))])
async def test_what_was_declared_holds(policy: Any, chosen: tuple[str, ...]) -> None:
    asked = Asked(policy)
    answered = await asked.ask()
    assert (answered.how, answered.chosen) == ("policy", chosen)
    assert [type(e).__name__ for e in asked.events] == ["UserAsked", "UserAnswered"]


async def test_a_failure_was_declared() -> None:
    asked = Asked("fail")
    with pytest.raises(AnswerNeeded, match=r"Which\?"):
        await asked.ask()
    assert [type(e).__name__ for e in asked.events] == ["UserAsked", "UserAnswered"]


async def test_an_interrupt_ends_the_question_and_the_call_has_its_result(tmp_path: Path) -> None:
    llm = Scripted([reply("", call("ask", **QUESTION)), reply("fine")])
    session, _ = open_session(tmp_path / "j", llm, ASK, on_ask="person")
    records = []
    async for record in session.send("go"):
        records.append(record)
        if isinstance(record.event, UserAsked):
            session.interrupt()
    assert_nested(records)
    assert [r.event.how for r in records if isinstance(r.event, UserAnswered)] == ["interrupted"]
    assert [r.event.result.ok for r in records if isinstance(r.event, CallFinished)] == [False]
    assert session.state.questions == {}
    await session.close()


async def test_the_answer_reaches_the_model(tmp_path: Path) -> None:
    llm = Scripted([reply("", call("ask", **QUESTION)), reply("fine")])
    session, _ = open_session(tmp_path / "j", llm, ASK, on_ask="person")
    async for record in session.send("go"):
        if isinstance(record.event, UserAsked):
            assert session.answer_user(record.event.id, chosen=["blue"], text="but dark")
    result = next(m for m in session.state.history.messages if isinstance(m, ToolMessage))
    assert result.results[0].text == "The user chose: blue\nThe user says: but dark"
    await session.close()


async def test_a_killed_process_leaves_no_open_question(tmp_path: Path) -> None:
    llm = Scripted([reply("", call("ask", **QUESTION)), reply("fine")])
    session, _ = open_session(tmp_path / "j", llm, ASK, on_ask="person")
    async for record in session.send("go"):
        if isinstance(record.event, UserAsked):
            break
    await session.close()
    stored, _ = journal.read(tmp_path / "j")
    cut = next(n for n, r in enumerate(stored) if isinstance(r.event, UserAsked))
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    (tmp_path / "k").write_bytes(b"".join(lines[: cut + 1]))
    again, _ = open_session(tmp_path / "k", llm, ASK)
    assert again.state.questions == {} and again.state.history.waiting == ()
    await again.close()
    assert_nested(journal.read(tmp_path / "k")[0])


async def test_declared_a_failure_the_turn_ends_with_its_own_kind(tmp_path: Path) -> None:
    llm = Scripted([reply("", call("ask", **QUESTION)), reply("never")])
    session, _ = open_session(tmp_path / "j", llm, ASK, on_ask="fail")
    records = await send(session, "go")
    assert_nested(records)
    finished = next(r.event for r in records if isinstance(r.event, TurnFinished))
    assert finished.problem is not None and finished.problem.kind == "AnswerNeeded"
    await session.close()


def todo(*items: tuple[str, str]) -> Any:
    return call("todo", items=[{"text": text, "state": state} for text, state in items])


async def test_the_list_is_kept_over_turns_resume_and_undo(tmp_path: Path) -> None:
    first = todo(("look", "done"), ("mend", "doing"), ("test", "open"))
    llm = Scripted(
        [reply("", first), reply("one"), reply("", todo(("test", "done"))), reply("two")]
    )
    session, _ = open_session(tmp_path / "j", llm, TODO)
    await send(session, "go")
    kept = (Item("look", "done"), Item("mend", "doing"), Item("test", "open"))
    assert session.state.todo.items == kept
    await send(session, "go on")
    assert session.state.todo.items == (Item("test", "done"),)
    await session.close()

    state = State()
    for record in journal.read(tmp_path / "j")[0]:
        state.apply(record)
    assert state.todo.items == (Item("test", "done"),)

    again, _ = open_session(tmp_path / "j", llm, TODO)
    assert again.state.todo.items == (Item("test", "done"),)
    [record async for record in again.undo()]
    assert again.state.todo.items == kept
    await again.close()


async def test_a_list_of_another_shape_is_not_taken(tmp_path: Path) -> None:
    state = State()
    state.todo.note({"todo": [{"text": "a"}]})
    for broken in (1, None, "x", [1], [{"text": 1}], [{"state": "open"}], [{"text": "a", "x": 1}]):
        state.todo.note({"todo": broken})
    assert state.todo.items == (Item("a"),)
