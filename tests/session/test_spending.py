"""What a session may spend: before each request, in what works for it, over resumes, in time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import BudgetError
from agent.core.events import (
    Charged,
    EgressAsked,
    Granted,
    SyncFinished,
    TurnFinished,
    UserAsked,
)
from agent.core.messages import AssistantMessage, ToolResult, Usage
from agent.llm.protocol import Price, Request
from agent.loop.brakes import Budget, Caps
from agent.loop.naming import Namer
from agent.session import held, home
from agent.session.purse import Allowed
from agent.testing.model import Line, Scripted
from agent.tools.base import ToolContext
from tests.loop.rig import ECHO, Hanging, Words, call, reply, tool
from tests.nesting import assert_nested
from tests.session.rig import names, open_session, send


async def priced(model: str) -> Price | None:
    """Each reply may cost 0.1 at most, and those of the script cost so much."""
    return Price(0.0, 1e-4, 1_000)


def allowed(**caps: Any) -> Allowed:
    return Allowed(session=Caps(**caps), price_of=priced)


def costing(money: float, *calls: Any) -> AssistantMessage:
    usage = Usage(prompt=100, completion=1_000, cost=money)
    return AssistantMessage(text="ok", calls=calls, stop="calls" if calls else "done", usage=usage)


def dear(count: int) -> list[Line]:
    return [costing(0.1, call("echo", f"c{n}", text=str(n))) for n in range(count)]


async def test_the_session_stops_before_the_call_that_would_break_its_limit(tmp_path: Path):
    llm = Scripted(dear(20))
    session, bench = open_session(tmp_path / "j", llm, ECHO, allowed=allowed(money=0.35))
    records = await send(session, "go")
    (finished,) = [r.event for r in records if isinstance(r.event, TurnFinished)]
    assert finished.outcome == "limit" and finished.problem is not None
    assert "$0.3000 of $0.3500 is used" in finished.problem.message
    assert len(llm.requests) == 3 and session.purse.budget.spent.money <= 0.35
    assert_nested(records)
    assert bench.calls == ["sync tip-0 go"], "what was done comes home all the same"
    await session.close()


async def test_a_session_that_is_resumed_has_spent_what_it_had_spent(tmp_path: Path):
    llm = Scripted([*dear(2), costing(0.1)])
    session, _ = open_session(tmp_path / "j", llm, ECHO)
    await send(session, "go")
    await session.close()
    again, _ = open_session(tmp_path / "j", Scripted(dear(9)), ECHO, allowed=allowed(money=0.45))
    assert again.purse.budget.spent.money == pytest.approx(0.3)
    records = await send(again, "more")
    assert names(records).count("MessageFinished") == 1
    await again.close()


async def test_what_a_sub_agent_spends_counts_at_once_and_after_a_resume(tmp_path: Path):
    """The child's requests are its own business; what they cost is on record as it happens."""
    child_model = Scripted([costing(0.1) for _ in range(9)])

    async def task(arguments: Words, context: ToolContext) -> ToolResult:
        budget = session.purse.budget.child("task")
        llm = session.purse.metered(child_model, budget)
        for _ in range(9):
            await llm.ask(Request("m", "", ()), lambda _: None)
        raise AssertionError("the limit was to come first")

    llm = Scripted([costing(0.1, call("task")), costing(0.1)])
    session, _ = open_session(tmp_path / "j", llm, tool("task", task), allowed=allowed(money=0.45))
    records = await send(session, "go")
    (finished,) = [r.event for r in records if isinstance(r.event, TurnFinished)]
    assert finished.outcome == "limit"
    assert len(child_model.requests) == 3 and len(llm.requests) == 1
    charged = [r.event for r in records if isinstance(r.event, Charged)]
    assert [(one.what, one.usage.cost) for one in charged] == [("task", 0.1)] * 3
    assert session.state.usage.cost == pytest.approx(0.4)
    await session.close()
    again, _ = open_session(tmp_path / "j", llm, ECHO)
    assert again.purse.budget.spent.money == pytest.approx(0.4)
    await again.close()


