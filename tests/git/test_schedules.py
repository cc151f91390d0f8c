"""Random schedules of users, agents and crashes: nothing is lost, and what is shown is true."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.git.schedules import Template, play

ALL, AT_ONCE = 2_000, 20


MEMORY = Path("/dev/shm")
ROOM = 500_000_000  # bytes; containers often have less, and others use it too


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """Where worlds are made, and all that is temporary: in memory, where there is a place for it.

    Most of what git does in a repository of three files is to wait for the disk.
    """
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        yield tmp_path_factory.mktemp("schedules")
        return
    with (
        tempfile.TemporaryDirectory(dir=MEMORY, prefix="schedules-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture(scope="module")
def template(place: Path) -> Template:
    return Template.make(place / "template")


@pytest.mark.parametrize("seed", range(10))
def test_a_schedule(template: Template, place: Path, seed: int) -> None:
    play(template, place / f"world{seed}", seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("first", range(0, ALL, AT_ONCE))
def test_two_thousand_schedules(template: Template, place: Path, first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        play(template, place / str(seed), seed)
