"""A session whose sandbox is gone: what was carried out of it before still comes home."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.errors import SandboxLost
from agent.core.events import AnyEvent, Notice, SandboxState, Seeded, SessionStarted
from agent.sandbox.protocol import SandboxSpec
from agent.session.state import State
from agent.workplace import Workplace
from tests.git.conftest import Start
from tests.git.test_crash import no_fetch
from tests.git.users import User


class Gone:
    """Where sandboxes were."""

    name = "gone"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"`{name}` was asked of it")

    async def attach(self, ref: str, spec: SandboxSpec) -> Any:
        raise SandboxLost("it is gone", "start a new session")


def state_of(seeded: Seeded) -> State:
    state = State()
    state.started = SessionStarted("s1", 1, "p", "m", "gone", "none")
    state.seeded, state.sandbox_ref, state.planted = seeded, "gone:1", True
    return state


async def test_it_is_replayed_before_the_sandbox_is_looked_for(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "made\n")
    with no_fetch(run):
        assert (await run.go()).problem is not None
    shown: list[AnyEvent] = []
    place = Workplace(Gone(), SandboxSpec("s1"), run.sync, state_of(run.seeded), shown.append)

    with pytest.raises(SandboxLost):
        await place.ready()

    assert user.git("show", "glovebox/1:made.txt") == "made"
    notice = shown[1]
    assert isinstance(shown[0], SandboxState) and isinstance(notice, Notice)
    assert "is on glovebox/1 now" in notice.text
    assert await place.standing() == "synced"


async def test_what_cannot_be_asked_is_said(user: User, start: Start) -> None:
    run = await start(user)
    state = state_of(run.seeded)
    place = Workplace(Gone(), SandboxSpec("s1"), run.sync, state, lambda _: None)
    assert await place.standing() == "synced"
    state.sync = "ahead"
    assert (await place.standing()).startswith("failed (its sandbox is not running")
    state.sync = "synced"
    with no_fetch(run):
        run.agent.write("made.txt", "made\n")
        await run.go()
    assert (await place.standing()).startswith("failed (`git fetch` failed")
