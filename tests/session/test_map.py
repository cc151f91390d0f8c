"""The repository map in a conversation: never waited for, said once, the same after a resume."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from agent.core.events import Mapped, MessageFinished, TurnStarted
from agent.core.messages import AssistantMessage, ToolCall, ToolMessage, ToolResult, UserMessage
from agent.loop.history import History
from agent.session.place import Chart
from agent.session.session import Parts, Session
from agent.testing.model import Scripted
from agent.tools.base import Arguments, Tool, ToolContext, Toolset
from tests.session.rig import Bench, names, open_session, send

FILES = ["a.py", "b.py", "c.py"]
CHART = Chart("a.py\n1: def \x1b[2Jf()\nb.py\nc.py", FILES, 90, 90)
LOOK = AssistantMessage("", calls=(ToolCall("c1", "look", {}),), stop="calls")


class Nothing(Arguments):
    pass


def opened(path: Path, model: Scripted, tokens: int = 500) -> tuple[Session, Bench]:
    session, bench = open_session(path, model)

    async def look(_: Nothing, ctx: ToolContext) -> ToolResult:
        bench.charted.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return ToolResult(ctx.call_id, True, "seen", {"path": "/w/a.py", "hash": "h"})

    tool = Tool("look", "", Nothing, look, True, lambda _: "look")
    parts = Parts(model, "m", lambda: "s", (), Toolset([tool]), 20, map_tokens=tokens)
    session.equip(parts, bench)
    bench.chart = CHART
    return session, bench


async def test_a_request_goes_out_without_the_map_and_the_next_one_has_it(tmp_path: Path) -> None:
    model = Scripted([LOOK, AssistantMessage("done")])
    session, _ = opened(tmp_path / "j", model)
    records = await send(session, "fix f")
    assert model.requests[0].messages == (model.requests[0].messages[0],)
    assert isinstance(first := model.requests[0].messages[0], UserMessage) and first.text == "fix f"
    result = model.requests[1].messages[-1]
    assert isinstance(result, ToolMessage)
    assert result.results[0].text.startswith("seen\n\n[Repository map")
    assert "1: def ␛[2Jf()" in result.results[0].text
    assert names(records).count("Mapped") == 1
    # What was sent before stays as it was: a provider's cache knows it.
    assert model.requests[1].messages[:2] == (*model.requests[0].messages, LOOK)
    await session.close()


async def test_a_resumed_conversation_repeats_it_exactly(tmp_path: Path) -> None:
    model = Scripted([LOOK, AssistantMessage("done"), AssistantMessage("more")])
    session, _ = opened(tmp_path / "j", model)
    await send(session, "fix f")
    before = session.state.history.messages
    await session.close()
    again, bench = opened(tmp_path / "j", model)
    assert again.state.history.messages == before
    assert again.state.history.mapped == tuple(FILES)
    await send(again, "go on")
    assert model.requests[2].messages[: len(before)] == before
    # What was shown is not shown again, and what was read draws the next map near.
    assert bench.calls[0] == f"map fix f\ngo on 500 ['/w/a.py'] {FILES}"
    await again.close()


def test_a_map_that_is_ready_before_the_first_request_comes_with_the_message() -> None:
    history = History()
    for event in (
        TurnStarted(UserMessage("fix f")),
        Mapped("[map]", ("a.py",)),
        MessageFinished(AssistantMessage("ok")),
    ):
        history.apply(event)
    assert [getattr(m, "text", "") for m in history.messages] == ["fix f\n\n[map]", "ok"]


async def test_small_repositories_thin_maps_and_no_budget_get_none(tmp_path: Path) -> None:
    charts = [
        (msgspec.structs.replace(CHART, code_files=5), 500),
        (msgspec.structs.replace(CHART, files=["a.py"]), 500),
        (CHART, 0),
    ]
    for number, (chart, tokens) in enumerate(charts):
        session, bench = opened(
            tmp_path / str(number), Scripted([LOOK, AssistantMessage("done")]), tokens
        )
        bench.chart = chart
        assert "Mapped" not in names(await send(session, "fix f"))
        assert any(call.startswith("map") for call in bench.calls) is (tokens > 0)
        await session.close()


async def test_a_map_that_never_comes_holds_nobody(tmp_path: Path) -> None:
    model = Scripted([AssistantMessage("one"), AssistantMessage("two")])
    session, bench = opened(tmp_path / "j", model)
    assert "Mapped" not in names(await send(session, "a"))
    assert "Mapped" not in names(await send(session, "b"))
    assert not bench.charted.is_set()
    await session.close()


async def test_what_is_undone_may_be_shown_again(tmp_path: Path) -> None:
    session, _ = opened(tmp_path / "j", Scripted([LOOK, AssistantMessage("done")]))
    await send(session, "fix f")
    assert session.state.history.mapped == tuple(FILES)
    async for _ in session.undo():
        pass
    assert session.state.history.mapped == ()
    await session.close()
