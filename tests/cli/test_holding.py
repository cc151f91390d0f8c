"""What a sync held back, as a person meets it."""

from __future__ import annotations

import pytest

from agent.cli.crossing import READ_SECONDS
from agent.cli.holding import Holding
from agent.core.events import SyncFinished, TurnStarted
from agent.core.messages import UserMessage
from tests.cli.talking import begin, quit_, say_to
from tests.e2e.rig import User
from tests.servers.openai import OpenAIServer, call, reply, say
from tests.terminal import Terminal

HELD = SyncFinished("glovebox/1", "c", held=(".env", "key.pem"))
TURN = TurnStarted(UserMessage("x"))


class Case:
    def __init__(self) -> None:
        self.now = 100.0
        self.decided: list[bool] = []
        self.holding = Holding(self.decided.append, lambda: self.now)

    def read(self) -> None:
        self.now += READ_SECONDS

    @property
    def shown(self) -> str:
        return " ".join(text for line in self.holding.area() for _, text in line)


@pytest.fixture
def case() -> Case:
    return Case()


@pytest.mark.parametrize(("key", "take"), [("1", False), ("2", True)])
def test_one_key_decides(case: Case, key: str, take: bool) -> None:
    case.holding.apply(HELD)
    assert "2 new files stayed inside" in case.shown
    case.read()
    assert case.holding.press(key)
    assert (case.decided, case.shown) == ([take], "")


def test_a_key_that_comes_too_soon_or_means_nothing_is_none(case: Case) -> None:
    assert not case.holding.press("1")
    case.holding.apply(HELD)
    assert not case.holding.press("1")
    case.read()
    assert not case.holding.press("3")
    assert case.decided == []


def test_what_was_passed_over_is_not_asked_again(case: Case) -> None:
    case.holding.apply(HELD)
    case.holding.apply(TURN)
    assert case.shown == ""
    case.holding.apply(HELD)
    assert case.shown == ""
    case.holding.apply(SyncFinished("glovebox/1", "c", held=(".env",)))
    assert "1 new file stayed inside" in case.shown


def test_nothing_held_is_nothing_shown(case: Case) -> None:
    case.holding.apply(HELD)
    case.holding.apply(SyncFinished("glovebox/1", "c"))
    assert case.shown == ""


@pytest.mark.slow
@pytest.mark.sandbox
def test_at_a_terminal(tty: Terminal, user: User) -> None:
    user.start()
    made = call("bash", {"command": "echo K=v >.env; echo x >work.txt"})
    with OpenAIServer([reply("", made), say("made"), say("and again")]) as server:
        begin(tty, user, server)
        say_to(tty, "make it")
        tty.wait_for("1 new file stayed inside")
        assert "`.env` has the name of a secret" in tty.transcript()
        while "/take" not in tty.transcript():
            tty.key("2")  # not taken before it could be read
            tty.key("BSpace")
        tty.wait_for(lambda text: "glovebox/1 is at" in text.partition("/take")[2])
        quit_(tty)
    assert user.git("show", "glovebox/1:.env") == "K=v"
    assert user.git("show", "glovebox/1~1:work.txt") == "x"
