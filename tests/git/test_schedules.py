"""Random schedules of users, agents, crashes: no commit, no byte lost, and what is shown is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.git.schedules import Template, play


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.make(tmp_path_factory.mktemp("template"))


@pytest.mark.parametrize("seed", range(12))
def test_a_few_schedules(template: Template, tmp_path: Path, seed: int) -> None:
    play(template, tmp_path / "world", seed)
