"""The same road over the real local backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.git.repository import Repository
from agent.git.sync import Sync
from agent.host import env
from agent.sandbox.protocol import SandboxSpec
from agent.sandbox.registry import open_backend
from tests.git.users import User, look

ODD = b"sp ace\nnew\xff.txt"

pytestmark = pytest.mark.sandbox


async def test_seed_sync_undo_and_diff_over_bubblewrap(user: User, tmp_path: Path) -> None:
    user.write(ODD, "odd\n")
    user.write("run.sh", "#!/bin/sh\necho ran\n", 0o755)
    user.write(".env", "TOKEN=canary\n")
    before = look(user)
    backend = open_backend("local", env.sandbox_dir())
    sandbox = await backend.create(SandboxSpec(session="gittest1"))
    try:
        sync = Sync(await Repository.find(user.root), name="gittest1", branch="glovebox/1")
        seeded = await sync.seed(sandbox)
        script = "git log --oneline | wc -l && ./run.sh && git status --porcelain && ls -a"
        shown = (await sandbox.exec(["sh", "-c", script])).output.decode("utf-8", "replace")
        assert shown.startswith("4\nran\n.\n")
        assert ".env" not in shown
        await sandbox.exec(["sh", "-c", "echo made > made.txt; mkdir sub; git init -q sub"])

        done = await sync.run(sandbox, message="m")

        assert (done.problem, done.files, done.added) == (None, 1, 1)
        assert "`sub` is a git repository" in done.notes[0]
        assert ODD.decode("utf-8", "surrogateescape") in user.tree("glovebox/1")
        assert "made.txt" in await sync.diff(sandbox, base=seeded.tip)
        assert (await sync.undo(sandbox, to=seeded.tip)).was == done.commit
        assert (await sandbox.exec(["test", "-e", "made.txt"])).exit_code == 1
        assert look(user) == before
        user.git("fsck", "--strict")
    finally:
        await sandbox.close()
        await backend.destroy(sandbox.ref)
