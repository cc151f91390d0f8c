"""Forks of real sessions in local sandboxes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import pytest

from agent import upkeep
from agent.app import Options, fork_session, open_session
from agent.config import Settings
from agent.core.errors import SandboxLost, UserError
from agent.core.events import Notice, SyncFinished
from agent.core.messages import AssistantMessage, ToolCall, UserMessage
from agent.llm.protocol import Request
from agent.outcome import Outcomes
from agent.session.session import Session
from agent.testing.model import Scripted
from tests.e2e.rig import User

pytestmark = pytest.mark.sandbox


def obey(request: Request) -> AssistantMessage:
    """Runs what the user says as a script, then is done."""
    last = request.messages[-1]
    if not isinstance(last, UserMessage):
        return AssistantMessage("done")
    call = ToolCall(f"c{len(request.messages)}", "bash", {"command": last.text})
    return AssistantMessage("", calls=(call,), stop="calls")


LLM = Scripted([obey] * 1000)


@dataclass
class Place:
    """A repository, and sessions of it in this process."""

    user: User
    options: Options

    @asynccontextmanager
    async def session(self, wanted: str | None = None) -> AsyncGenerator[Session]:
        options = self.options if wanted is None else self._resumed(wanted)
        session = await open_session(options, llm=LLM)
        try:
            yield session
        finally:
            await session.close()

    def _resumed(self, wanted: str) -> Options:
        return Options(self.options.directory, self.options.settings, resume=wanted)

    @asynccontextmanager
    async def fork(self, wanted: str, **more: object) -> AsyncGenerator[Session]:
        session = await fork_session(self.options, wanted, llm=LLM, **more)  # type: ignore[arg-type]
        try:
            yield session
        finally:
            await session.close()


@pytest.fixture
def place(user: User, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    user.start()
    settings = Settings(model="scripted", sandbox="local", network="none")
    return Place(user, Options(user.repo, settings))


async def say(session: Session, *scripts: str) -> None:
    for script in scripts:
        async for record in session.send(script):
            if isinstance(record.event, SyncFinished):
                assert record.event.problem is None, record.event


async def inside(session: Session, script: str) -> str:
    done = await (await session.enter()).sandbox.exec(["sh", "-c", script])
    assert done.exit_code == 0, done.output
    return done.output.decode()


async def test_a_fork_goes_on_beside_the_other(place: Place) -> None:
    user = place.user
    (user.repo / "dirty.txt").write_text("uncommitted\n")
    async with place.session() as source:
        await say(source, "echo 1 >a", "echo 2 >>a; rm hello.txt")
        before = user.fingerprint()
        async with place.fork("1", source=source) as fork:
            assert (fork.number, fork.branch) == (2, "glovebox/2")
            assert fork.state.history.messages == source.state.history.messages
            tip = user.git("rev-parse", "glovebox/1")
            assert user.git("rev-parse", "glovebox/2") == tip
            assert await inside(fork, "cat a; ls; git symbolic-ref HEAD") == (
                "1\n2\na\ndirty.txt\nrefs/heads/glovebox/2\n"
            )
            await say(fork, "echo fork >>a")
            await say(source, "echo source >>a")
            assert user.git("show", "glovebox/2:a") == "1\n2\nfork"
            assert user.git("show", "glovebox/1:a") == "1\n2\nsource"
            assert "+fork" in (diff := await fork.diff()) and "+1" in diff
            assert "dirty" not in diff and "-hello" in diff
    outcomes = await Outcomes.of(user.repo)
    one, two = outcomes.find("1").work, outcomes.find("2").work
    assert (one.base, one.start) == (two.base, two.start)
    assert user.fingerprint() == before
    user.git("fsck", "--strict", "--no-dangling")


async def test_what_is_only_inside_comes_home_first(place: Place) -> None:
    async with place.session() as source:
        await say(source, "echo 1 >a")
        context = await source.visit("by hand")
        await context.sandbox.exec(["sh", "-c", "echo hand >b"])
    async with place.fork("1") as fork:
        assert await inside(fork, "cat a b; git status --porcelain") == "1\nhand\n"
    assert place.user.git("show", "glovebox/1:b") == "hand"


async def test_where_the_sandbox_is_gone_for_ever_it_has_what_came_home(place: Place) -> None:
    async with place.session() as source:
        await say(source, "echo 1 >a")
        context = await source.visit("by hand")
        await context.sandbox.exec(["sh", "-c", "echo hand >b"])
    shutil.rmtree(place.user.state / "glovebox" / "sandboxes" / source.id)
    async with place.session("1") as source:
        with pytest.raises(SandboxLost) as raised:
            await source.enter()
        assert "--fork" in raised.value.hint
    async with place.fork("1") as fork:
        assert await inside(fork, "cat a; ls b 2>/dev/null; true") == "1\n"
        assert fork.state.history.messages == source.state.history.messages
        told = [one.event for one in fork.past() if isinstance(one.event, Notice)]
        assert ["only in its sandbox" in one.text for one in told] == [True]
        await say(fork, "echo 2 >>a")
    assert place.user.git("show", "glovebox/2:a") == "1\n2"


async def test_an_earlier_turn_is_where_it_begins_and_undo_reaches_before(place: Place) -> None:
    async with place.session() as source:
        await say(source, "echo 1 >a", "echo 2 >a", "echo 3 >a")
        async for _ in source.undo():
            pass
    for turn, text in ((0, ""), (1, "1\n"), (3, "3\n")):
        async with place.fork("1", turn=turn) as fork:
            assert await inside(fork, "cat a 2>/dev/null; true") == text
            assert len(fork.state.history.messages) == 4 * turn
            if turn:
                assert place.user.git("show", f"{fork.branch}:a") == text.strip()
            if turn == 3:
                async for _ in fork.undo(2):
                    pass
                assert await inside(fork, "cat a") == "1\n"
                async for _ in fork.redo():
                    pass
                assert place.user.git("show", f"{fork.branch}:a") == "3"


async def test_a_fork_of_a_fork_after_the_first_are_gone(place: Place) -> None:
    user = place.user
    async with place.session() as source:
        await say(source, "echo 1 >a")
    async with place.fork("1") as fork:
        await say(fork, "echo 2 >>a")
    await upkeep.remove(user.repo, "1")
    user.git("branch", "-D", "glovebox/1")
    async with place.fork("2"):
        pass  # nobody has done anything in it
    await upkeep.remove(user.repo, "2")
    user.git("branch", "-D", "glovebox/2", "glovebox/3")
    user.git("reflog", "expire", "--expire=now", "--all")
    user.git("gc", "--quiet", "--prune=now")
    async with place.session("3") as third:
        assert await inside(third, "cat a") == "1\n2\n"
        assert "+1" in await third.diff()
        await say(third, "echo 3 >>a")
    assert user.git("show", "glovebox/3:a") == "1\n2\n3"


async def test_in_the_middle_of_a_turn_the_fork_has_the_files_of_the_moment(place: Place) -> None:
    async with place.session() as source:
        await say(source, "echo 1 >a")
        turn = asyncio.create_task(say(source, "echo 2 >a; echo >/tmp/there; sleep 1000"))
        await inside(source, "until test -e /tmp/there; do sleep 0.05; done")
        async with place.fork("1", source=source, fresh=True) as fork:
            assert await inside(fork, "cat a") == "2\n"
            assert fork.state.history.messages == ()
        source.interrupt()
        await turn
        assert source.state.sync == "synced"


async def test_a_running_session_that_is_behind_is_not_forked_from_outside(place: Place) -> None:
    async with place.session() as source:
        await say(source, "echo 1 >a")
        async with place.fork("1") as fork:  # nothing is missing: it may
            assert await inside(fork, "cat a") == "1\n"
        await source.visit("by hand")
        with pytest.raises(UserError, match="is running, and not all"):
            async with place.fork("1"):
                pass


async def test_a_fork_that_was_killed_at_its_start_is_made_up_for(place: Place) -> None:
    """Each prefix of what a fork's start writes after its beginning leads to the same."""
    user = place.user
    async with place.session() as source:
        await say(source, "echo 1 >a")
    async with place.fork("1") as fork:
        await inside(fork, "true")
    path = next(p for p in user.journals() if b'"Forked"' in p.read_bytes())
    lines = path.read_bytes().splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if b'"Forked"' in line) + 1
    assert len(lines) > first + 3
    for end in range(first, len(lines)):
        path.write_bytes(b"".join(lines[:end]))
        if not any(b'"Seeded"' in line for line in lines[first:end]):
            work = user.state / "glovebox" / "sandboxes" / path.parent.name / "work"
            shutil.rmtree(work / ".git", ignore_errors=True)  # it was not planted yet
        async with place.session("2") as again:
            assert await inside(again, "cat a; git symbolic-ref HEAD") == (
                "1\nrefs/heads/glovebox/2\n"
            )
            assert user.git("show", "glovebox/2:a") == "1"
    async with place.session("2") as again:
        await say(again, "echo 2 >>a")
    assert user.git("show", "glovebox/2:a") == "1\n2"


