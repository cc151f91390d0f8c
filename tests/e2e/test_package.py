"""What is installed is the same as what is checked out."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agent.host.files import package_texts
from tests.e2e.rig import User

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.sandbox
def test_the_wheel_runs_the_demo(user: User):
    # The build reads a copy: it must not depend on what git leaves out of a clone.
    source = user.home / "source"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    built = user.home / "dist"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    place = user.home / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    assert {
        str(p.relative_to(place / "agent/prompts")) for p in (place / "agent/prompts").rglob("*.md")
    } == set(package_texts("prompts"))
    assert "tests" not in {p.name for p in place.iterdir()}
    user.repo.mkdir()
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "agent", "demo"],
        cwd=user.repo,
        env=user.environment | {"PYTHONPATH": str(place), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "exactly as before" in ran.stdout
    assert "RECORDING" in ran.stdout


@pytest.mark.slow
@pytest.mark.sandbox
def test_the_demo_shows_each_step(user: User):
    user.repo.mkdir()
    ran = user.glovebox("demo")
    assert ran.code == 0, ran.err
    steps = [
        "RECORDING",
        "FAILED (failures=1)",
        "→ edit ledger/split.py",
        "Ran 2 tests",
        "OK",
        "/root/.ssh/id_*': No such file",
        "Network is unreachable",
        "✓ glovebox/1 is at",
        "+    share, rest = divmod(total, people)",
        "exactly as before",
        "?? TODO.txt",
    ]
    place = 0
    for step in steps:
        place = ran.out.find(step, place)
        assert place >= 0, (step, ran.out)
    assert not list((user.home / "tmp").iterdir())
    assert not (user.state / "glovebox/sessions").exists()
