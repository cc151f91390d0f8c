"""Children of a session: a context of their own, the parent's sandbox and budget."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from agent.core.events import (
    ChildFinished,
    ChildStarted,
    MessageFinished,
    Record,
    TurnFinished,
    TurnStarted,
)
from agent.core.messages import (
    AssistantMessage,
    ToolCall,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)
from agent.llm.protocol import Request
from agent.loop.brakes import Caps
from agent.session.purse import Allowed
from agent.session.session import Session
from agent.session.tail import Tail
from agent.session.tasks import run_task
from agent.testing.model import Scripted
from agent.tools.base import Tool, ToolContext
from agent.tools.task import tool as task_tool
from tests.session.rig import open_session, send


class Note(msgspec.Struct):
    text: str


async def _note(arguments: Note, ctx: ToolContext) -> ToolResult:
    return ToolResult(ctx.call_id, ok=True, text=f"noted {arguments.text}")


NOTE = Tool("note", "", Note, _note, reads_only=False, title=lambda a: f"note {a.text}")
ASK = Tool("ask", "", Note, _note, reads_only=False, title=lambda a: "ask")


def task(text: str, identity: str = "t1") -> ToolCall:
    return ToolCall(identity, "task", {"task": text})


def calls(*made: ToolCall, cost: float = 0.1) -> AssistantMessage:
    return AssistantMessage("", calls=made, stop="calls", usage=Usage(100, 0, 20, cost))


def says(text: str, cost: float = 0.1) -> AssistantMessage:
    return AssistantMessage(text, usage=Usage(100, 0, 20, cost))


async def no_fork(*_: Any) -> Session:
    raise AssertionError("nobody forks here")


def opened(folder: Path, llm: Any, **more: Any) -> tuple[Session, Any]:
    session, bench = open_session(folder / "j", llm, task_tool("task"), NOTE, ASK, **more)
    run = partial(run_task, session, model="", fork=no_fork)
    session._parts = replace(session._parts, run_task=run)  # pyright: ignore[reportPrivateUsage]
    return session, bench


def of(records: list[Record], kind: type[Any]) -> list[Any]:
    return [record.event for record in records if isinstance(record.event, kind)]


async def test_only_the_last_message_of_a_child_comes_back(tmp_path: Path) -> None:
    note = ToolCall("c1", "note", {"text": "secret of the child"})
    script = [calls(task("look there")), calls(note), says("it is in a.py:3"), says("found")]
    llm = Scripted(script)
    session, _ = opened(tmp_path, llm)
    records = await send(session, "where is it?")
    parent, child, again, last = llm.requests
    assert isinstance(child.messages[0], UserMessage)
    assert child.messages[0].text.endswith("look there")
    assert "where is it?" not in repr(child.messages)
    assert len(again.messages) == 3
    assert "secret" not in repr(last.messages)
    results = [m for m in last.messages if isinstance(m, ToolMessage)]
    assert [r.text for m in results for r in m.results] == ["it is in a.py:3"]
    assert len(parent.messages) == 1 and len(last.messages) == 3
    started, finished = of(records, ChildStarted)[0], of(records, ChildFinished)[0]
    assert (started.task, finished.outcome, finished.steps) == ("look there", "done", 2)
    assert finished.usage == Usage(200, 0, 40, 0.2)
    assert of(records, TurnFinished)[0].usage == Usage(400, 0, 80, 0.4)
    told = Tail(tmp_path / f"{started.records}.jsonl").news()
    assert [m.message.text for m in of(told, MessageFinished)] == ["", "it is in a.py:3"]
    assert of(told, TurnStarted) and of(told, TurnFinished)[0].outcome == "done"
    # It cannot make children, and nobody is there to ask.
    await session.close()
    again_opened, _ = opened(tmp_path, Scripted([]))
    assert again_opened.state.usage == Usage(400, 0, 80, 0.4)
    assert again_opened.state.ledger.spent.steps == 4
    await again_opened.close()


async def test_a_child_makes_no_children(tmp_path: Path) -> None:
    llm = Scripted([calls(task("one")), calls(task("two", "t2")), says("no"), says("done")])
    session, _ = opened(tmp_path, llm)
    records = await send(session, "go")
    assert len(of(records, ChildStarted)) == 1
    refused = llm.requests[2].messages[-1]
    assert isinstance(refused, ToolMessage)
    assert "There is no tool `task`" in refused.results[0].text
    await session.close()


async def test_a_child_stops_before_the_request_that_would_break_the_budget(
    tmp_path: Path,
) -> None:
    note = ToolCall("c1", "note", {"text": "x"})
    script = [calls(task("look")), calls(note), calls(note), says("beyond")]
    llm = Scripted(script)
    session, _ = opened(tmp_path, llm, allowed=Allowed(session=Caps(steps=3)))
    records = await send(session, "go")
    assert len(llm.requests) == 3
    finished = of(records, ChildFinished)[0]
    assert finished.outcome == "limit"
    assert "of this session was reached" in finished.problem.message
    assert of(records, TurnFinished)[0].outcome == "limit"
    await session.close()


async def test_an_interrupt_of_the_parent_ends_the_child(tmp_path: Path) -> None:
    begun = asyncio.Event()

    class Slow(Scripted):
        async def ask(self, request: Request, on_delta: Any) -> AssistantMessage:
            if self.requests:
                begun.set()
                await asyncio.Event().wait()
            return await super().ask(request, on_delta)

    session, _ = opened(tmp_path, Slow([calls(task("look"))]))
    turn = asyncio.create_task(send(session, "go"))
    await begun.wait()
    session.interrupt()
    records = await turn
    assert of(records, ChildFinished)[0].outcome == "interrupted"
    assert of(records, TurnFinished)[0].outcome == "interrupted"
    told = Tail(tmp_path / "tasks" / "1.jsonl").news()
    assert of(told, TurnFinished)[0].outcome == "interrupted"
    assert session.state.history.waiting == ()
    await session.close()


async def test_children_of_one_reply_run_side_by_side(tmp_path: Path) -> None:
    together = asyncio.Barrier(2)

    class Pair(Scripted):
        async def ask(self, request: Request, on_delta: Any) -> AssistantMessage:
            if len(request.messages) == 1 and "part of" in repr(request.messages):
                await together.wait()
                return says(f"did {'one' if 'first' in repr(request.messages) else 'two'}")
            return await super().ask(request, on_delta)

    both = calls(task("first part of it", "t1"), task("second part of it", "t2"))
    llm = Pair([both, says("all done")])
    session, _ = opened(tmp_path, llm)
    await send(session, "go")
    results = llm.requests[-1].messages[-1]
    assert isinstance(results, ToolMessage)
    assert [r.text for r in results.results] == ["did one", "did two"]
    journals = {path.name for path in (tmp_path / "tasks").glob("*.jsonl")}
    assert journals == {"1.jsonl", "2.jsonl"}
    await session.close()