async def test_a_fork_that_never_had_a_sandbox_is_removed(place: Place) -> None:
    user = place.user
    async with place.session() as source:
        await say(source, "echo 1 >a")
    async with place.fork("1") as fork:
        await inside(fork, "true")
        root = user.state / "glovebox" / "sandboxes" / fork.id
    path = next(p for p in user.journals() if b'"Forked"' in p.read_bytes())
    lines = path.read_bytes().splitlines(keepends=True)
    end = next(n for n, line in enumerate(lines) if b'"Forked"' in line) + 1
    path.write_bytes(b"".join(lines[:end]))
    removed = await upkeep.remove(user.repo, "2")
    assert removed.number == 2 and not root.exists()
    with pytest.raises(UserError, match="no session fits"):
        await upkeep.remove(user.repo, "2")


def plain(user: User) -> None:
    shutil.rmtree(user.repo / ".git")


def unborn(user: User) -> None:
    shutil.rmtree(user.repo / ".git")
    user.git("init", "-q", "-b", "main")


def shallow(user: User) -> None:
    for n in range(3):
        user.git("commit", "-q", "--allow-empty", "-m", f"more {n}")
    whole = user.repo.rename(user.home / "whole")
    url = f"file://{whole}"
    user.git("clone", "-q", "--depth", "2", url, str(user.repo), at=user.home)


