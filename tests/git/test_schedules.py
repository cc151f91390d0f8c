"""Random schedules of users, agents and crashes: nothing is lost, and what is shown is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.git.schedules import Template, play

ALL, AT_ONCE = 2_000, 20


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.make(tmp_path_factory.mktemp("schedules") / "template")


@pytest.mark.parametrize("seed", range(10))
def test_a_schedule(template: Template, tmp_path: Path, seed: int) -> None:
    play(template, tmp_path / "world", seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(0, ALL, AT_ONCE))
def test_two_thousand_schedules(template: Template, tmp_path: Path, first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        play(template, tmp_path / str(seed), seed)
