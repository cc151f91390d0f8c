from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.core.errors import SyncError
from agent.git import workspace
from agent.git.workspace import REWRITTEN
from tests.git.conftest import Run, Start
from tests.git.users import IDENTITY, User, look


def grows(user: User, old: str, new: str) -> bool:
    return user.git("merge-base", old, new) == old


async def synced(run: Run, user: User, branch: str = "glovebox/1") -> str:
    """Sync and hold that both ends agree; the commit they agree on."""
    done = await run.go()
    assert done.problem is None
    assert user.git("rev-parse", branch) == done.commit == run.agent.git("rev-parse", "HEAD")
    assert user.git("rev-parse", "refs/glovebox/s1/tip") == done.commit
    return done.commit


async def test_work_comes_home_and_nothing_of_the_users_moves(user: User, start: Start) -> None:
    user.write("a.txt", "one\ntwo\nuncommitted\n")
    user.write("new.txt", "untracked\n")
    user.git("stash", "list")
    before = look(user)
    run = await start(user)
    run.agent.write("made.py", "print('hello')\n")
    run.agent.write("a.txt", "one\ntwo\nagent\n")

    done = await run.go("make a greeting")

    assert done.problem is None
    assert (done.branch, done.files, done.added, done.removed) == ("glovebox/1", 2, 2, 1)
    assert user.git("rev-parse", "glovebox/1") == done.commit == run.agent.git("rev-parse", "HEAD")
    assert user.git("rev-list", "--first-parent", "glovebox/1").split("\n") == [
        done.commit,
        run.seeded.tip,
        *user.git("rev-list", "main").split("\n"),
    ]
    assert run.agent.git("rev-parse", "main") == run.seeded.base
    assert look(user) == before
    user.git("fsck", "--strict", "--full")


