"""What may be spent and what is to succeed, as the user's configuration says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.app.means import allowed, checks_of
from agent.core.errors import ConfigError
from agent.loop.brakes import Budget, Caps
from agent.session.checks import Commands
from tests.egress.test_settings import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_every_level_has_its_limits_and_the_lower_one_holds(place: Place):
    place.user(
        "max_cost: 5\nmax_tokens: 900\ndeadline: 60\nmax_turns: 4\n"
        "budgets:\n  turn: {cost: 1, steps: 9}\n  session: {cost: 7, tokens: 800, seconds: 30}\n"
        "  tree: {sandbox_seconds: 600}\n"
    )
    found = allowed(place.load())
    assert found.turn == Caps(money=1, steps=9)
    assert found.session == Caps(money=5, tokens=800, seconds=30)
    assert found.run == Caps(seconds=60)
    assert found.tree.caps == Caps(sandbox_seconds=600)
    assert found.turns == 4


def test_sessions_may_share_a_tree(place: Place):
    tree = Budget("tree")
    assert allowed(place.load(), tree).tree is tree


def test_the_environment_sets_them(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GLOVEBOX_MAX_COST", "2.5")
    monkeypatch.setenv("GLOVEBOX_BUDGETS", "turn.cost=1 tree.steps=50")
    found = allowed(place.load())
    assert (found.session.money, found.turn.money, found.tree.caps.steps) == (2.5, 1.0, 50)


def test_the_repository_may_lower_and_never_raise(place: Place):
    place.user("max_cost: 5\nsteps: 9\nbudgets: {turn: {cost: 1}}\n")
    place.repo("max_cost: 50\nsteps: 3\nbudgets: {turn: {cost: 2, tokens: 70}, tree: {cost: 8}}\n")
    settings = place.load()
    found = allowed(settings)
    assert (found.session.money, settings.steps) == (5.0, 3)
    assert found.turn == Caps(money=1, tokens=70)
    assert found.tree.caps == Caps(money=8)


@pytest.mark.parametrize("key", ["test_cmd", "lint_cmd", "until", "tries"])
def test_the_repository_sets_no_commands(place: Place, key: str):
    place.repo(f"{key}: 1\n")
    with pytest.raises(ConfigError):
        place.load()


@pytest.mark.parametrize(
    "text", ["max_cost: -1", "max_turns: many", "deadline: .nan", "budgets: {turn: {money: 1}}"]
)
def test_what_does_not_fit_is_named(place: Place, text: str):
    place.user(text + "\n")
    with pytest.raises(ConfigError) as raised:
        place.load()
    assert text.partition(":")[0] in raised.value.message


def test_commands_come_from_the_settings(place: Place):
    place.user("test_cmd: make test\nlint_cmd: ruff\nuntil: 'true'\ntries: 2\n")
    settings = place.load()
    assert checks_of(settings, always=True) == Commands("ruff", "make test", "true", 2, True)
