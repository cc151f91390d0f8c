"""Another model in the middle of a session: journalled, and there again when it is resumed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.core.events import ModelChanged, TurnStarted
from agent.core.messages import AssistantMessage
from agent.session.session import Session
from agent.testing.model import Scripted
from tests.session.rig import open_session, send


def _session(path: Path, **models: Scripted) -> Session:
    session, _ = open_session(path, models["m"])
    parts = session._parts  # pyright: ignore[reportPrivateUsage]
    assert parts is not None
    session._parts = dataclasses.replace(parts, model="m", models=models.__getitem__)  # pyright: ignore[reportPrivateUsage]
    return session


async def test_another_model_answers_from_the_next_turn_on(tmp_path: Path) -> None:
    old, new = Scripted([AssistantMessage("old")]), Scripted([AssistantMessage("new")])
    session = _session(tmp_path / "journal", m=old, n=new)

    await send(session, "one")
    session.change_model("n")
    records = await send(session, "two")

    assert session.last_text == "new"
    assert [request.model for request in new.requests] == ["n"]
    assert len(new.requests[0].messages) == 3
    assert session.status().model == session.state.model == "n"
    assert [r.event for r in records if isinstance(r.event, ModelChanged)] == [ModelChanged("n")]
    await session.close()

    again, _ = open_session(tmp_path / "journal", old)
    assert again.state.model == "n"
    await again.close()


async def test_a_running_turn_keeps_its_model(tmp_path: Path) -> None:
    session = _session(tmp_path / "journal", m=Scripted([AssistantMessage("old")]))

    async for record in session.send("one"):
        if isinstance(record.event, TurnStarted):
            with pytest.raises(UserError, match="busy"):
                session.change_model("n")

    assert session.state.model == "scripted"
    await session.close()
