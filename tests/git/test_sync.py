from __future__ import annotations

from tests.git.conftest import Start
from tests.git.users import User, look


async def test_work_comes_home_and_nothing_of_the_users_moves(user: User, start: Start) -> None:
    user.write("a.txt", "one\ntwo\nuncommitted\n")
    user.write("new.txt", "untracked\n")
    before = look(user)
    run = await start(user)
    run.agent.write("made.py", "print('hello')\n")
    run.agent.write("a.txt", "one\ntwo\nuncommitted\nagent\n")

    done = await run.go("make a greeting")

    assert done.problem is None
    assert (done.branch, done.files, done.added, done.removed) == ("glovebox/1", 2, 2, 0)
    assert user.git("rev-parse", "glovebox/1") == done.commit == run.agent.git("rev-parse", "HEAD")
    assert user.git("rev-list", "--first-parent", "glovebox/1").split("\n") == [
        done.commit,
        run.seeded.tip,
        *user.git("rev-list", "main").split("\n"),
    ]
    assert run.agent.git("rev-parse", "main") == run.seeded.base
    assert look(user) == before
    user.git("fsck", "--strict", "--full")
