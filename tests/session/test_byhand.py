"""A person's own commands: in order, told to the model, brought home, ended at any moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent.core.errors import SandboxLost
from agent.core.events import CallOutput, Ran
from agent.core.messages import ToolResult, UserMessage
from agent.session import journal
from agent.session.byhand import BY_HAND
from agent.session.fork import folded
from agent.session.session import Session
from agent.testing.model import Scripted
from agent.tools.base import Tool, ToolContext
from tests.loop.rig import reply
from tests.session.rig import names, open_session


class Bash(msgspec.Struct):
    command: str
    seconds: float


async def _run(given: Bash, ctx: ToolContext) -> ToolResult:
    ctx.on_output(f"{given.command} says\n")
    if given.command == "hang":
        await asyncio.sleep(3600)
    if given.command == "lose":
        raise SandboxLost("gone")
    code = 0 if given.command == "good" else 3
    details = {"exit_code": code}
    return ToolResult(ctx.call_id, code == 0, f"out\nExit code {code}", details=details)


BASH = Tool("bash", "", Bash, _run, reads_only=False, title=lambda _: "")


async def run(session: Session, command: str) -> list[str]:
    return names([record async for record in session.run(command)])


async def told(session: Session, model: Scripted, text: str) -> str:
    async for _ in session.send(text):
        pass
    last = model.requests[-1].messages[-1]
    assert isinstance(last, UserMessage)
    return last.text


async def test_it_runs_syncs_and_is_told_with_the_next_message_also_after_a_resume(
    tmp_path: Path,
) -> None:
    path, model = tmp_path / "j", Scripted([reply("fine"), reply("fine")])
    session, bench = open_session(path, model, BASH)
    expected = ["Entered", "CallOutput", "Ran", "SyncStarted", "SyncFinished"]
    assert [n for n in await run(session, "good") if n in expected] == expected
    assert bench.calls == ["sync tip-0 Run good"] and model.requests == []
    await run(session, "bad")
    await session.close()

    session, _ = open_session(path, model, BASH)
    text = await told(session, model, "what was that?")
    assert text.startswith("what was that?\n\n[Before this message the user ran")
    assert text.index("$ good\nout\nExit code 0") < text.index("$ bad\nout\nExit code 3")
    assert await told(session, model, "and now?") == "and now?"
    await session.close()


async def test_an_interrupt_ends_it_and_what_it_did_comes_home(tmp_path: Path) -> None:
    session, bench = open_session(tmp_path / "j", Scripted([reply("fine")]), BASH)
    seen: list[str] = []
    async for record in session.run("hang"):
        seen.append(type(record.event).__name__)
        if isinstance(record.event, CallOutput):
            assert record.event.call_id == BY_HAND and session.interruptible
            session.interrupt()
        if isinstance(record.event, Ran):
            assert record.event.exit_code is None and "hang says" in record.event.text
    assert seen[-3:] == ["Ran", "SyncStarted", "SyncFinished"]
    assert bench.calls == ["sync tip-0 Run hang"] and not session.interruptible
    await session.close()


async def test_a_sandbox_that_is_lost_meanwhile_leaves_a_whole_record(tmp_path: Path) -> None:
    session, _ = open_session(tmp_path / "j", Scripted([]), BASH)
    with pytest.raises(SandboxLost):
        await run(session, "lose")
    await session.close()
    state = folded(journal.read(tmp_path / "j")[0])
    assert not state.syncing and not state.open
