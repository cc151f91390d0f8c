from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.core.errors import (
    JournalError,
    LlmDownError,
    SandboxLost,
    SandboxUnavailable,
    SyncError,
    UserError,
)
from agent.core.events import (
    CallStarted,
    EgressAnswered,
    EgressAsked,
    StepStarted,
    SyncFinished,
    TurnFinished,
)
from agent.core.messages import AssistantMessage, ToolMessage, Usage, UserMessage
from agent.session import journal
from agent.session.state import State
from agent.testing.model import Scripted
from tests.loop.rig import ECHO, Hanging, Stalling, call, reply, tool
from tests.nesting import assert_nested
from tests.session.rig import names, open_session, send


async def test_a_turn_with_a_call_is_synced_and_recorded(tmp_path: Path):
    llm = Scripted([reply("", call("echo", text="x")), reply("done")])
    session, bench = open_session(tmp_path / "j", llm, ECHO)
    records = await send(session, "do  it\nnow")
    assert names(records)[0] == "TurnStarted"
    assert names(records)[-3:] == ["TurnFinished", "SyncStarted", "SyncFinished"]
    assert bench.calls == ["sync tip-0 do it now"]
    assert session.status().sync == "synced"
    assert session.last_text == "done"
    await session.close()
    stored, _ = journal.read(tmp_path / "j")
    assert [r.seq for r in stored] == list(range(len(stored)))
    shown = {n for n in names(records) if n not in ("TextDelta", "CallOutput")}
    assert shown <= set(names(stored))


async def test_a_turn_without_calls_needs_no_sandbox_and_no_sync(tmp_path: Path):
    session, bench = open_session(tmp_path / "j", Scripted([reply("Hi.")]), ECHO)
    bench.gate.clear()
    records = await send(session, "hello")
    assert names(records)[-1] == "TurnFinished"
    assert bench.calls == []
    await session.close()


async def test_the_model_is_asked_before_the_sandbox_is_ready(tmp_path: Path):
    llm = Scripted([reply("", call("echo")), reply("done")])
    session, bench = open_session(tmp_path / "j", llm, ECHO)
    bench.gate.clear()
    seen: list[str] = []
    async for record in session.send("go"):
        seen.append(type(record.event).__name__)
        if isinstance(record.event, CallStarted):
            bench.gate.set()
    assert seen.index("MessageFinished") < seen.index("SandboxState") < seen.index("CallFinished")
    await session.close()


async def test_without_a_sandbox_the_turn_ends_at_once(tmp_path: Path):
    session, bench = open_session(tmp_path / "j", Stalling(), ECHO)
    bench.failure = SandboxUnavailable("no bubblewrap", "install it")
    records = await send(session, "go")
    finished = records[-1].event
    assert isinstance(finished, TurnFinished) and finished.problem is not None
    assert (finished.outcome, finished.problem.kind) == ("failed", "SandboxUnavailable")
    await session.close()


async def test_an_interrupt_ends_the_turn_and_the_next_one_works(tmp_path: Path):
    hanging = Hanging()
    llm = Scripted([reply("", call("hang")), reply("fine")])
    session, _ = open_session(tmp_path / "j", llm, tool("hang", hanging.run))
    outcome = ""
    async for record in session.send("go"):
        if isinstance(record.event, CallStarted):
            await hanging.begun.wait()
            session.interrupt()
        if isinstance(record.event, TurnFinished):
            outcome = record.event.outcome
    assert outcome == "interrupted"
    records = await send(session, "again")
    assert records[0].turn == 2
    asked = llm.requests[1].messages
    assert [type(m).__name__ for m in asked] == [
        "UserMessage",
        "AssistantMessage",
        "ToolMessage",
        "UserMessage",
    ]
    await session.close()


async def test_an_interrupt_before_the_turn_has_begun_is_not_lost(tmp_path: Path):
    llm = Scripted([reply("fine")])
    session, _ = open_session(tmp_path / "j", llm)
    records = session.send("go")
    first = asyncio.create_task(anext(records))
    await asyncio.sleep(0)  # the job is begun, and nothing of it
    session.interrupt()
    events = [(await first).event, *[record.event async for record in records]]
    assert [e.outcome for e in events if isinstance(e, TurnFinished)] == ["interrupted"]
    assert llm.requests == []
    await send(session, "again")
    assert len(llm.requests) == 1
    await session.close()


async def test_leaving_the_iteration_interrupts_the_turn(tmp_path: Path):
    session, _ = open_session(tmp_path / "j", Stalling(), ECHO)
    records = session.send("go")
    async for record in records:
        if isinstance(record.event, StepStarted):
            break
    await records.aclose()
    assert not session.busy
    assert not session.state.open
    await session.close()


