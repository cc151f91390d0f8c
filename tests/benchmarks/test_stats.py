"""Against values worked out by hand."""

from __future__ import annotations

import pytest

from benchmarks.stats import bootstrap, least_split, mcnemar, pass_at, wilson


def test_wilson() -> None:
    # z² = 3.841459; (5/10 + z²/20 ± z·sqrt(1/40 + z²/400)) / (1 + z²/10)
    assert wilson(5, 10) == pytest.approx((0.236593, 0.763407), abs=1e-6)
    # z²/(10 + z²) of what is left, and nothing below 0
    assert wilson(0, 10) == pytest.approx((0.0, 3.841459 / 13.841459), abs=1e-6)
    assert wilson(10, 10) == pytest.approx((10 / 13.841459, 1.0), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)


def test_half_the_width_is_what_so_many_tasks_carry() -> None:
    half = {n: (b - a) * 50 for n in (50, 225, 500) for a, b in [wilson(n // 2, n)]}
    assert half == pytest.approx({50: 13.4, 225: 6.5, 500: 4.4}, abs=0.1)


def test_mcnemar() -> None:
    # 2 · (1 + 10) / 2^10 and 2 · (1 + 6) / 2^6
    assert mcnemar(9, 1) == mcnemar(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar(5, 1) == pytest.approx(14 / 64)
    assert mcnemar(6, 0) == pytest.approx(2 / 64)
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(0, 0) == 1.0


def test_the_least_split_that_says_something() -> None:
    assert (least_split(20), least_split(40)) == (15, 27)
    assert least_split(6) == 6
    assert least_split(5) == 6  # 5 to 0 is 2/32


def test_bootstrap_is_the_same_with_the_same_seed() -> None:
    assert bootstrap([1.0] * 8) == (1.0, 1.0)
    assert bootstrap([]) == (0.0, 0.0)
    differences = [1.0] * 10 + [0.0] * 80 + [-1.0] * 10
    low, high = bootstrap(differences, seed=1)
    assert (low, high) == bootstrap(differences, seed=1)
    # the mean of 100 with variance 0.2: 1.96 · sqrt(0.2 / 100) = 0.0877
    assert (low, high) == pytest.approx((-0.0877, 0.0877), abs=0.011)


def test_pass_at_k() -> None:
    assert pass_at(1, 4, 1) == pytest.approx(1 / 4)
    assert pass_at(2, 4, 1) == pytest.approx(1 - 3 / 6)
    assert pass_at(2, 4, 3) == 1.0
    assert pass_at(3, 3, 0) == 0.0
