"""Budgets: nested, checked before, charged after, and held together while several ask at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.messages import Usage
from agent.loop.brakes import Budget, Caps, Reached, Spent, spent_by


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def used(money: float | None, tokens: int = 10) -> Usage:
    return Usage(prompt=tokens, cost=money)


def test_what_is_spent_below_is_spent_above():
    tree = Budget("tree")
    session = tree.child("session")
    turn, other = session.child("turn"), tree.child("session")
    turn.hold(Spent(money=1)).settle(used(0.25))
    other.hold(Spent(money=1)).settle(used(0.5))
    assert [b.spent.money for b in (turn, session, other, tree)] == [0.25, 0.25, 0.5, 0.75]
    assert (tree.spent.steps, tree.spent.tokens) == (2, 20)


@pytest.mark.parametrize("level", ["tree", "session", "turn", "task"])
def test_the_tightest_level_stops_it_before(level: str):
    caps = {level: Caps(money=1.0)}
    budget = Budget("tree", caps.get("tree", Caps()))
    for name in ("session", "turn", "task"):
        budget = budget.child(name, caps.get(name, Caps()))
    budget.hold(Spent(money=0.7)).settle(used(0.6))
    assert budget.left("money") == pytest.approx(0.4)
    with pytest.raises(Reached, match=rf"money of this {level} .*\$0.6000 of \$1.0000 is used"):
        budget.hold(Spent(money=0.41))
    assert budget.spent.money == 0.6
    budget.hold(Spent(money=0.4)).let_go()


def test_two_that_ask_at_once_cannot_break_it_together():
    session = Budget("session", Caps(money=1.0))
    one, two = session.child("task"), session.child("task")
    held = one.hold(Spent(money=0.6))
    assert two.left("money") == pytest.approx(0.4)
    with pytest.raises(Reached):
        two.hold(Spent(money=0.6))
    held.settle(used(0.1))
    held.settle(used(0.1))
    held.let_go()
    two.hold(Spent(money=0.6)).let_go()
    assert session.spent.money == 0.1 and session.left("money") == pytest.approx(0.9)


def test_a_refused_request_holds_nothing_at_any_level():
    session = Budget("session", Caps(money=0.1))
    turn = session.child("turn", Caps(money=1.0))
    with pytest.raises(Reached):
        turn.hold(Spent(money=0.2))
    assert turn.left("money") == pytest.approx(0.1)


def test_time_is_up_when_it_is_used_up():
    clock = Clock()
    session = Budget("session", Caps(seconds=10), clock=clock)
    turn = session.child("turn")
    with turn.running("seconds"):
        clock.now = 9.5
        turn.check()
        assert session.left("seconds") == 0.5
        clock.now = 10.0
        with pytest.raises(Reached) as reached:
            turn.check()
        assert (reached.value.kind, reached.value.budget) == ("seconds", session)
    clock.now = 50.0
    assert turn.spent.seconds == session.spent.seconds == 10.0


def test_times_side_by_side_add_up():
    clock = Clock()
    tree = Budget("tree", clock=clock)
    one, two = tree.child("session"), tree.child("session")
    with one.running("sandbox_seconds"):
        clock.now = 1.0
        with two.running("sandbox_seconds"):
            clock.now = 3.0
            assert tree.spent.sandbox_seconds == 5.0
    assert [b.spent.sandbox_seconds for b in (one, two, tree)] == [3.0, 2.0, 5.0]


def test_steps_and_tokens_are_counted():
    budget = Budget("turn", Caps(tokens=25, steps=2))
    budget.hold(Spent(tokens=20, steps=1)).settle(used(0.0, 10))
    with pytest.raises(Reached, match=r"tokens of this turn.*10 of 25 are used.*may take 16"):
        budget.hold(Spent(tokens=16, steps=1))
    budget.hold(Spent(tokens=15, steps=1)).settle(used(0.0, 1))
    with pytest.raises(Reached, match="2 of 2 are used"):
        budget.hold(Spent(tokens=1, steps=1))


def test_more_money_can_be_given():
    tree = Budget("tree", Caps(money=2.0))
    turn = tree.child("session", Caps(money=1.0)).child("turn")
    turn.charge(Spent(money=1.0))
    with pytest.raises(Reached):
        turn.hold(Spent(money=0.5))
    turn.grant(1.0)
    turn.hold(Spent(money=0.5)).let_go()
    assert tree.caps.money == 3.0


def test_what_is_not_on_record_is_told():
    told: list[tuple[Usage, str, bool]] = []
    session = Budget("session", tell=lambda *heard: told.append(heard))
    turn = session.child("turn", recorded=True)
    turn.hold(Spent()).settle(used(1.0))
    turn.hold(Spent()).let_go()
    assert told == []
    turn.hold(Spent()).settle(used(None), Usage(cost=2.0))
    turn.child("task").hold(Spent()).settle(used(3.0))
    turn.child("task").hold(Spent()).settle(used(None), Usage(prompt=5, cost=4.0))
    assert told == [
        (Usage(cost=2.0), "turn", True),
        (used(3.0), "task", False),
        (used(4.0, 15), "task", True),
    ]
    assert (session.spent.money, session.spent.unpriced) == (10.0, 0)


def test_a_price_nobody_knows_is_counted_as_such():
    assert spent_by(used(None)) == Spent(tokens=10, steps=1, unpriced=1)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.floats(0, 1, allow_nan=False), st.floats(0, 1, allow_nan=False)
        ),
        max_size=40,
    )
)
def test_no_order_of_requests_breaks_a_limit(asked: list[tuple[int, float, float]]):
    """Each request holds its worst, takes a part of it, some are open at the same time."""
    tree = Budget("tree", Caps(money=3.0))
    session = tree.child("session", Caps(money=2.0))
    levels = [tree, session, session.child("turn", Caps(money=1.0)), tree.child("session")]
    open_ones = []
    for which, most, share in asked:
        try:
            hold = levels[which].hold(Spent(money=most))
        except Reached:
            continue
        open_ones.append((hold, most * share))
        if len(open_ones) > 2:
            hold, took = open_ones.pop(0)
            hold.settle(used(took))
    for hold, took in open_ones:
        hold.settle(used(took))
    for level in levels:
        assert level.caps.money is None or level.spent.money <= level.caps.money + 1e-9
