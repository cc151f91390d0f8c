"""kill -9 of the host process at any moment: nothing survives it but the work.

Two hundred instants in all, most over the local sandbox, some over containers and over Daytona's
test server. Each seed is one session, or a line of forks, killed `TRIES` times and gone on with.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core.events import CallFinished, SyncFinished
from agent.core.messages import UserMessage
from agent.host import files
from agent.sandbox.registry import open_backend
from agent.session import journal
from agent.session.state import State
from tests.daytona_fixtures import serving
from tests.docker.engine import docker_spec, run
from tests.e2e.rig import User, traces
from tests.e2e.worker import STEPS
from tests.nesting import assert_nested
from tests.servers.daytona.server import KEY

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

TRIES = 10
LOCAL, ELSEWHERE = 14, 3  # seeds, of `TRIES` instants each: 200 with both of the others
_GONE_SECONDS = 20.0


@dataclass(frozen=True)
class Where:
    """Where the hands of a session are; `there` tells which sandboxes there are, by ref."""

    user: User
    words: tuple[str, ...]
    there: Callable[[], set[str]]
    leaves_nothing: bool  # a sandbox ends with the process that used it


def assert_nothing_runs(user: User) -> None:
    """Nothing may be left; what the kernel is still tearing down gets its time."""
    deadline = time.monotonic() + _GONE_SECONDS
    while left := traces(user):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


@contextmanager
def local(user: User) -> Generator[Where]:
    def there() -> set[str]:
        backend = open_backend("local", user.state / "glovebox" / "sandboxes")
        return set(asyncio.run(backend.find({})))

    yield Where(user, ("--sandbox", "local"), there, leaves_nothing=True)


@contextmanager
def docker(_: User) -> Generator[Where]:
    with files.temporary_dir("gbk-", shared=True) as folder:
        user = User(Path(folder))

        def there() -> set[str]:
            names = run("ps", "--all", "--format", "{{.Names}}").split()
            own = {path.parent.name for path in user.journals()}
            return {f"docker:{n.removeprefix('glovebox-')}" for n in names if n[9:] in own}

        yield Where(user, ("--sandbox", "docker", "--image", docker_spec().image), there, False)


@contextmanager
def daytona(user: User) -> Generator[Where]:
    with serving() as server:
        named = {"DAYTONA_API_KEY": KEY, "DAYTONA_API_URL": server.url, "NO_PROXY": "127.0.0.1"}
        user.environment |= named

        def there() -> set[str]:
            return {f"daytona:{box.id}" for box in server.living()}

        yield Where(user, ("--sandbox", "daytona"), there, False)


def work(where: Where, *more: str) -> subprocess.Popen[bytes]:
    user = where.user
    return subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.worker", str(user.repo), *where.words, *more],
        env=user.environment | {"PYTHONPATH": os.getcwd()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def kill(where: Where, chance: random.Random) -> str:
    """Have a session begin or go on, and end its process somewhere; what it complained of."""
    forks = chance.random() < 0.2
    more = [("--fork" if forks else "--continue")] if where.user.has_session() else []
    process = work(where, *more)
    assert process.stdout is not None and process.stderr is not None
    # Some kills fall into the start and the seeding, some into the calls and the sync.
    lines = chance.choice([0, 1, 2, 4, 6, 12, 30, 60, 75])
    for _ in range(lines):
        if not process.stdout.readline():
            break
    time.sleep(chance.random() * (0.05 if lines else 0.6))
    process.kill()
    process.stdout.close()
    error = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    return error


def finished(user: User) -> dict[str, bool]:
    """Calls with a result in the journal, and whether they were answered by the tool itself."""
    records, _ = journal.read(user.journals()[-1])
    results = [r.event.result for r in records if isinstance(r.event, CallFinished)]
    return {r.call_id: "interrupted" not in r.details for r in results}


def gone_on_with(where: Where) -> State:
    """Let the session used last do a turn undisturbed, and what it is then."""
    process = work(where, "--continue")
    output, error = process.communicate()
    assert process.returncode == 0, error.decode()
    assert output.endswith(b"closed\n")
    records, _ = journal.read(where.user.journals()[-1])
    assert_nested(records)
    state = State()
    for record in records:
        state.apply(record)
    last = [r.event for r in records if isinstance(r.event, SyncFinished)][-1]
    assert last.problem is None
    assert where.user.git("rev-parse", last.branch) == last.commit
    assert len(state.history.messages) >= state.turn
    return state


def clear(where: Where) -> None:
    """What is left belongs to sessions that can be gone on with, and goes with them."""
    user = where.user
    reaped = user.glovebox("reap")
    assert reaped.code == 0, reaped.err
    known = b"".join(path.read_bytes() for path in user.journals())
    assert all(
        ref.encode() in known or ref.partition(":")[2].encode() in known for ref in where.there()
    ), where.there()
    listed = user.glovebox("sessions", "--json")
    assert listed.code == 0, listed.err
    for number in range(1, listed.out.count("\n") + 1):
        removed = user.glovebox("rm", str(number), "--force", "--no-rescue")
        assert removed.code == 0, removed.err
    assert where.there() == set()
    assert_nothing_runs(user)


CASES = [
    *((local, seed) for seed in range(LOCAL)),
    *(pytest.param(docker, seed, marks=pytest.mark.docker) for seed in range(ELSEWHERE)),
    *((daytona, seed) for seed in range(ELSEWHERE)),
]


@pytest.mark.parametrize(("place", "seed"), CASES)
def test_a_killed_session_goes_on_with_all_finished_work(
    user: User, place: Callable[[User], AbstractContextManager[Where]], seed: int
) -> None:
    chance = random.Random(seed)
    with place(user) as where:
        user = where.user
        user.start()
        (user.repo / "dirty.txt").write_text("uncommitted\n")
        before = user.fingerprint()
        for attempt in range(TRIES):
            error = kill(where, chance)
            assert "Traceback" not in error, (attempt, error)
            if where.leaves_nothing:
                assert_nothing_runs(user)
            assert user.fingerprint() == before
            user.git("fsck", "--strict", "--no-dangling")
        done = finished(user)
        state = gone_on_with(where)
        assert user.fingerprint() == before
        for call, by_the_tool in done.items():
            turn, step = call.removeprefix("c").split("-")
            if by_the_tool:
                lines_of_turn = user.git("show", f"{state.branch}:turn-{turn}.txt").splitlines()
                assert step in lines_of_turn, (call, lines_of_turn)
        turns = sum(isinstance(m, UserMessage) for m in state.history.messages)
        assert user.git("show", f"{state.branch}:turn-{turns}.txt").split() == [
            str(step) for step in range(STEPS)
        ]
        clear(where)
