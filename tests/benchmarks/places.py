"""Where tests grade and try tasks for real, with what sandboxes of tests have inside."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import pwd
import zipfile
from collections.abc import Generator
from pathlib import Path

import pytest

from agent.config import Settings
from agent.core.errors import UserError
from agent.host import env, files
from benchmarks.grading import Place, Turns
from benchmarks.needs import check_needs
from benchmarks.suites.polyglot import load
from benchmarks.tasks import Task
from tests.benchmarks.exercises import lay_out

_PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments")


@contextlib.contextmanager
def a_place() -> Generator[Place]:
    """A run's folder; no sandbox may be left of it."""
    with files.temporary_dir("gb-", shared=True) as folder:
        yield Place(folder, Settings(sandbox="local"), Turns(1))
        assert files.children(env.sandbox_dir(folder / "state")) == []


def toolchains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have sandboxes see the Rust of who runs the tests, as those of users do."""
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    monkeypatch.setenv("RUSTUP_HOME", str(home / ".rustup"))


def a_task(folder: Path, language: str) -> Task:
    """The made-up exercise of a language; Python's brings pytest along."""
    (task,) = load(lay_out(folder, language))
    return _with_pytest(task) if language == "python" else task


async def require(task: Task, place: Place) -> None:
    """Skip the test where a sandbox has not what the task's tests need."""
    try:
        await check_needs([task], place)
    except UserError as error:
        pytest.skip(f"{error.message}: {error.hint}")


def _with_pytest(task: Task) -> Task:
    assert task.grader is not None
    site, packed = Path(pytest.__file__).parent.parent, io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in _PYTEST:
            for path in sorted((site / name).rglob("*.py")):
                archive.write(path, path.relative_to(site))
        archive.write(site / "py.py", "py.py")
    script = f"""python3 -m zipfile -e "$CHECK/pytest.zip" /tmp/pytest
export PYTHONPATH=/tmp/pytest PYTHONDONTWRITEBYTECODE=1
{task.grader.script}"""
    needs = (("python3 -c 'import sys; assert sys.version_info >= (3, 10)'", "Python 3.10"),)
    grader = dataclasses.replace(task.grader, script=script, needs=needs)
    return dataclasses.replace(task, grader=grader, hidden={"pytest.zip": packed.getvalue()})
