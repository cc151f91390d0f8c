"""`--sandbox auto`: the first backend that really works, with the reason, and never the host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.core.errors import SandboxUnavailable
from agent.host import owner
from agent.sandbox import auto, bubblewrap
from agent.sandbox.docker import engine
from agent.sandbox.local import LocalBackend
from agent.sandbox.protocol import SandboxSpec
from tests.e2e.conftest import user
from tests.e2e.rig import User
from tests.sandbox_fixtures import sandbox_root

__all__ = ["user"]

pytestmark = pytest.mark.sandbox

SPEC = SandboxSpec("auto", network="none")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "_chosen", {})


@pytest.fixture
def root() -> Iterator[Path]:
    with sandbox_root() as made:
        yield made


@pytest.fixture
def no_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bubblewrap, "PROGRAM_PLACES", ())
    monkeypatch.setattr(engine, "PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))


async def test_local_is_taken_when_it_holds_and_nothing_is_left(root: Path) -> None:
    choice = await auto.choose(SPEC, root)
    assert (choice.backend, choice.passed_over) == ("local", ())
    assert "self-test passed" in choice.notice().text
    assert await LocalBackend(root).find({}) == ()
    assert owner.claimed() == ()


async def test_a_sandbox_that_starts_but_is_not_tight_is_passed_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tight = bubblewrap.options

    def loose(*args: Any, **more: Any) -> list[str]:
        words = tight(*args, **more)
        at = words.index("--seccomp")
        return [*words[:at], *words[at + 2 :]]

    monkeypatch.setattr(bubblewrap, "options", loose)
    monkeypatch.setattr(auto, "ORDER", ("local",))
    with pytest.raises(SandboxUnavailable, match="not tight: Seccomp is 0"):
        await auto.choose(SPEC, root)
    assert await LocalBackend(root).find({}) == ()


@pytest.mark.usefixtures("no_bubblewrap")
async def test_without_any_backend_there_is_none_and_each_reason_is_told(root: Path) -> None:
    with pytest.raises(SandboxUnavailable) as error:
        await auto.choose(SPEC, root)
    for word in ("not `local`", "bubblewrap", "not `docker`", "not `daytona`", "credentials"):
        assert word in error.value.message
    assert "install" in error.value.hint
    assert "glovebox doctor" in error.value.hint


@pytest.mark.usefixtures("no_bubblewrap")
async def test_daytona_is_taken_last_and_only_when_it_is_configured(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYTONA_API_KEY", "canary")
    choice = await auto.choose(SPEC, root)
    assert choice.backend == "daytona"
    notice = choice.notice()
    assert (notice.level, "bubblewrap" in notice.hint) == ("warning", True)
    assert "canary" not in notice.text + notice.hint


async def test_a_policy_that_a_backend_cannot_enforce_passes_it_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "ORDER", ("local",))
    with pytest.raises(SandboxUnavailable, match="cannot enforce the network policy `wide`"):
        await auto.choose(SandboxSpec("auto", network="wide"), root)
    assert (await auto.choose(SandboxSpec("auto", network=""), root)).backend == "local"


async def test_the_answer_is_kept_for_the_process_and_a_failure_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def fits(name: str, *_: object) -> str:
        tried.append(name)
        if len(tried) == 1:
            raise SandboxUnavailable("not yet")
        return "it works"

    monkeypatch.setattr(auto, "_fits", fits)
    monkeypatch.setattr(auto, "ORDER", ("local",))
    with pytest.raises(SandboxUnavailable):
        await auto.choose(SPEC, root)
    for _ in range(3):
        assert (await auto.choose(SPEC, root)).backend == "local"
    assert len(tried) == 2


def test_a_session_says_which_and_keeps_it(user: User) -> None:
    user.start()
    assert user.glovebox("shell", "--new", "--", "true").code == 0
    records = [msgspec.json.decode(x) for x in user.journals()[0].read_bytes().splitlines()]
    events = [record["event"] for record in records]
    assert (events[0]["type"], events[0]["sandbox"]) == ("SessionStarted", "local")
    said = [e["text"] for e in events if e["type"] == "Notice"]
    assert any("sandbox `local` was chosen" in text for text in said)
    again = user.glovebox(
        "shell", "1", "--", "echo", "x", environment={"GLOVEBOX_SANDBOX": "docker"}
    )
    assert (again.code, again.out) == (0, "x\n")
