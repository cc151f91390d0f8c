"""Sessions that begin elsewhere than where the user stands, and several that begin alike."""

from __future__ import annotations

from pathlib import Path

from agent.git.packing import Packing
from agent.git.repository import Repository
from agent.git.rules import Rules
from agent.git.sync import Sync
from tests.git.conftest import Start
from tests.git.hostdir import HostDir
from tests.git.users import User, look


async def test_another_commit_goes_in_as_it_is(user: User, start: Start) -> None:
    base = user.git("rev-parse", "HEAD~1")
    user.write("a.txt", "uncommitted\n")
    user.write("new.txt", "untracked\n")
    before = look(user)
    run = await start(user, rules=Rules(base=base))
    assert (run.seeded.base, run.seeded.tip) == (base, base)
    assert run.agent.git("log", "--format=%H") == user.git("log", "--format=%H", base)
    assert sorted(run.agent.tree("HEAD")) == ["a.txt", "dir/b.txt"]
    assert run.agent.git("status", "--porcelain") == ""
    run.agent.write("made.txt", "made\n")
    done = await run.go()
    assert done.problem is None
    assert user.git("rev-parse", "glovebox/1~1") == base
    assert look(user) == before


async def test_several_begin_with_one_snapshot(user: User, tmp_path: Path) -> None:
    user.write("a.txt", "first\n")
    repository = await Repository.find(user.root)
    packing = Packing()
    tips: list[str] = []
    for number in (1, 2, 3):
        sync = Sync(repository, name=f"s{number}", branch=f"glovebox/{number}", shared=packing)
        inside = HostDir(tmp_path / f"inside{number}")
        async with sync.packing() as packed:
            tips.append((await sync.seed(inside, packed=await packed)).tip)
        user.write("a.txt", f"changed {number}\n")
        assert (inside.work / "a.txt").read_text() == "first\n"
        User(inside.work).write("made.txt", f"{number}\n")
        assert (await sync.run(inside, message="made")).problem is None
        assert user.git("show", f"glovebox/{number}:made.txt") == str(number)
    await packing.close()
    assert len(set(tips)) == 1
