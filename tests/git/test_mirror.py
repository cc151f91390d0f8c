from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.git.mirror import Mirror
from tests.git.conftest import Run, Start
from tests.git.users import User, look


@pytest.fixture
def branch() -> str:
    return "glovebox/1"


async def one_turn(user: User, start: Start) -> Run:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    assert (await run.go()).problem is None
    return run


async def test_a_branch_the_user_moved_is_left_and_a_sibling_made(
    user: User, start: Start, branch: str
) -> None:
    run = await one_turn(user, start)
    user.git("branch", "-f", branch, "main~1")
    run.agent.write("made.txt", "2\n")

    done = await run.go()

    assert done.branch == "glovebox/1-2"
    assert "has been moved by somebody else" in done.notes[0]
    assert user.git("rev-parse", branch) == user.git("rev-parse", "main~1")
    assert user.git("rev-parse", "glovebox/1-2") == done.commit

    run.agent.write("made.txt", "3\n")
    again = await run.go()

    assert (again.branch, again.notes) == ("glovebox/1-2", ())
    assert user.git("rev-parse", "glovebox/1-2") == again.commit


async def test_commits_the_user_made_on_it_are_not_overwritten(
    user: User, start: Start, branch: str
) -> None:
    run = await one_turn(user, start)
    user.git("checkout", "--quiet", branch)
    theirs = user.commit("mine on top", **{"user.txt": "u\n"})
    user.git("checkout", "--quiet", "main")
    run.agent.write("made.txt", "2\n")

    done = await run.go()

    assert done.branch == "glovebox/1-2"
    assert user.git("rev-parse", branch) == theirs


async def test_a_deleted_branch_comes_back_only_with_new_work(
    user: User, start: Start, branch: str
) -> None:
    run = await one_turn(user, start)
    user.git("branch", "-D", branch)

    idle = await run.go()
    assert (idle.branch, idle.problem) == ("", None)
    assert branch not in user.git("branch", "--list", "--all")

    run.agent.write("made.txt", "2\n")
    done = await run.go()
    assert done.branch == branch
    assert user.git("rev-parse", branch) == done.commit


async def test_a_branch_in_the_middle_of_a_rebase_is_left(
    user: User, start: Start, branch: str
) -> None:
    run = await one_turn(user, start)
    linked = User(user.root.parent / "linked")
    user.git("worktree", "add", "--quiet", str(linked.root), branch)
    linked.git("-c", "sequence.editor=sed -i s/pick/edit/", "rebase", "-i", "--root", ok=False)
    assert linked.git("symbolic-ref", "-q", "HEAD", ok=False) == ""
    at = user.git("rev-parse", branch)
    run.agent.write("made.txt", "2\n")

    done = await run.go()

    assert done.branch == "glovebox/1-2"
    assert user.git("rev-parse", branch) == at


async def test_a_branch_that_is_not_born_yet_but_checked_out_is_left(
    user: User, start: Start, branch: str
) -> None:
    run = await start(user)
    user.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    run.agent.write("made.txt", "1\n")

    done = await run.go()

    assert done.branch == "glovebox/1-2"
    assert user.git("rev-parse", "--verify", branch, ok=False) == ""


