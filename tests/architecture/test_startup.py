from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agent import __version__

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"litellm", "daytona", "git", "pygments", "prompt_toolkit", "yaml", "openai", "pydantic"}
HEAVIER = {*HEAVY, "asyncio", "click", "msgspec"}


def imported_by(*arguments: str) -> tuple[str, set[str]]:
    """What `python -m agent ARGUMENTS` prints, and the top-level modules that it imports."""
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", "-c", _RUN, str(ROOT), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [ln for ln in done.stderr.splitlines() if ln.startswith("import time:")]
    return done.stdout, {ln.rpartition("|")[2].strip().partition(".")[0] for ln in lines}


_RUN = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module("agent", run_name="__main__", alter_sys=True)
"""


def test_the_version_needs_next_to_nothing() -> None:
    printed, names = imported_by("--version")
    assert __version__ in printed
    assert "agent" in names
    assert names & HEAVIER == set()


def test_the_help_imports_nothing_heavy() -> None:
    printed, names = imported_by("--help")
    assert "--message" in printed
    assert names & HEAVY == set()
