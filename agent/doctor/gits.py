"""Which known holes a version of git has: the host runs it on what a sandbox made.

By number alone. Distributions mend older numbers, so the newest holes are named and no more; below
the releases of 2024 a version is one to be replaced.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hole:
    """What it is called, and the first release of each series without it."""

    name: str
    fixed: str
    old: bool = False

    def is_in(self, version: tuple[int, ...]) -> bool:
        """Whether a version has it. A series that got no release of its own was not mended."""
        mended = [tuple(map(int, one.split("."))) for one in self.fixed.split()]
        series = [one for one in mended if one[:2] == version[:2]]
        if series:
            return version < series[0]
        return version < mended[-1]


HOLES = (
    Hole(
        "CVE-2022-39253",
        "2.30.6 2.31.5 2.32.4 2.33.5 2.34.5 2.35.5 2.36.3 2.37.4 2.38.1",
        old=True,
    ),
    Hole(
        "CVE-2022-23521, CVE-2022-41903",
        "2.30.7 2.31.6 2.32.5 2.33.6 2.34.6 2.35.6 2.36.4 2.37.5 2.38.3 2.39.1",
        old=True,
    ),
    Hole(
        "CVE-2023-22490, CVE-2023-23946",
        "2.30.8 2.31.7 2.32.6 2.33.7 2.34.7 2.35.7 2.36.5 2.37.6 2.38.4 2.39.2",
        old=True,
    ),
    Hole(
        "CVE-2023-25652, CVE-2023-29007",
        "2.30.9 2.31.8 2.32.7 2.33.8 2.34.8 2.35.8 2.36.6 2.37.7 2.38.5 2.39.3 2.40.1",
        old=True,
    ),
    Hole(
        "CVE-2024-32002, CVE-2024-32004, CVE-2024-32465",
        "2.39.4 2.40.2 2.41.1 2.42.2 2.43.4 2.44.1 2.45.1",
        old=True,
    ),
    Hole(
        "CVE-2024-50349, CVE-2024-52006",
        "2.40.4 2.41.3 2.42.4 2.43.6 2.44.3 2.45.3 2.46.3 2.47.2 2.48.1",
    ),
    Hole(
        "CVE-2025-48384, CVE-2025-48385",
        "2.43.7 2.44.4 2.45.4 2.46.4 2.47.3 2.48.2 2.49.1 2.50.1",
    ),
)


def holes_of(told: str) -> tuple[Hole, ...]:
    """The known holes of the git whose `git --version` is given."""
    numbers = re.search(r"\d+(?:\.\d+)+", told)
    if not numbers:
        return ()
    version = tuple(map(int, numbers[0].split(".")))
    version = (*version, 0, 0)[: max(3, len(version))]
    return tuple(hole for hole in HOLES if hole.is_in(version))
