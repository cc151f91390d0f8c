"""What counts can carry: intervals, paired tests. Pure functions."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

_Z = 1.959963984540054  # of 95 %


def wilson(passed: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a rate, as two shares; everything is possible without a trial."""
    if total == 0:
        return 0.0, 1.0
    share, square = passed / total, _Z * _Z
    middle = share + square / (2 * total)
    half = _Z * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    low, high = ((middle + side * half) / (1 + square / total) for side in (-1, 1))
    return max(0.0, low), min(1.0, high)


def mcnemar(better: int, worse: int) -> float:
    """The exact two-sided p of so many flips each way, if either way were as likely."""
    flips = better + worse
    if flips == 0:
        return 1.0
    tail = sum(math.comb(flips, k) for k in range(min(better, worse) + 1)) / 2**flips
    return min(1.0, 2 * tail)


def least_split(flips: int) -> int:
    """How many of so many flips must go one way for p < 0.05; more than `flips`: none is enough."""
    return next((k for k in range(flips + 1) if 2 * k > flips and mcnemar(k, flips - k) < 0.05),
                flips + 1)  # fmt: skip


def bootstrap(
    differences: Sequence[float], *, seed: int = 0, rounds: int = 10_000
) -> tuple[float, float]:
    """The 95 % interval of the mean of paired differences, one for each task, by resampling."""
    if not differences:
        return 0.0, 0.0
    rng, count = random.Random(seed), len(differences)
    means = sorted(sum(rng.choices(differences, k=count)) / count for _ in range(rounds))
    return means[int(0.025 * rounds)], means[min(rounds - 1, int(0.975 * rounds))]


def pass_at(k: int, total: int, passed: int) -> float:
    """The chance that of `k` of `total` independent attempts, `passed` of them good, one is."""
    return 1 - math.comb(total - passed, k) / math.comb(total, k)
