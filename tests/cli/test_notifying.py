"""The person's own bell or command, at the end of what took long."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.cli.notifying import LONG_SECONDS, Notifying
from agent.config import load
from agent.core.errors import ConfigError
from agent.core.events import TurnFinished, TurnStarted, UserAsked
from agent.core.messages import Usage, UserMessage

BEGUN = TurnStarted(UserMessage("go"))
OVER = TurnFinished("done", Usage(), 1)


class Watch:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def ended(notifying: Notifying) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others)


def test_a_command_is_told_when_it_took_long_and_only_then(tmp_path: Path) -> None:
    script, said = tmp_path / "tell me", tmp_path / "said"
    script.write_text(
        '#!/bin/sh\nprintf "%s|" "$@" >> "$0/../said"\n'.replace("$0/..", str(tmp_path))
    )
    script.chmod(0o755)
    complaints: list[str] = []

    async def run() -> None:
        watch = Watch()
        notifying = Notifying(f"'{script}' 'a b'", complaints.append, watch)
        for seconds, event in ((0, BEGUN), (LONG_SECONDS - 1, OVER), (0, BEGUN)):
            watch.now += seconds
            notifying.apply(event)
        await ended(notifying)
        assert not said.exists()
        watch.now += LONG_SECONDS
        notifying.apply(UserAsked("1", "?"))
        await ended(notifying)
        notifying.apply(OVER)
        await ended(notifying)

    asyncio.run(run())
    assert said.read_text() == "a b|there is a question|a b|the turn is over|"
    assert complaints == []


@pytest.mark.parametrize(
    ("how", "why"), [("/no/such/program", "No such file"), ("sh -c 'echo no >&2; exit 3'", "3: no")]
)
def test_a_command_that_fails_is_named(how: str, why: str) -> None:
    complaints: list[str] = []

    async def run() -> None:
        notifying = Notifying(how, complaints.append, Watch())
        notifying.apply(OVER)
        await ended(notifying)

    asyncio.run(run())
    assert len(complaints) == 1
    assert why in complaints[0]


def test_the_bell_rings(capfd: pytest.CaptureFixture[str]) -> None:
    watch = Watch()
    for how in ("", "bell"):
        notifying = Notifying(how, lambda _: None, watch)
        notifying.apply(BEGUN)
        watch.now += LONG_SECONDS
        notifying.apply(OVER)
    assert capfd.readouterr().out == "\a"


def test_a_repository_cannot_have_anything_run(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".glovebox.yml").write_text("notify: touch /tmp/owned\n")

    with pytest.raises(ConfigError, match="not the repository's to set"):
        load(tmp_path, {})
    (tmp_path / ".glovebox.yml").unlink()
    with pytest.raises(ConfigError, match="closing quotation"):
        load(tmp_path, {"notify": "say 'x"})