async def test_sessions_of_one_tree_share_what_it_may_spend(tmp_path: Path):
    tree = Budget("tree", Caps(money=0.35))
    spent: list[int] = []
    for name in "ab":
        llm = Scripted(dear(20))
        more = Allowed(tree=tree, price_of=priced)
        session, _ = open_session(tmp_path / name, llm, ECHO, allowed=more)
        await send(session, "go")
        spent.append(len(llm.requests))
        await session.close()
    assert spent == [3, 0]


async def test_a_limit_of_a_turn_begins_anew_with_the_next(tmp_path: Path):
    llm = Scripted(dear(20))
    caps = Allowed(turn=Caps(money=0.25), price_of=priced)
    session, _ = open_session(tmp_path / "j", llm, ECHO, allowed=caps)
    await send(session, "go")
    assert len(llm.requests) == 2
    await send(session, "go on")
    assert len(llm.requests) == 4
    await session.close()


async def test_no_more_turns_than_allowed(tmp_path: Path):
    session, _ = open_session(tmp_path / "j", Scripted([reply("a")]), allowed=Allowed(turns=1))
    await send(session, "go")
    with pytest.raises(BudgetError, match="has had its 1 turns"):
        await send(session, "go")
    await session.close()


@pytest.mark.parametrize("what", ["run", "turn", "session"])
async def test_time_is_up_in_the_middle_of_a_call(tmp_path: Path, what: str):
    hanging = Hanging()
    llm = Scripted([reply("", call("hang"))])
    caps = Allowed(**{what: Caps(seconds=0.05)})
    session, bench = open_session(tmp_path / "j", llm, tool("hang", hanging.run), allowed=caps)
    records = await send(session, "go")
    (finished,) = [r.event for r in records if isinstance(r.event, TurnFinished)]
    assert finished.outcome == "limit" and finished.problem is not None
    assert f"the time of this {what}" in finished.problem.message
    assert hanging.cancelled and finished.seconds >= 0.05
    assert_nested(records)
    assert bench.calls == ["sync tip-0 go"]
    await session.close()


async def test_the_time_of_the_sandbox_counts_while_it_is_up(tmp_path: Path):
    hanging = Hanging()
    llm = Scripted([reply("", call("hang"))])
    caps = Allowed(session=Caps(sandbox_seconds=0.05))
    session, _ = open_session(tmp_path / "j", llm, tool("hang", hanging.run), allowed=caps)
    records = await send(session, "go")
    (finished,) = [r.event for r in records if isinstance(r.event, TurnFinished)]
    assert finished.problem is not None and "sandbox time" in finished.problem.message
    await session.close()
    again, _ = open_session(tmp_path / "j", llm, allowed=caps)
    assert again.purse.budget.spent.sandbox_seconds >= 0.05
    await again.close()


async def test_a_person_may_give_more_money(tmp_path: Path):
    llm = Scripted(dear(20))
    caps = allowed(money=0.26)
    session, _ = open_session(tmp_path / "j", llm, ECHO, on_ask="person", allowed=caps)
    asked: list[UserAsked] = []
    async for record in session.send("go"):
        if isinstance(record.event, UserAsked):
            asked.append(record.event)
            session.answer_user(record.event.id, chosen=record.event.options[:1][len(asked) - 1 :])
    assert [a.options for a in asked] == [
        ("Yes, $0.26 more", "No, stop here"),
        ("Yes, $0.52 more", "No, stop here"),
    ]
    assert len(llm.requests) == 5
    await session.close()
    again, _ = open_session(tmp_path / "j", Scripted(dear(5)), ECHO, allowed=caps)
    assert again.purse.budget.left("money") == pytest.approx(0.02)
    await again.close()


