"""What sessions may spend and what has to succeed in them, as the settings say.

Part of the composition root.
"""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from agent.app.models import price_of
from agent.config import Brake, Settings
from agent.loop.brakes import Budget, Caps
from agent.session.checks import Commands
from agent.session.purse import Allowed

N = TypeVar("N", int, float)


def allowed(settings: Settings, tree: Budget | None = None) -> Allowed:
    """The limits level by level; where two are set for one thing, the lower holds.

    Sessions with the same `tree` share what that may spend.
    """
    of = settings.budgets.session
    session = Caps(
        _lower(of.cost, settings.max_cost),
        _lower(of.tokens, settings.max_tokens),
        of.steps,
        of.seconds,
        of.sandbox_seconds,
    )
    return Allowed(
        turn=_caps(settings.budgets.turn),
        run=Caps(seconds=settings.deadline),
        session=session,
        turns=settings.max_turns,
        tree=tree or tree_of(settings),
        price_of=partial(price_of, settings=settings),
    )


def tree_of(settings: Settings) -> Budget:
    """What sessions that are begun together may spend."""
    return Budget("tree", _caps(settings.budgets.tree))


def checks_of(settings: Settings, *, always: bool) -> Commands:
    """What is run after a turn; with `always` tests also after one that used no tool."""
    lint, test, until = settings.lint_cmd, settings.test_cmd, settings.until
    return Commands(lint, test, until, settings.tries, always)


def _caps(of: Brake) -> Caps:
    return Caps(of.cost, of.tokens, of.steps, of.seconds, of.sandbox_seconds)


def _lower(one: N | None, other: N | None) -> N | None:
    return min((each for each in (one, other) if each is not None), default=None)
