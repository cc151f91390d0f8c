"""A host process that dies in the middle of a sync, at every point of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.core.errors import SyncError
from agent.git import journal
from agent.git.journal import Position
from tests.git.conftest import Run, Start
from tests.git.schedules import POINTS, Template, World, at, fork, settle
from tests.git.users import User


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template.make(tmp_path_factory.mktemp("template"))


def die_at(world: World, point: int) -> int:
    """Sync in another process, which is killed at a point; how it ended."""
    agent = world.agents[0]

    def sync() -> None:
        with at(point, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            asyncio.run(agent.sync())

    _, status = os.waitpid(fork(sync), 0)
    settle()
    return status


def position(world: World) -> Position:
    return journal.read(world.user.root / ".git/glovebox/mirrors/s1")


def die_at_every_point(template: Template, tmp_path: Path, points: range) -> list[str]:
    steps: list[str] = []
    for point in points:
        world = template.copy(tmp_path / str(point))
        agent = world.agents[0]
        agent.at.write("made.txt", "1\n")
        first = asyncio.run(agent.sync()).commit
        agent.at.write("made.txt", "2\n")
        if die_at(world, point) == 0:
            break
        step = position(world).step
        steps.append(step)
        home = asyncio.run(agent.engine.replay())
        head = agent.at.git("rev-parse", "HEAD")
        if step in ("carried", "verified"):
            assert home is not None and (home.problem, home.commit) == (None, head), point
            assert world.user.git("rev-parse", "glovebox/1") == head
        else:
            assert home is None
        assert str(asyncio.run(agent.engine.standing(agent.inside))) == (
            "synced" if position(world).tip == head != first else "ahead 1"
        ), point

        done = asyncio.run(agent.sync())

        assert (done.problem, done.branch, done.notes) == (None, "glovebox/1", ()), point
        assert world.user.git("show", "glovebox/1:made.txt") == "2"
        world.check_home(agent, done)
        assert str(asyncio.run(agent.engine.standing(agent.inside))) == "synced"
    return steps


@pytest.mark.slow
def test_a_sync_killed_at_any_point_is_made_up_for(template: Template, tmp_path: Path) -> None:
    steps = die_at_every_point(template, tmp_path, range(1, 2 * POINTS))
    assert set(steps) == {"bundled", "carried", "verified", "mirrored"}
    assert POINTS / 2 < len(steps) < 2 * POINTS


def test_a_sync_killed_at_some_points_is_made_up_for(template: Template, tmp_path: Path) -> None:
    assert len(die_at_every_point(template, tmp_path, range(4, POINTS, 4))) >= 5


def test_an_undo_killed_at_any_point_leaves_all_work_and_one_truth(
    template: Template, tmp_path: Path
) -> None:
    for point in range(6, 60, 6):
        world = template.copy(tmp_path / str(point))
        agent = world.agents[0]
        agent.at.write("made.txt", "1\n")
        first = asyncio.run(agent.sync()).commit
        agent.at.write("made.txt", "2\n")
        agent.tips.append(asyncio.run(agent.sync()).commit)
        agent.at.write("made.txt", "3\n")
        world.busy.add(agent.name)

        def undo(agent=agent, first=first, point=point) -> None:
            with at(point, lambda: os.kill(os.getpid(), signal.SIGKILL)):
                asyncio.run(agent.engine.undo(agent.inside, to=first))

        os.waitpid(fork(undo), 0)
        settle()
        world.learn({})

        world.finish()

        assert world.refs()["refs/heads/glovebox/1"] == agent.at.git("rev-parse", "HEAD")


async def synced(run: Run) -> str:
    done = await run.go()
    assert done.problem is None
    return done.commit


@contextmanager
def no_fetch(run: Run, *, but_does: bool = False, unless: str = "false") -> Generator[None]:
    """A git on this side that cannot fetch, or says so after it did, `unless` a command works."""
    place = run.inside.work.parent / "here"
    place.mkdir()
    does = '/usr/bin/git "$@"' if but_does else ":"
    fails = f'*" fetch "*) {unless} 2>/dev/null || {{ {does}; exit 1; }};;'
    script = f'#!/bin/sh\ncase " $* " in {fails} esac\nexec /usr/bin/git "$@"\n'
    (place / "git").write_text(script)
    (place / "git").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{place}:{os.environ['PATH']}")
        yield


async def test_what_was_carried_comes_home_without_the_sandbox(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    with no_fetch(run):
        done = await run.go()
    assert done.problem is not None
    assert str(await run.sync.standing()).startswith("failed (`git fetch` failed")
    assert "refs/heads/glovebox/1" not in user.refs()

    home = await run.sync.replay()

    assert home is not None and (home.problem, home.files) == (None, 1)
    assert user.git("rev-parse", "glovebox/1") == home.commit
    assert str(await run.sync.standing()) == "synced"
    assert await run.sync.replay() is None


async def test_a_carried_bundle_that_is_damaged_is_carried_again(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    with no_fetch(run):
        await run.go()
    (user.root / ".git/glovebox/mirrors/s1/bundle").write_bytes(b"# v2 git bundle\n")

    home = await run.sync.replay()

    assert home is not None and home.problem is not None
    assert str(await run.sync.standing(run.inside)).startswith("failed (")
    assert await synced(run) == user.git("rev-parse", "glovebox/1")


async def test_locks_of_a_git_that_was_killed_do_not_hold_up_the_work(
    user: User, start: Start
) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    await synced(run)
    run.agent.write("made.txt", "2\n")
    (user.root / ".git/refs/glovebox/s1/tip.lock").write_text("")
    await synced(run)
    tip = user.refs()["refs/glovebox/s1/tip"]
    user.git("update-ref", "refs/heads/glovebox/1", f"{tip}~1")
    lock = user.root / ".git/refs/heads/glovebox/1.lock"
    lock.write_text(f"{tip}\n")
    run.agent.write("made.txt", "3\n")

    done = await run.go()

    assert done.problem is None
    assert not lock.exists()


async def test_a_torn_line_of_the_journal_counts_as_not_written(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    first = await synced(run)
    file = user.root / ".git/glovebox/mirrors/s1/journal.jsonl"
    with file.open("ab") as end:
        end.write(b'{"step":"carried","tip":"')
    assert journal.read(file.parent).value == first
    run.agent.write("made.txt", "2\n")

    second = await synced(run)

    assert journal.read(file.parent).value == second
    assert user.git("rev-parse", "glovebox/1") == second


async def test_a_long_journal_is_made_short(
    user: User, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_LINES_MAX_BYTES", 2000)
    run = await start(user)
    for turn in range(6):
        run.agent.write("made.txt", f"{turn}\n")
        assert await synced(run) == user.git("rev-parse", "glovebox/1")
    assert (user.root / ".git/glovebox/mirrors/s1/journal.jsonl").stat().st_size < 6000


async def test_a_mirror_without_its_journal_goes_on(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    await synced(run)
    for path in (user.root / ".git/glovebox/mirrors/s1").iterdir():
        path.unlink()
    run.agent.write("made.txt", "2\n")

    done = await run.go()

    assert (done.problem, done.branch, done.notes) == (None, "glovebox/1", ())


async def test_two_processes_do_not_sync_the_same_mirror_at_once(
    user: User, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_WAIT_SECONDS", 0.0)
    run = await start(user)
    async with journal.held(user.root / ".git/glovebox/mirrors/s1"):
        done = await run.go()
        with pytest.raises(SyncError):
            await run.undo(run.seeded.tip)
    assert done.problem is not None
    assert "another process" in done.problem.message


async def test_the_state_shown_counts_what_is_inside(user: User, start: Start) -> None:
    run = await start(user)
    shown = run.sync.standing
    assert str(await shown(run.inside)) == "synced"
    run.agent.write("loose.txt")
    assert str(await shown(run.inside)) == "ahead 1"
    run.agent.commit("mine", **{"x.txt": "1\n"})
    run.agent.commit("mine", **{"x.txt": "2\n"})
    run.agent.write("loose.txt", "more\n")
    assert str(await shown(run.inside)) == "ahead 3"
    User.start(run.inside.work / "nested")
    assert run.agent.git("status", "--porcelain", "loose.txt") == " M loose.txt"
    await synced(run)
    assert str(await shown(run.inside)) == "synced"
    user.git("update-ref", "-d", "refs/glovebox/s1/tip")
    assert str(await shown(run.inside)) != "synced"


async def test_what_has_arrived_is_not_counted_as_inside_only(user: User, start: Start) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    with no_fetch(run, but_does=True):
        assert (await run.go()).problem is not None

    shown = await run.sync.standing(run.inside)

    assert (shown.state, shown.ahead) == ("failed", 0)


async def test_a_fetch_that_a_garbage_collection_broke_is_made_again(
    user: User, start: Start, tmp_path: Path
) -> None:
    run = await start(user)
    run.agent.write("made.txt", "1\n")
    once = tmp_path / "once"
    once.mkdir()
    with no_fetch(run, unless=f"! rmdir {once}"):
        assert (await run.go()).problem is None
    assert not once.exists()