async def test_the_commit_says_who_why_and_which_turn(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt")
    await run.go("Make it so\n\nWith a body.")

    shown = user.git("log", "-1", "--format=%an %ae %cn %ce%n%B", "glovebox/1")
    by = f"{IDENTITY[0]} {IDENTITY[1]}"
    assert shown == (
        f"{by} {by}\nMake it so\n\nWith a body.\n\nGlovebox-Session: s1\nGlovebox-Turn: 1"
    )


async def test_a_turn_that_changed_nothing_makes_no_branch(user: User, start: Start) -> None:
    user.write("new.txt")
    run = await start(user)

    done = await run.go()

    assert (done.branch, done.commit, done.files, done.problem) == ("", run.seeded.tip, 0, None)
    assert user.git("branch", "--list", "glovebox/*") == ""


async def test_a_second_seed_takes_the_place_of_the_first_and_loses_nothing(
    user: User, start: Start
) -> None:
    user.write("new.txt", "1\n")
    lost = await start(user)
    lost.agent.write("made.txt", "1\n")
    first = await synced(lost, user)
    user.git("branch", "-D", "glovebox/1")
    user.write("new.txt", "2\n")

    run = await start(user)

    assert run.agent.path("new.txt").read_text() == "2\n"
    run.agent.write("made.txt", "2\n")
    await synced(run, user)
    assert user.refs()[f"refs/glovebox/s1/undone/{first}"] == first


async def test_sessions_that_sync_at_once_do_not_meet(user: User, start: Start) -> None:
    runs = [await start(user, session=f"s{n}", number=n) for n in range(1, 7)]
    for turn in range(2):
        for n, run in enumerate(runs):
            run.agent.write("made.txt", f"{n} {turn}\n")
        done = await asyncio.gather(*(run.go() for run in runs))
        assert [one.problem for one in done] == [None] * 6
        assert [user.git("rev-parse", one.branch) for one in done] == [one.commit for one in done]
    user.git("fsck", "--strict")


async def test_each_turn_carries_only_what_is_new(user: User, start: Start) -> None:
    user.commit("big", **{"big.txt": "".join(f"{n * 7919}\n" for n in range(100_000))})
    run = await start(user)
    run.agent.write("one.txt")
    await synced(run, user)
    run.agent.write("two.txt", "2\n")

    done = await run.go()

    assert (done.files, done.added) == (1, 1)
    assert run.inside.taken < 3000


async def test_the_agents_own_commits_are_kept_as_they_are(user: User, start: Start) -> None:
    run = await start(user)
    first = run.agent.commit("mine one", **{"x.txt": "1\n"})
    second = run.agent.commit("mine two", **{"x.txt": "2\n"})

    assert await synced(run, user) == second

    run.agent.write("loose.txt")
    tip = await synced(run, user)
    assert user.git("rev-list", "--max-count=3", tip).split("\n") == [tip, second, first]


async def test_what_the_users_ignore_rules_say_holds_inside(user: User, start: Start) -> None:
    user.commit("ignore", **{".gitignore": "*.log\n"})
    run = await start(user)
    run.agent.write("x.log")
    run.agent.write("x.txt")

    assert "x.log" not in user.tree(await synced(run, user))


@pytest.mark.parametrize(
    "rewrite",
    [
        ("commit", "--quiet", "--amend", "-m", "amended"),
        ("reset", "--quiet", "--hard", "main~1"),
        ("checkout", "--quiet", "main"),
        ("checkout", "--quiet", "--detach", "main~2"),
        ("checkout", "--quiet", "-b", "topic", "main"),
        ("checkout", "--quiet", "--orphan", "fresh"),
        ("branch", "-M", "renamed"),
        ("symbolic-ref", "HEAD", "refs/heads/unborn"),
    ],
    ids=lambda args: " ".join(args[:3]),
)
async def test_rewritten_history_comes_home_as_a_fast_forward(
    user: User, start: Start, rewrite: tuple[str, ...]
) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    old = await synced(run, user)
    run.agent.git(*rewrite)
    run.agent.write("after.txt", "2\n")

    new = await synced(run, user)

    assert grows(user, old, new)
    assert "after.txt" in user.tree(new)
    assert run.agent.git("status", "--porcelain") == ""
    run.agent.write("later.txt", "3\n")
    assert grows(user, new, await synced(run, user))


async def test_a_rewrite_is_joined_and_says_so(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    old = await synced(run, user)
    run.agent.git("commit", "--quiet", "--amend", "-m", "amended")
    amended = run.agent.git("rev-parse", "HEAD")

    new = await synced(run, user)

    assert user.git("log", "-1", "--format=%P|%s", new) == f"{old} {amended}|{REWRITTEN}"
    assert user.git("rev-parse", f"{new}^{{tree}}") == user.git("rev-parse", f"{amended}^{{tree}}")


async def test_a_commit_that_was_collected_inside_is_still_built_on(
    user: User, start: Start
) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    old = await synced(run, user)
    run.agent.git("reset", "--quiet", "--hard", "main~1")
    run.agent.git("reflog", "expire", "--expire=now", "--all")
    run.agent.git("gc", "--quiet", "--prune=now")

    assert grows(user, old, await synced(run, user))


async def test_a_deleted_repository_inside_is_said_in_words(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    kept = await synced(run, user)
    for path in sorted((run.inside.work / ".git").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (run.inside.work / ".git").rmdir()

    done = await run.go()

    assert done.problem is not None
    assert done.problem.kind == "SyncError"
    assert "no git repository" in done.problem.message
    assert "start a new session" in done.problem.hint
    assert (done.branch, user.git("rev-parse", "glovebox/1")) == ("glovebox/1", kept)


@pytest.mark.parametrize("commits", [True, False])
async def test_a_repository_made_inside_is_named_and_the_rest_comes_home(
    user: User, start: Start, commits: bool
) -> None:
    run = await start(user)
    nested = User.start(run.inside.work / "sub dir")
    nested.write("file.txt")
    if commits:
        nested.commit("x")
    run.agent.write("made.txt")

    done = await run.go()

    assert done.problem is None
    assert set(user.tree(done.commit)) == {*user.tree("main"), "made.txt"}
    assert len(done.notes) == 1
    assert "`sub dir` is a git repository of its own" in done.notes[0]
    (nested.root / ".git").rename(run.inside.home / "away")
    done = await run.go()
    assert "sub dir/file.txt" in user.tree(done.commit)
    assert done.notes == ()


async def test_a_repository_the_agent_committed_as_such_is_named(user: User, start: Start) -> None:
    run = await start(user)
    User.start(run.inside.work / "sub").commit("x", f="f")
    run.agent.commit("with sub")

    done = await run.go()

    assert done.problem is None
    assert "`sub` is a git repository of its own" in done.notes[0]
    run.agent.write("sub/more.txt")
    assert (await run.go()).notes == done.notes


async def test_files_in_the_place_of_a_submodule_are_named(user: User, start: Start) -> None:
    for name in ("sub one", "sub/two"):
        user.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},{name}")
        user.path(name).mkdir(parents=True)
    user.git("commit", "--quiet", "-m", "submodules")
    run = await start(user)
    run.agent.write("sub one/file.txt")
    run.agent.write("made.txt")

    done = await run.go()

    assert done.problem is None
    assert len(done.notes) == 1
    assert "`sub one` is the place of a submodule" in done.notes[0]
    assert "made.txt" in user.tree(done.commit)


@pytest.mark.parametrize("lock", ["index.lock", "HEAD.lock", "refs/heads/glovebox/1.lock"])
async def test_a_lock_left_by_a_killed_git_does_not_hold_up_the_work(
    user: User, start: Start, lock: str
) -> None:
    run = await start(user)
    (run.inside.work / ".git" / lock).touch()
    run.agent.write("made.txt")

    assert "made.txt" in user.tree(await synced(run, user))


async def test_an_unfinished_merge_comes_home(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.git("checkout", "--quiet", "-b", "side", "main~1")
    run.agent.commit("side", **{"a.txt": "side\n"})
    run.agent.git("checkout", "--quiet", "glovebox/1")
    run.agent.commit("ours", **{"a.txt": "ours\n"})
    run.agent.git("merge", "side", ok=False)

    tip = await synced(run, user)

    assert b"<<<<<<<" in user.tree(tip)["a.txt"][1]
    assert len(user.git("log", "-1", "--format=%P", tip).split()) == 2


async def test_the_agents_hooks_signing_and_settings_do_not_stop_a_sync(
    user: User, start: Start
) -> None:
    run = await start(user)
    for hook in ("pre-commit", "commit-msg", "prepare-commit-msg", "reference-transaction"):
        path = run.inside.work / ".git/hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    (run.inside.home / ".gitconfig").write_text("[broken\n")
    run.agent.git("config", "commit.gpgSign", "true")
    run.agent.git("config", "gpg.program", "false")
    run.agent.write("made.txt")

    assert "made.txt" in user.tree(await synced(run, user))


async def test_undo_restores_files_and_branch_and_keeps_what_was(user: User, start: Start) -> None:
    user.commit("ignore", **{".gitignore": "*.log\n"})
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    first = await synced(run, user)
    run.agent.write("made.txt", "2\n")
    run.agent.write("new dir/new.txt")
    run.agent.write(".gitignore", "*.log\n*.tmp\n")
    run.agent.write("made.tmp", "ignored only since this turn\n")
    run.agent.path("a.txt").unlink()
    second = await synced(run, user)
    run.agent.write("loose.txt", "not yet synced\n")
    run.agent.write("kept.log", "ignored\n")
    before = look(user)

    undone = await run.undo(first)

    assert undone.commit == first
    assert grows(user, second, undone.was)
    assert "loose.txt" in user.tree(undone.was)
    assert user.refs()[f"refs/glovebox/s1/undone/{undone.was}"] == undone.was
    assert user.git("rev-parse", "glovebox/1") == run.agent.git("rev-parse", "HEAD") == first
    here = {p.name for p in run.inside.work.iterdir()}
    assert here == {".git", ".gitignore", "a.txt", "dir", "run.sh", "made.txt", "kept.log"}
    assert run.agent.path("made.txt").read_text() == "1\n"
    assert look(user) == before

    run.agent.write("made.txt", "3\n")
    assert grows(user, first, await synced(run, user))
    assert (await run.undo(undone.was)).commit == undone.was
    assert run.agent.path("loose.txt").read_text() == "not yet synced\n"


async def test_work_goes_on_from_what_an_undo_of_an_undo_brought_back(
    user: User, start: Start
) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    second = await synced(run, user)
    await run.undo(run.seeded.tip)
    run.agent.write("other.txt", "1\n")
    await synced(run, user)
    await run.undo(second)
    run.agent.git("update-ref", "-d", f"refs/glovebox/undone/{second}")
    run.agent.git("commit", "--quiet", "--amend", "-m", "amended")
    run.agent.git("reflog", "expire", "--expire=now", "--all")
    run.agent.git("gc", "--quiet", "--prune=now")

    assert grows(user, second, await synced(run, user))


async def test_undo_ends_a_rebase_that_was_under_way(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.commit("mine", **{"a.txt": "agent\n"})
    await synced(run, user)
    run.agent.git("-c", "sequence.editor=sed -i s/pick/edit/", "rebase", "-i", "main~1", ok=False)
    assert (run.inside.work / ".git/rebase-merge").exists()

    await run.undo(run.seeded.tip)

    assert not (run.inside.work / ".git/rebase-merge").exists()
    assert run.agent.git("status", "--porcelain") == ""


async def test_work_that_moves_on_while_it_is_carried_is_not_called_synced(
    user: User, start: Start
) -> None:
    run = await start(user)
    run.agent.write("made.txt")
    run.inside.replace_git(
        '#!/bin/sh\n/usr/bin/git "$@" || exit\ncase " $* " in *" bundle "*)'
        " exec /usr/bin/git commit --quiet --allow-empty -m sneaked;; esac\n"
    )

    done = await run.go()

    assert done.problem is not None
    assert "inside stands at" in done.problem.message
    run.inside.replace_git('#!/bin/sh\nexec /usr/bin/git "$@"\n')
    assert user.git("log", "-1", "--format=%s", await synced(run, user)) == "sneaked"


async def test_undo_of_the_first_turn_returns_to_the_seed(user: User, start: Start) -> None:
    user.write("new.txt", "uncommitted\n")
    run = await start(user)
    run.agent.write("new.txt", "agent\n")
    await synced(run, user)

    await run.undo(run.seeded.tip)

    assert run.agent.path("new.txt").read_text() == "uncommitted\n"
    assert user.git("rev-parse", "glovebox/1") == run.seeded.tip
    assert (await run.go()).commit == run.seeded.tip


async def test_undo_leaves_a_branch_the_user_moved(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    await synced(run, user)
    user.git("branch", "-f", "glovebox/1", "main~1")

    undone = await run.undo(run.seeded.tip)

    assert "has been moved by somebody else" in undone.notes[0]
    assert user.git("rev-parse", "glovebox/1") == user.git("rev-parse", "main~1")


async def test_undo_to_a_commit_nobody_has_undoes_nothing(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    with pytest.raises(SyncError, match="not in this repository"):
        await run.undo("0" * 39 + "1")
    assert run.agent.path("made.txt").read_text() == "1\n"


async def test_the_diff_shows_committed_and_loose_work(user: User, start: Start) -> None:
    user.write("a.txt", "one\nuncommitted\n")
    run = await start(user)
    run.agent.commit("mine", **{"committed.txt": "c\n"})
    run.agent.write("loose.txt", "l\n")
    User.start(run.inside.work / "a nested one")
    run.agent.path("dir/b.txt").unlink()
    status = run.agent.git("status", "--porcelain")

    text = await run.sync.diff(run.inside, base=run.seeded.tip)

    files = [line for line in text.split("\n") if line.startswith("diff --git")]
    assert files == [
        "diff --git a/committed.txt b/committed.txt",
        "diff --git a/dir/b.txt b/dir/b.txt",
        "diff --git a/loose.txt b/loose.txt",
    ]
    assert "+l" in text.split("\n")
    assert run.agent.git("status", "--porcelain") == status


async def test_a_long_diff_is_cut_and_says_so(
    user: User, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "WORK_DIFF_MAX_BYTES", 1000)
    run = await start(user)
    run.agent.write("long.txt", "line\n" * 1000)

    text = await run.sync.diff(run.inside, base=run.seeded.tip)

    assert len(text) < 1200
    assert "cut at 1000 bytes" in text


async def test_a_change_too_big_to_carry_says_what_to_do(
    user: User, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "BUNDLE_MAX_BYTES", 100)
    run = await start(user)
    run.agent.write("made.txt")

    done = await run.go()

    assert done.problem is not None
    assert "could not be carried out" in done.problem.message
    assert "ignore" in done.problem.hint
    monkeypatch.undo()
    await synced(run, user)


async def test_nothing_is_left_lying_about_inside(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt")
    await synced(run, user)
    await run.sync.diff(run.inside, base=run.seeded.tip)

    assert len(run.inside.execs) > 5
    assert [path.name for path in run.inside.tmp.iterdir()] == []


async def test_work_that_no_branch_took_is_rescued_without_the_sandbox(
    user: User, start: Start, tmp_path: Path
) -> None:
    run = await start(user)
    user.git("branch", "glovebox")  # beside it there can be no `glovebox/1`
    run.agent.write("made.txt", "1\n")
    assert (await run.go()).problem is not None
    target = tmp_path / "rescued.bundle"

    assert await run.sync.rescue(None, target)

    await run.sync.forget()
    assert not [ref for ref in user.refs() if ref.startswith("refs/glovebox/")]
    user.git("gc", "--quiet", "--prune=now")
    user.git("fetch", "--quiet", str(target), "refs/glovebox/s1/tip:refs/heads/rescued")
    assert "made.txt" in user.tree("rescued")


async def test_what_is_on_a_branch_needs_no_rescue(
    user: User, start: Start, tmp_path: Path
) -> None:
    run = await start(user)
    assert not await run.sync.rescue(None, tmp_path / "no.bundle")
    assert not await run.sync.rescue(run.inside, tmp_path / "no.bundle")
    run.agent.write("made.txt", "1\n")
    await synced(run, user)
    assert not await run.sync.rescue(None, tmp_path / "no.bundle")
    run.agent.write("made.txt", "2\n")
    assert await run.sync.rescue(run.inside, tmp_path / "some.bundle")
    assert (tmp_path / "some.bundle").read_bytes().startswith(b"# v2 git bundle\n")


async def test_a_repository_that_was_moved_is_not_begun_anew_at_its_old_place(
    user: User, start: Start
) -> None:
    run = await start(user)
    run.agent.write("made.txt")
    elsewhere = user.root.rename(user.root.with_name("elsewhere"))

    done = await run.go()

    assert done.problem is not None
    assert f"`{user.root}/.git` any more" in done.problem.message
    assert "--continue" in done.problem.hint
    assert not user.root.exists()
    elsewhere.rename(user.root)
    await synced(run, user)
