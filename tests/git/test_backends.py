"""The whole way home over every backend, with the host dying and the sandbox going away."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from agent.git import journal
from agent.git.merging import Work, accept, proposing
from agent.git.repository import Repository
from agent.git.sync import Sync
from agent.sandbox.protocol import Sandbox
from tests.backends import KINDS, MACHINES
from tests.daytona_fixtures import daytona_sandbox, serving, use
from tests.git.users import User, look

Open = Callable[[], AbstractAsyncContextManager[Sandbox]]


@contextlib.asynccontextmanager
async def _at_daytona(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Sandbox]:
    with serving() as server:
        async with daytona_sandbox(use(server, monkeypatch)) as sandbox:
            yield sandbox


@pytest.fixture(
    params=[
        *MACHINES,
        pytest.param("daytona", id="daytona", marks=[pytest.mark.sandbox, pytest.mark.slow]),
    ]
)
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    if request.param == "daytona":
        return lambda: _at_daytona(monkeypatch)
    return KINDS[request.param.name].sandbox


async def sh(sandbox: Sandbox, script: str) -> str:
    done = await sandbox.exec(["sh", "-c", script])
    text = done.output.decode("utf-8", "replace")
    assert done.exit_code == 0, text
    return text.strip()


class Died(Exception):
    """The host process ends here, as far as this test can tell."""


async def test_work_goes_home_again_and_again(user: User, opened: Open) -> None:
    user.write("a.txt", "one\ntwo\nuncommitted\n")
    before = look(user)
    repository = await Repository.find(user.root)

    def engine() -> Sync:  # a new one each time: nothing may be kept in memory
        return Sync(repository, name="s1", branch="glovebox/1")

    async with opened() as sandbox:
        seeded = await engine().seed(sandbox)
        assert str(await engine().standing(sandbox)) == "synced"
        await sh(sandbox, "git config user.name Agent; git config user.email agent@example.org")
        await sh(sandbox, "echo 1 >mine.txt; git add -A; git commit -qm mine; echo 2 >'loose one'")
        own = await sh(sandbox, "git rev-parse HEAD")
        assert str(await engine().standing(sandbox)) == "ahead 2"

        first = await engine().run(sandbox, message="first")

        assert (first.problem, first.branch) == (None, "glovebox/1")
        assert user.git("rev-parse", "glovebox/1~1") == own
        assert await sh(sandbox, "git rev-parse HEAD") == first.commit
        assert str(await engine().standing(sandbox)) == "synced"
        assert (await engine().run(sandbox, message="nothing")).commit == first.commit

        await sh(sandbox, "git commit -q --amend -m amended; rm mine.txt")
        second = await engine().run(sandbox, message="second")
        assert second.problem is None
        assert user.git("merge-base", first.commit, second.commit) == first.commit
        assert "mine.txt" not in user.tree("glovebox/1")

        undone = await engine().undo(sandbox, to=first.commit)
        assert undone.was == second.commit
        assert user.git("rev-parse", "glovebox/1") == first.commit
        assert await sh(sandbox, "cat mine.txt; git rev-parse HEAD") == f"1\n{first.commit}"
        assert await sh(sandbox, "ls -a /tmp | grep -c '^glovebox-' || true") == "0"
        assert look(user) == before
        user.git("stash", "push", "--quiet")
        user.git("checkout", "--quiet", "glovebox/1")
        await sh(sandbox, "echo 3 >mine.txt")
        third = await engine().run(sandbox, message="third")
        assert (third.branch, third.notes) == ("glovebox/1", ())
        assert user.path("mine.txt").read_text() == "3\n"
        assert user.git("status", "--porcelain") == ""
        assert seeded.tip == user.git("rev-parse", "refs/glovebox/s1/seed")


HOSTILE = """\
blob=$(echo "[core]" | git hash-object -w --stdin)
inner=$(printf "100644 blob $blob\\tconfig\\n" | git mktree)
tree=$(printf "040000 tree $inner\\t.GIT\\n" | git mktree)
git update-ref HEAD $(git commit-tree $tree -p HEAD -m hostile)
"""


async def test_a_whole_life(user: User, opened: Open) -> None:
    async with opened() as sandbox:
        await live(user, sandbox)


async def live(user: User, sandbox: Sandbox) -> None:
    """Work, a branch the user moved, undo, redo, pulls, a merge, an attack, and the end."""
    repository = await Repository.find(user.root)

    def engine() -> Sync:
        return Sync(repository, name="s1", branch="glovebox/1")

    async def synced(branch: str) -> str:
        done = await engine().run(sandbox, message="work")
        assert (done.problem, done.branch) == (None, branch)
        assert user.git("rev-parse", branch) == await sh(sandbox, "git rev-parse HEAD")
        assert str(await engine().standing(sandbox)) == "synced"
        return done.commit

    seeded = await engine().seed(sandbox)
    await sh(sandbox, "git config user.name Agent; git config user.email agent@example.org")
    await sh(sandbox, "echo agent >a.txt; git commit -qam mine; echo 1 >loose.txt")
    first = await synced("glovebox/1")

    user.git("branch", "--force", "glovebox/1", "main~1")
    await sh(sandbox, "echo 2 >loose.txt; mkdir new; echo x >new/x; rm run.sh")
    second = await synced("glovebox/1-2")
    assert user.git("rev-parse", "glovebox/1") == user.git("rev-parse", "main~1")

    undone = await engine().undo(sandbox, to=first)
    assert undone.was == second
    assert await sh(sandbox, "cat loose.txt; ls") == "1\na.txt\ndir\nloose.txt\nrun.sh"
    assert user.git("rev-parse", "glovebox/1-2") == first
    assert (await engine().undo(sandbox, to=undone.was)).was == first
    assert await sh(sandbox, "cat loose.txt new/x; git rev-parse HEAD") == f"2\nx\n{second}"
    assert user.git("rev-parse", "glovebox/1-2") == second

    mine = user.commit("mine", **{"a.txt": "mine\n", "mine.txt": "m\n"})
    pulled = await engine().pull(sandbox)
    assert (pulled.branch, pulled.conflicts) == ("yours/main", ("a.txt",))
    assert await sh(sandbox, "git rev-parse HEAD; git status --porcelain") == second
    await sh(sandbox, "git merge -q yours/main || true; echo both >a.txt; git commit -qam both")
    user.commit("more", **{"more.txt": "m\n"})
    await synced("glovebox/1-2")
    assert (await engine().pull(sandbox)).conflicts == ()
    assert await sh(sandbox, "cat a.txt mine.txt more.txt") == "both\nm\nm"
    tip = await synced("glovebox/1-2")
    assert user.git("merge-base", mine, tip) == mine

    repository = await Repository.find(user.root)
    async with proposing(repository, Work(seeded.base, seeded.tip, tip), "merge") as proposal:
        await accept(repository, proposal, "Take it")
    assert user.path("a.txt").read_text() == "both\n"
    assert user.git("status", "--porcelain") == ""

    before = look(user), user.refs()
    await sh(sandbox, HOSTILE)
    refused = await engine().run(sandbox, message="hostile")
    assert refused.problem is not None
    assert (look(user), user.refs()) == before
    assert str(await engine().standing(sandbox)).startswith("failed (")
    await sh(sandbox, f"git reset -q --hard {tip}; echo 3 >loose.txt")
    await synced("glovebox/1-2")

    assert await sh(sandbox, "ls -a /tmp | grep -c '^glovebox-' || true") == "0"
    await engine().forget()
    assert not [ref for ref in user.refs() if ref.startswith("refs/glovebox/s1/")]
    user.git("fsck", "--strict")


async def test_what_was_carried_is_finished_when_the_sandbox_is_gone(
    user: User, opened: Open
) -> None:
    sync = Sync(await Repository.find(user.root), name="s1", branch="glovebox/1")
    async with opened() as sandbox:
        await sync.seed(sandbox)
        await sh(sandbox, "echo made >made.txt")
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Died):
            patch.setattr(Sync, "_admit", _die)
            await sync.run(sandbox, message="work")
    assert journal.read(user.root / ".git/glovebox/mirrors/s1").step == "carried"

    home = await sync.replay()

    assert home is not None and (home.problem, home.files) == (None, 1)
    assert user.git("show", "glovebox/1:made.txt") == "made"
    assert str(await sync.standing()) == "synced"
    user.git("fsck", "--strict")


async def _die(*_: object) -> None:
    raise Died
