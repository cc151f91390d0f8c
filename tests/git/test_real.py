"""The project's own repository as a user's: whatever its history holds is the same inside."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.git.conftest import Start
from tests.git.users import User, look

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
async def test_the_projects_own_history_is_the_same_inside(start: Start, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    user = User(clone)
    before = look(user)

    run = await start(user)

    graph = ("log", "--topo-order", "--format=%H %P %T %an %ae %at %s", "HEAD")
    assert run.agent.git(*graph) == user.git(*graph)
    tags = ("for-each-ref", "--merged=HEAD", "--format=%(objectname) %(refname)", "refs/tags/")
    assert run.agent.git(*tags) == user.git(*tags)
    assert run.agent.git("status", "--porcelain") == ""
    run.agent.git("fsck", "--full")
    run.agent.write("made.txt")
    assert (await run.go()).problem is None
    assert run.inside.taken < 2_000
    assert look(user) == before