@pytest.mark.parametrize(
    ("on_ask", "asked", "kind"), [("deny", 2, "Reached"), ("allow", 5, "Reached")]
)
async def test_where_nobody_is_there_money_follows_what_was_declared(
    tmp_path: Path, on_ask: Any, asked: int, kind: str
):
    llm = Scripted(dear(20))
    session, _ = open_session(tmp_path / "j", llm, ECHO, on_ask=on_ask, allowed=allowed(money=0.25))
    records = await send(session, "go")
    (finished,) = [r.event for r in records if isinstance(r.event, TurnFinished)]
    assert finished.problem is not None and finished.problem.kind == kind
    assert len(llm.requests) == asked, "as much again, and that once"
    assert sum(isinstance(r.event, Granted) for r in records) == (on_ask == "allow")
    await session.close()


async def test_money_that_is_asked_for_can_be_a_failure(tmp_path: Path):
    session, _ = open_session(
        tmp_path / "j", Scripted(dear(9)), ECHO, on_ask="fail", allowed=allowed(money=0.25)
    )
    records = await send(session, "go")
    (finished,) = [r.event for r in records if isinstance(r.event, TurnFinished)]
    assert finished.problem is not None and finished.problem.kind == "AnswerNeeded"
    await session.close()


async def test_a_commit_that_would_cost_too_much_is_worded_without_the_model(tmp_path: Path):
    weak = Scripted([reply("A subject")])
    namer = Namer(weak, "weak", "word it")
    session, bench = open_session(
        tmp_path / "j", Scripted(dear(9)), ECHO, allowed=allowed(money=0.11), namer=namer
    )

    async def changes(state: Any) -> str:
        return "diff"

    bench.changes = changes  # pyright: ignore[reportAttributeAccessIssue]
    await send(session, "go")
    assert weak.requests == [] and bench.calls == ["sync tip-0 go"]
    await session.close()


@pytest.mark.parametrize(
    ("on_ask", "answers"), [("deny", "False"), ("allow", "True"), ("fail", "False")]
)
async def test_a_host_that_is_asked_for_follows_what_was_declared(
    tmp_path: Path, on_ask: Any, answers: str
):
    async def reach(arguments: Words, context: ToolContext) -> ToolResult:
        session.emit(EgressAsked("e1", "example.org", 443))
        for _ in range(3):
            await asyncio.sleep(0)
        return ToolResult(context.call_id, ok=True, text="")

    llm = Scripted([reply("", call("reach")), reply("done")])
    session, bench = open_session(tmp_path / "j", llm, tool("reach", reach), on_ask=on_ask)
    records = await send(session, "go")
    assert f"answer e1 {answers} False" in bench.calls
    (finished,) = [r.event for r in records if isinstance(r.event, TurnFinished)]
    if on_ask == "fail":
        assert finished.problem is not None and finished.problem.kind == "AnswerNeeded"
        assert "example.org:443" in finished.problem.message
    else:
        assert finished.outcome == "done"
    await session.close()


async def test_a_way_home_that_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(home, "SYNC_SECONDS", 0.05)
    session, bench = open_session(tmp_path / "j", Scripted([*dear(1), reply("done")]), ECHO)
    bench.hangs.add("sync")
    records = await send(session, "go")
    last = records[-1].event
    assert isinstance(last, SyncFinished) and last.problem is not None
    assert "safe inside" in last.problem.message and "`glovebox sync 1`" in last.problem.hint
    bench.hangs.clear()
    await session.close()


async def test_a_sandbox_that_does_not_stop_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(held, "CLOSE_SECONDS", 0.05)
    session, bench = open_session(tmp_path / "j", Scripted([*dear(1), reply("done")]), ECHO)
    bench.hangs.add("close")
    await send(session, "go")
    await session.close()
    bench.hangs.clear()
    again, _ = open_session(tmp_path / "j", Scripted([]), ECHO)  # the journal is free
    text = (tmp_path / "j").read_text()
    assert "did not stop within" in text and "glovebox reap" in text
    await again.close()