async def test_two_turns_at_once_are_refused(tmp_path: Path):
    session, _ = open_session(tmp_path / "j", Stalling(), ECHO)
    first = session.send("go")
    await anext(first)
    with pytest.raises(UserError, match="busy"):
        await send(session, "and this")
    await first.aclose()
    await session.close()


async def test_a_provider_failure_ends_the_turn_and_not_the_session(tmp_path: Path):
    llm = Scripted([LlmDownError("down", "try later", partial="Half"), reply("Whole.")])
    session, _ = open_session(tmp_path / "j", llm, ECHO)
    records = await send(session, "go")
    finished = records[-1].event
    assert isinstance(finished, TurnFinished) and finished.problem is not None
    assert finished.problem.kind == "LlmDownError"
    assert finished.usage.cost is None
    await send(session, "again")
    texts = [m.text for m in llm.requests[1].messages if isinstance(m, AssistantMessage)]
    assert texts == ["Half"]
    await session.close()


async def test_a_failed_sync_is_reported_and_made_up_for(tmp_path: Path):
    llm = Scripted([reply("", call("echo")), reply("one"), reply("two")])
    session, bench = open_session(tmp_path / "j", llm, ECHO)
    bench.sync_failure = SyncError("the disk is full", "free some")
    records = await send(session, "go")
    finished = records[-1].event
    assert isinstance(finished, SyncFinished) and finished.problem is not None
    assert session.status().sync == "failed"
    bench.sync_failure = None
    records = await send(session, "only a question")
    assert names(records)[-1] == "SyncFinished"
    assert session.status().sync == "synced"
    await session.close()


async def test_a_lost_sandbox_is_no_result_and_the_next_turn_gets_a_new_one(tmp_path: Path):
    lost = [True]

    async def sometimes(arguments, context):
        if lost.pop():
            raise SandboxLost("it is gone")
        raise AssertionError

    llm = Scripted([reply("", call("work")), reply("", call("echo")), reply("ok")])
    session, _ = open_session(tmp_path / "j", llm, tool("work", sometimes), ECHO)
    records = await send(session, "go")
    turn = next(r.event for r in records if isinstance(r.event, TurnFinished))
    assert turn.problem is not None and turn.problem.kind == "SandboxLost"
    message = llm.requests[0].messages
    assert not any(isinstance(m, ToolMessage) and "gone" in str(m) for m in message)
    await send(session, "again")
    assert session.last_text == "ok"
    await session.close()


async def test_undo_takes_messages_and_changes_back(tmp_path: Path):
    llm = Scripted([reply("", call("echo")), reply("one"), reply("", call("echo")), reply("two")])
    session, bench = open_session(tmp_path / "j", llm, ECHO)
    await send(session, "first")
    kept = session.state.history.messages
    await send(session, "second")
    assert [r.event for r in [r async for r in session.undo()]][-1] is not None
    assert bench.calls[-1] == "undo tip-1"
    assert session.state.history.messages == kept
    async for _ in session.undo():
        pass
    assert bench.calls[-1] == "undo tip-0"
    assert session.state.history.messages == ()
    with pytest.raises(UserError, match="no turn"):
        async for _ in session.undo():
            pass
    await session.close()


async def test_a_session_cut_off_in_a_call_is_mended_on_resume(tmp_path: Path):
    hanging = Hanging()
    llm = Scripted([reply("", call("hang", "a"), call("echo", "b"))])
    session, _ = open_session(tmp_path / "j", llm, tool("hang", hanging.run), ECHO)
    records = session.send("go")
    async for record in records:
        if isinstance(record.event, CallStarted):
            await hanging.begun.wait()
            break
    image = (tmp_path / "j").read_bytes()
    await records.aclose()
    await session.close()
    (tmp_path / "killed").write_bytes(image + b'{"v":1,"se')

    again, bench = open_session(tmp_path / "killed", Scripted([reply("back")]), ECHO)
    kinds = [type(m).__name__ for m in again.state.history.messages]
    assert kinds == ["UserMessage", "AssistantMessage", "ToolMessage"]
    records = await send(again, "go on")
    assert names(records)[:5] == [
        "CallFinished",
        "CallStarted",
        "CallFinished",
        "StepFinished",
        "TurnFinished",
    ]
    assert names(records)[-1] == "SyncFinished"
    assert bench.calls[0].startswith("sync tip-0")
    await again.close()
    assert_nested(journal.read(tmp_path / "killed")[0])
    assert b'"se\n' not in (tmp_path / "killed").read_bytes()


async def test_resume_gives_the_state_that_was(tmp_path: Path):
    llm = Scripted([reply("", call("echo")), reply("one")])
    session, _ = open_session(tmp_path / "j", llm, ECHO)
    await send(session, "go")
    lived = session.state
    await session.close()
    read = State()
    for record in journal.read(tmp_path / "j")[0]:
        read.apply(record)
    assert read.history.messages == lived.history.messages
    assert (read.last, read.branch, read.usage, read.turn, read.tips) == (
        lived.last,
        lived.branch,
        lived.usage,
        lived.turn,
        lived.tips,
    )