def branched(user: User) -> None:
    """The user has gone on, elsewhere, with what the fork's history does not have."""
    for n in range(3):
        user.git("commit", "-q", "--allow-empty", "-m", f"more {n}")


@pytest.mark.slow
@pytest.mark.parametrize("history", ["auto", 1])
@pytest.mark.parametrize("kind", [plain, unborn, shallow, branched])
async def test_every_kind_of_repository_is_forked(
    place: Place, kind: Callable[[User], None], history: Literal["auto"] | int
) -> None:
    user = place.user
    kind(user)
    settings = msgspec.structs.replace(place.options.settings, history=history)
    place.options = replace(place.options, settings=settings)
    async with place.session() as source:
        await say(source, "echo 1 >a", "echo 2 >>a; git add a; git commit -qm own; echo 3 >>a")
    if kind is branched:
        user.git("checkout", "-q", "--orphan", "elsewhere")
        (user.repo / "theirs.txt").write_text("theirs\n")
        user.git("add", "-A")
        user.git("commit", "-q", "-m", "unrelated")
    async with place.fork("1") as fork:
        assert await inside(fork, "cat a; ls; git status --porcelain") == "1\n2\n3\na\nhello.txt\n"
        assert "+3" in await fork.diff()
        await say(fork, "echo 4 >>a")
        async for _ in fork.undo(2):
            pass
        assert await inside(fork, "cat a") == "1\n"
        async for _ in fork.redo():
            pass
    async with place.fork("2") as again:
        assert await inside(again, "cat a; git fsck --no-dangling") == "1\n2\n3\n4\n"