@pytest.mark.parametrize("before", [True, False])
async def test_a_branch_that_the_user_comes_to_as_it_is_made(
    user: User, start: Start, branch: str, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    update = Mirror._update

    async def between(mirror: Mirror, ref: str, *values: str) -> None:
        made = ref == f"refs/heads/{branch}" and values[-1] == "glovebox: sync"
        if made and before:
            user.git("checkout", "--quiet", "--orphan", branch)
        await update(mirror, ref, *values)
        if made and not before:
            user.git("checkout", "--quiet", branch)
            (user.root / "mine").write_text("staged\n")
            user.git("add", "mine")

    monkeypatch.setattr(Mirror, "_update", between)
    done = await run.go()

    assert user.git("symbolic-ref", "HEAD") == f"refs/heads/{branch}"
    assert user.git("rev-parse", done.branch) == done.commit
    if before:
        assert done.branch == "glovebox/1-2"
        assert user.git("for-each-ref", f"refs/heads/{branch}") == ""
    else:
        assert (done.branch, done.notes) == (branch, ())
        assert user.git("status", "--porcelain") == "A  mine"


async def test_a_symbolic_ref_is_not_written_through(user: User, start: Start, branch: str) -> None:
    run = await start(user)
    user.git("branch", "target")
    user.git("symbolic-ref", f"refs/heads/{branch}", "refs/heads/target")
    before = look(user)
    run.agent.write("made.txt", "1\n")

    done = await run.go()

    assert done.branch == "glovebox/1-2"
    assert "symbolic ref" in done.notes[0]
    assert look(user) == before


async def test_names_that_are_taken_are_passed_over(user: User, start: Start) -> None:
    run = await start(user)
    for name in ("glovebox/1", "glovebox/1-2", "glovebox/1-3/below"):
        user.git("branch", name, "main~1")
    run.agent.write("made.txt", "1\n")

    done = await run.go()

    assert done.branch == "glovebox/1-4"
    assert user.git("rev-parse", "glovebox/1") == user.git("rev-parse", "main~1")


async def test_where_no_branch_can_be_the_work_is_named(user: User, start: Start) -> None:
    run = await start(user)
    user.git("branch", "glovebox")
    run.agent.write("made.txt", "1\n")

    done = await run.go()

    assert done.problem is not None
    assert "refs/glovebox/s1/tip" in done.problem.hint
    assert user.git("rev-parse", "refs/glovebox/s1/tip") == run.agent.git("rev-parse", "HEAD")


async def test_hooks_and_settings_of_the_user_do_not_run(user: User, start: Start) -> None:
    ran = user.root.parent / "ran"
    for hook in ("reference-transaction", "post-checkout", "pre-auto-gc", "post-index-change"):
        user.write(f".git/hooks/{hook}", f"#!/bin/sh\ntouch {ran}\n", 0o755)
    for key, value in (
        ("core.fsmonitor", f"touch {ran}"),
        ("core.pager", f"touch {ran}"),
        ("core.alternateRefsCommand", f"touch {ran}"),
        ("diff.external", f"touch {ran}"),
        ("credential.helper", f"!touch {ran}"),
        ("gc.auto", "1"),
        ("fetch.prune", "true"),
        ("fetch.pruneTags", "true"),
        ("fetch.showForcedUpdates", "false"),
        ("commit.gpgSign", "true"),
        ("gpg.program", f"touch {ran}"),
        ("log.showSignature", "true"),
        ("hook.spy.command", f"touch {ran}"),
        ("hook.spy.event", "reference-transaction"),
    ):
        user.git("config", key, value)
    user.git("tag", "keep", "main~1")
    ran.unlink(missing_ok=True)
    user.path("a.txt").write_text("changed\n")

    run = await one_turn(user, start)
    done = await run.undo(run.seeded.tip)

    assert done.commit == run.seeded.tip
    assert not ran.exists()
    assert user.refs()["refs/tags/keep"] == user.git("rev-parse", "main~1")


async def test_a_garbage_collection_keeps_every_turn(user: User, start: Start) -> None:
    user.write("new.txt", "uncommitted\n")
    run = await one_turn(user, start)
    first = user.git("rev-parse", "glovebox/1")
    await run.undo(run.seeded.tip)
    user.git("branch", "-D", "glovebox/1")
    user.git("-c", "gc.reflogExpire=now", "reflog", "expire", "--expire=now", "--all")
    user.git("gc", "--quiet", "--prune=now")

    assert user.git("cat-file", "-t", first) == "commit"
    run.agent.write("made.txt", "again\n")
    assert (await run.go()).problem is None


async def test_our_refs_may_be_deleted_with_the_branch(user: User, start: Start) -> None:
    run = await one_turn(user, start)
    for ref in user.refs():
        if ref.startswith(("refs/glovebox/", "refs/heads/glovebox/")):
            user.git("update-ref", "-d", ref)
    run.agent.write("made.txt", "2\n")

    done = await run.go()

    assert done.problem is None
    assert user.git("rev-parse", "glovebox/1") == done.commit


def linked_at(user: User, branch: str) -> User:
    """A second working tree that has the branch."""
    linked = User(user.root.parent / "linked")
    user.git("worktree", "add", "--quiet", str(linked.root), branch)
    return linked


@pytest.mark.parametrize("where", ["main", "linked"])
async def test_a_clean_checked_out_branch_goes_forward_with_its_files(
    user: User, start: Start, branch: str, where: str
) -> None:
    run = await one_turn(user, start)
    there = linked_at(user, branch) if where == "linked" else user
    there.git("checkout", "--quiet", branch)
    there.write("untracked.txt", "the user's\n")
    run.agent.write("made.txt", "2\n")
    run.agent.write("dir/new.txt", "new\n")
    run.agent.path("run.sh").unlink()

    done = await run.go()

    assert (done.problem, done.branch, done.notes) == (None, branch, ())
    assert there.git("rev-parse", "HEAD", branch).split() == [done.commit] * 2
    assert there.git("symbolic-ref", "HEAD") == f"refs/heads/{branch}"
    assert there.git("status", "--porcelain") == "?? untracked.txt"
    assert there.path("made.txt").read_text() == "2\n"
    assert there.path("dir/new.txt").read_text() == "new\n"
    assert not there.path("run.sh").exists()
    assert there.git("reflog", "-1", "--format=%gs") == "glovebox: sync"


def _edit(user: User) -> None:
    user.write("made.txt", "the user's edit\n")


def _stage(user: User) -> None:
    user.write("a.txt", "staged\n")
    user.git("add", "a.txt")
    user.write("a.txt", "one\ntwo\n")


def _untracked(user: User) -> None:
    user.write("later.txt", "the user's own\n")


def _ignored(user: User) -> None:
    user.write(
        user.git("rev-parse", "--path-format=absolute", "--git-path", "info/exclude"), "later.txt\n"
    )
    user.write("later.txt", "the user's own\n")


def _assumed(user: User) -> None:
    user.git("update-index", "--assume-unchanged", "made.txt")
    user.write("made.txt", "the user's edit\n")


def _skipped(user: User) -> None:
    user.git("update-index", "--skip-worktree", "made.txt")
    user.write("made.txt", "the user's edit\n")


def _locked(user: User) -> None:
    place = user.git("rev-parse", "--path-format=absolute", "--git-path", "index.lock")
    user.write(place)
    os.utime(place, (1, 1))


def _merging(user: User) -> None:
    user.git("branch", "--force", "side", "main~1")
    user.git("merge", "--quiet", "--no-commit", "--no-ff", "-s", "ours", "side~1", ok=False)
    user.write(user.git("rev-parse", "--path-format=absolute", "--git-path", "MERGE_HEAD"), "x\n")


def _rebasing(user: User) -> None:
    user.git("-c", "sequence.editor=sed -i s/pick/edit/", "rebase", "-i", "HEAD~1", ok=False)


def _bisecting(user: User) -> None:
    user.git("bisect", "start", "HEAD", "main~1")


def _picking(user: User) -> None:
    user.write(user.git("rev-parse", "--path-format=absolute", "--git-path", "CHERRY_PICK_HEAD"))


@pytest.mark.parametrize("where", ["main", "linked"])
@pytest.mark.parametrize(
    "state",
    [
        *(_edit, _stage, _untracked, _ignored, _assumed, _skipped, _locked, _merging, _rebasing),
        *(_bisecting, _picking),
    ],
    ids=lambda state: state.__name__.strip("_"),
)
async def test_a_checked_out_branch_that_is_in_use_is_left(
    user: User, start: Start, branch: str, where: str, state: Callable[[User], None]
) -> None:
    run = await one_turn(user, start)
    there = linked_at(user, branch) if where == "linked" else user
    there.git("checkout", "--quiet", branch)
    state(there)
    at, before = user.git("rev-parse", branch), files_of(there)
    status = there.git("--no-optional-locks", "status", "--porcelain=v2", "--branch")
    run.agent.write("made.txt", "2\n")
    run.agent.write("later.txt", "the agent's\n")

    done = await run.go()

    assert (done.problem, done.branch) == (None, "glovebox/1-2")
    assert user.git("rev-parse", branch) == at
    assert user.git("rev-parse", "glovebox/1-2") == done.commit
    assert "glovebox/1` is checked out" in done.notes[0] and "`glovebox/1-2`" in done.notes[0]
    assert files_of(there) == before
    assert there.git("--no-optional-locks", "status", "--porcelain=v2", "--branch") == status


def files_of(user: User) -> dict[Path, bytes]:
    paths = (p for p in user.root.rglob("*") if p.is_file() and ".git" not in p.parts)
    return {path: path.read_bytes() for path in paths}


@pytest.mark.parametrize(
    "name", [".gitattributes", "sub/mise.toml", ".vscode/tasks.json", ".githooks/pre-commit"]
)
async def test_what_programs_obey_at_once_is_not_put_into_a_working_tree(
    user: User, start: Start, branch: str, name: str
) -> None:
    run = await one_turn(user, start)
    user.git("checkout", "--quiet", branch)
    run.agent.write(name, "x\n")

    done = await run.go()

    assert done.branch == "glovebox/1-2"
    assert f"`{name}`, which programs of yours may obey" in done.notes[0]
    assert not user.path(name).exists()


async def test_links_and_filtered_files_are_not_put_into_a_working_tree(
    user: User, start: Start, branch: str
) -> None:
    ran = user.root.parent / "ran"
    user.commit("attributes", **{".gitattributes": "*.bin filter=spy\n"})
    user.git("config", "filter.spy.smudge", f"touch {ran}; cat")
    user.git("config", "filter.spy.clean", f"touch {ran}; cat")
    run = await one_turn(user, start)
    user.git("checkout", "--quiet", branch)
    ran.unlink(missing_ok=True)
    run.agent.write("big.bin", "x\n")
    assert "need a filter" in (await run.go()).notes[0]
    assert not ran.exists()

    user.git("checkout", "--quiet", "glovebox/1-2")
    run.agent.path("link").symlink_to("/etc/passwd")
    assert "a link" in (await run.go()).notes[0]
    assert not user.path("link").is_symlink()


async def test_line_endings_are_written_as_the_users_git_writes_them(
    user: User, start: Start, branch: str
) -> None:
    user.git("config", "core.autocrlf", "true")
    run = await one_turn(user, start)
    user.git("checkout", "--quiet", branch)
    run.agent.write("made.txt", "1\n2\n")

    assert (await run.go()).branch == branch
    assert user.path("made.txt").read_bytes() == b"1\r\n2\r\n"
    assert user.git("status", "--porcelain") == ""


async def test_a_branch_that_two_working_trees_have_is_left(
    user: User, start: Start, branch: str
) -> None:
    run = await one_turn(user, start)
    user.git("checkout", "--quiet", branch)
    linked = user.root.parent / "linked"
    user.git("worktree", "add", "--quiet", "--force", str(linked), branch)
    run.agent.write("made.txt", "2\n")

    assert (await run.go()).branch == "glovebox/1-2"
    assert User(linked).git("status", "--porcelain") == user.git("status", "--porcelain") == ""


async def test_a_branch_in_a_working_tree_that_is_away_is_left(
    user: User, start: Start, branch: str
) -> None:
    run = await one_turn(user, start)
    linked = linked_at(user, branch)
    linked.root.rename(user.root.parent / "away")
    run.agent.write("made.txt", "2\n")

    assert (await run.go()).branch == "glovebox/1-2"


async def test_a_branch_of_a_stack_being_rebased_is_left(
    user: User, start: Start, branch: str
) -> None:
    run = await one_turn(user, start)
    user.git("checkout", "--quiet", "-b", "top", branch)
    user.commit("on top")
    edit = ("-c", "sequence.editor=sed -i s/^pick/edit/")
    user.git(*edit, "rebase", "-i", "--update-refs", "main", ok=False)
    assert branch in (user.root / ".git/rebase-merge/update-refs").read_text()
    run.agent.write("made.txt", "2\n")

    assert (await run.go()).branch == "glovebox/1-2"


async def test_a_sibling_of_the_users_is_left_even_where_ours_once_stood(
    user: User, start: Start, branch: str
) -> None:
    run = await one_turn(user, start)
    user.git("branch", "glovebox/1-2", branch)
    kept = user.git("rev-parse", branch)
    user.git("branch", "-f", branch, "main")
    run.agent.write("made.txt", "2\n")

    assert (await run.go()).branch == "glovebox/1-3"
    assert user.git("rev-parse", "glovebox/1-2") == kept


async def test_work_that_is_there_is_not_put_anywhere_again(
    user: User, start: Start, branch: str
) -> None:
    run = await one_turn(user, start)
    user.git("checkout", "--quiet", branch)
    theirs = user.commit("mine on top")

    done = await run.go()

    assert (done.problem, done.notes) == (None, ())
    assert user.git("for-each-ref", "--format=%(refname)", "refs/heads/glovebox").split() == [
        f"refs/heads/{branch}"
    ]
    assert user.git("rev-parse", branch) == theirs


async def test_private_tips_have_a_reflog(user: User, start: Start) -> None:
    run = await one_turn(user, start)
    first = user.git("rev-parse", "glovebox/1")
    run.agent.write("made.txt", "2\n")
    second = (await run.go()).commit
    await run.undo(first)

    logged = user.git("reflog", "show", "--format=%H", "refs/glovebox/s1/tip").split("\n")
    assert logged[:3] == [first, second, first]