async def test_a_journal_has_one_writer(tmp_path: Path):
    session, _ = open_session(tmp_path / "j", Scripted([]), ECHO)
    with pytest.raises(JournalError, match="in use"):
        open_session(tmp_path / "j", Scripted([]), ECHO)
    await session.close()
    again, _ = open_session(tmp_path / "j", Scripted([]), ECHO)
    await again.close()
    await again.close()


async def test_usage_of_a_turn_is_the_sum_of_its_replies(tmp_path: Path):
    spent = Usage(10, 4, 2, 0.25)
    lines = [
        AssistantMessage("", calls=(call("echo"),), stop="calls", usage=spent),
        AssistantMessage("done", usage=spent),
    ]
    session, _ = open_session(tmp_path / "j", Scripted(lines), ECHO)
    records = await send(session, "go")
    (finished,) = [r.event for r in records if isinstance(r.event, TurnFinished)]
    assert finished.usage == spent + spent == session.status().usage
    assert finished.steps == 2
    await session.close()


def test_text_that_is_no_unicode_is_recorded_with_marks(tmp_path: Path):
    log = journal.Journal(tmp_path / "j")
    event = CallStarted(call("bash", command="cat caf\udce9"), "bad \ud83d half")
    log.append(1, event)
    log.close()
    (record,), _ = journal.read(tmp_path / "j")
    assert isinstance(record.event, CallStarted)
    assert record.event.call.arguments == {"command": "cat caf?"}
    assert record.event.title == "bad ? half"


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path):
    log = journal.Journal(tmp_path / "j")
    log.append(1, CallStarted(call("a"), "a"))
    log.append(1, CallStarted(call("b"), "b"))
    log.close()
    first, second, _ = (tmp_path / "j").read_bytes().split(b"\n")
    (tmp_path / "j").write_bytes(first[:-3] + b"\n" + second + b"\n")
    with pytest.raises(JournalError, match="line 1 of"):
        journal.read(tmp_path / "j")


@pytest.mark.parametrize("cut", [1, 40, 90])
def test_a_torn_last_line_is_cut_off_and_written_again(tmp_path: Path, cut: int):
    log = journal.Journal(tmp_path / "j")
    log.append(1, CallStarted(call("a"), "a"))
    log.append(1, CallStarted(call("b"), "b"))
    log.close()
    whole = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(whole[:-cut])
    log = journal.Journal(tmp_path / "j")
    assert len(log.records) == 1
    log.append(1, CallStarted(call("c"), "c"))
    log.close()
    records, _ = journal.read(tmp_path / "j")
    assert [(r.seq, r.event.title) for r in records if isinstance(r.event, CallStarted)] == [
        (0, "a"),
        (1, "c"),
    ]


async def test_records_of_every_version_load():
    stored, _ = journal.read(Path(__file__).parent / "journals" / "v1.jsonl")
    state = State()
    for record in stored:
        state.apply(record)
    assert [type(m) for m in state.history.messages] == [
        UserMessage,
        AssistantMessage,
        ToolMessage,
        AssistantMessage,
    ]
    assert state.sync == "synced"


@pytest.mark.parametrize(
    ("request_", "subject"),
    [
        ("Fix the bug. Then rest.", "Fix the bug"),
        ("  do\n it  ", "do it"),
        ("word " * 30, "word " * 12 + "word…"),
        ("x" * 100, "x" * 67 + "…"),
        ("", "Work of the agent"),
    ],
)
async def test_the_subject_is_the_first_sentence(tmp_path: Path, request_: str, subject: str):
    llm = Scripted([reply("", call("echo")), reply("done")])
    session, bench = open_session(tmp_path / "j", llm, ECHO)
    await send(session, request_)
    assert bench.calls == [f"sync tip-0 {subject}"]
    await session.close()


async def test_questions_of_hosts_are_closed_and_what_was_allowed_is_remembered(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.jsonl"
    session, bench = open_session(path, Scripted([]))
    for identity in ("a", "b", "c"):
        session.emit(EgressAsked(identity, f"{identity}.example", 443))
    session.emit(EgressAnswered("a", "a.example", 443, allowed=True, remember=True))
    session.emit(EgressAnswered("b", "b.example", 443, allowed=True))
    assert session.answer_egress("c", allow=True)
    assert bench.calls == ["answer c True False"]
    await session.close()

    again, _ = open_session(path, Scripted([]))
    assert again.state.asked == {}
    assert again.state.allowed_hosts == ["a.example:443"]
    await again.close()
    stored, _ = journal.read(path)
    assert stored[-1].event == EgressAnswered("c", "c.example", 443, allowed=False)
