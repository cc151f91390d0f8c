from __future__ import annotations

import pytest

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
