"""The user's newer commits, taken in and merged inside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from agent.core.errors import SyncError
from agent.core.events import Pulled
from agent.git.pull import pull
from agent.git.repository import Repository
from agent.git.rules import Rules
from agent.git.workspace import Words
from tests.git.conftest import Run, Start
from tests.git.users import User, look


@pytest.fixture
def run(user: User, start: Start) -> Run:
    return asyncio.run(start(user))


async def take(user: User, run: Run, *, dirty: bool = False, commit: str = "") -> Pulled:
    repository = await Repository.find(user.root)
    return await pull(
        repository,
        run.inside,
        commit=commit or repository.head,
        name=repository.branch or "HEAD",
        known=[run.seeded.base, run.seeded.tip],
        words=Words("Merge what the user did", repository.who, {}),
        dirty=dirty,
    )


async def test_new_commits_are_merged_with_the_work(user: User, run: Run) -> None:
    run.agent.write("agent.txt", "agent\n")
    await run.go()
    mine = user.commit("mine", **{"mine.txt": "mine\n"})
    before = look(user)
    pulled = await take(user, run)
    assert (pulled.commit, pulled.branch, pulled.conflicts) == (mine, "yours/main", ())
    assert run.agent.git("rev-parse", "HEAD^2") == mine
    assert run.agent.git("log", "-1", "--format=%an %s") == "Ada Lovelace Merge what the user did"
    assert run.agent.path("mine.txt").read_text() == "mine\n"
    assert run.agent.git("branch", "--list", "yours/*") == ""
    assert look(user) == before
    done = await run.go("after")
    assert done.problem is None
    assert user.git("merge-base", "--is-ancestor", mine, done.commit) == ""


async def test_without_work_inside_it_moves_on(user: User, run: Run) -> None:
    mine = user.commit("mine", **{"mine.txt": "mine\n"})
    await take(user, run)
    assert run.agent.git("rev-parse", "HEAD") == mine


async def test_nothing_new_is_nothing(user: User, run: Run) -> None:
    assert await take(user, run) == Pulled("", "")


async def test_a_conflict_leaves_the_work_and_a_branch_to_merge(user: User, run: Run) -> None:
    run.agent.write("a.txt", "agent\n")
    await run.go()
    head = run.agent.git("rev-parse", "HEAD")
    mine = user.commit("mine", **{"a.txt": "mine\n", "b.txt": "b\n"})
    pulled = await take(user, run)
    assert (pulled.branch, pulled.conflicts) == ("yours/main", ("a.txt",))
    assert run.agent.git("rev-parse", "HEAD", "yours/main").split() == [head, mine]
    assert run.agent.git("status", "--porcelain") == ""
    # What the agent does then.
    run.agent.git("merge", "yours/main", ok=False)
    run.agent.write("a.txt", "both\n")
    done = await run.go("settled")
    assert user.git("rev-parse", f"{done.commit}^2") == mine
    assert user.tree(done.commit)["a.txt"][1] == b"both\n"


async def test_uncommitted_work_comes_when_asked_for(user: User, run: Run) -> None:
    user.write("wip.txt", "in progress\n")
    user.write(".env", "KEY=canary\n")
    assert await take(user, run) == Pulled("", "")
    before = look(user)
    pulled = await take(user, run, dirty=True)
    assert any(".env" in why for why in pulled.left_out)
    assert run.agent.path("wip.txt").read_text() == "in progress\n"
    assert not run.agent.path(".env").exists()
    assert run.agent.git("log", "-1", "--format=%s") == "Uncommitted work of the user"
    assert look(user) == before


async def test_work_seeded_dirty_and_committed_since_merges(user: User, start: Start) -> None:
    user.write("wip.txt", "in progress\n")
    run = await start(user)
    run.agent.write("agent.txt", "agent\n")
    await run.go()
    user.commit("finished")
    pulled = await take(user, run)
    assert pulled.conflicts == ()
    assert run.agent.git("rev-parse", "HEAD^2") == pulled.commit


async def test_commits_of_the_user_on_the_mirror(user: User, run: Run) -> None:
    run.agent.write("agent.txt", "agent\n")
    done = await run.go()
    user.git("checkout", "--quiet", done.branch)
    mine = user.commit("on top", **{"top.txt": "top\n"})
    pulled = await take(user, run, commit=mine)
    assert run.agent.git("rev-parse", "HEAD") == mine == pulled.commit


async def test_only_what_is_missing_travels(
    user: User, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write("big.bin", bytes(range(256)) * 40_000)
    user.commit("big")
    await take(user, run)
    user.commit("small", **{"small.txt": "s\n"})
    sent = 0
    put = run.inside.put

    async def weigh(path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        nonlocal sent
        whole = data if isinstance(data, bytes) else b"".join(data)
        sent += len(whole)
        await put(path, whole, mode=mode)

    monkeypatch.setattr(run.inside, "put", weigh)
    repository = await Repository.find(user.root)
    await pull(
        repository, run.inside, commit=repository.head, name="main",
        known=[user.git("rev-parse", "HEAD^")],
        words=Words("again", repository.who, {}),
    )  # fmt: skip
    assert run.agent.path("small.txt").exists()
    assert 0 < sent < 100_000


async def test_an_odd_name_makes_a_plain_branch(user: User, run: Run) -> None:
    repository = await Repository.find(user.root)
    run.agent.write("a.txt", "agent\n")
    await run.go()
    mine = user.commit("mine", **{"a.txt": "mine\n"})
    pulled = await pull(
        repository, run.inside, commit=mine, name="-x; rm -rf ..~^:?*[é",
        known=[run.seeded.base], words=Words("m", repository.who, {}),
    )  # fmt: skip
    assert pulled.branch.startswith("yours/")
    assert run.agent.git("rev-parse", pulled.branch) == mine


async def test_what_began_before_the_cut_of_the_history_is_merged(user: User, start: Start) -> None:
    run = await start(user, rules=Rules(history=1))
    assert run.agent.git("rev-list", "--count", "HEAD") == "1"
    user.git("checkout", "--quiet", "-b", "old", "main~2")
    old = user.commit("old", **{"old.txt": "old\n"})
    user.git("checkout", "--quiet", "main")
    user.git("merge", "--quiet", "--no-edit", "old")
    run.agent.write("agent.txt", "agent\n")
    await run.go()
    before = look(user)

    pulled = await take(user, run)

    assert (pulled.commit, pulled.conflicts) == (user.git("rev-parse", "main"), ())
    assert run.agent.git("rev-parse", "HEAD^2^2") == old
    assert run.agent.path("old.txt").read_text() == "old\n"
    run.agent.git("fsck")
    done = await run.go("after")
    assert done.problem is None
    assert user.git("rev-parse", f"{done.commit}^2") == pulled.commit
    assert look(user) == before
    user.git("fsck", "--strict")


async def test_a_git_that_lies_inside_is_an_error(user: User, run: Run) -> None:
    user.commit("mine", **{"mine.txt": "mine\n"})
    run.inside.replace_git("#!/bin/sh\nexit 1\n")
    with pytest.raises(SyncError):
        await take(user, run)
