"""Settings and hosts that a person chose for one session: journalled, applied, not a fork's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.core.events import HostAllowed, TurnStarted
from agent.core.messages import AssistantMessage
from agent.session import journal
from agent.session.fork import folded, forked
from agent.session.session import Parts, Session
from agent.testing.model import Scripted
from tests.session.rig import Bench, open_session, send


def opened(path: Path, model: Scripted) -> tuple[Session, Bench, list[tuple[str, dict[str, str]]]]:
    """A session whose parts are asked for anew when something is chosen."""
    session, bench = open_session(path, model)
    parts = session._parts  # pyright: ignore[reportPrivateUsage]
    assert parts is not None
    asked: list[tuple[str, dict[str, str]]] = []

    def tuned(name: str, chosen: Mapping[str, str]) -> Parts:
        asked.append((name, dict(chosen)))
        return dataclasses.replace(parts, model=f"{name} {chosen['effort']}", tuned=tuned)

    session._parts = dataclasses.replace(parts, tuned=tuned)  # pyright: ignore[reportPrivateUsage]
    return session, bench, asked


async def test_what_is_chosen_holds_from_the_next_turn_on_and_is_journalled(tmp_path: Path) -> None:
    model = Scripted([AssistantMessage("one"), AssistantMessage("two")])
    session, bench, asked = opened(tmp_path / "j", model)
    async for record in session.send("one"):
        if isinstance(record.event, TurnStarted):
            with pytest.raises(UserError, match="busy"):
                session.choose("effort", "low")
    session.choose("effort", "high")
    session.choose("weak_model", "small")
    await send(session, "two")
    session.allow_host(" example.com ")
    await session.close()

    both = {"effort": "high", "weak_model": "small"}
    assert asked == [("scripted", {"effort": "high"}), ("scripted high", both)]
    assert [request.model for request in model.requests] == ["scripted", "scripted high high"]
    assert "allow  example.com " in bench.calls
    records, _ = journal.read(tmp_path / "j")
    state = folded(records)
    assert (state.chosen, state.allowed_hosts) == (both, ["example.com"])
    assert state.started is not None
    fork = folded(forked(records, state.started))
    assert (fork.chosen, fork.allowed_hosts) == (both, [])
    kept = [type(record.event) for record in forked(records, state.started)]
    assert HostAllowed in [type(record.event) for record in records] and HostAllowed not in kept
