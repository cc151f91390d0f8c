"""kill -9 of the host process at any moment: nothing survives it but the work."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest

from agent.core.events import CallFinished, SyncFinished
from agent.session import journal
from agent.session.state import State
from tests.e2e.rig import User, traces
from tests.e2e.worker import STEPS
from tests.nesting import assert_nested

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

TRIES = 10
_GONE_SECONDS = 20.0


def work(user: User, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.worker", str(user.repo), *more],
        env=user.environment | {"PYTHONPATH": os.getcwd()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def assert_nothing_runs(user: User) -> None:
    """Nothing may be left; what the kernel is still tearing down gets its time."""
    deadline = time.monotonic() + _GONE_SECONDS
    while left := traces(user):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def finished(user: User) -> dict[str, bool]:
    """Calls with a result in the journal, and whether they were answered by the tool itself."""
    records, _ = journal.read(user.journals()[-1])
    results = [r.event.result for r in records if isinstance(r.event, CallFinished)]
    return {r.call_id: "interrupted" not in r.details for r in results}


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_session_goes_on_with_all_finished_work(user: User, seed: int):
    chance = random.Random(seed)
    user.start()
    (user.repo / "dirty.txt").write_text("uncommitted\n")
    before = user.fingerprint()
    for attempt in range(TRIES):
        process = work(user, *(["--continue"] if user.has_session() else []))
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
        assert "Traceback" not in error, (attempt, error)
        assert_nothing_runs(user)
        assert user.fingerprint() == before
        user.git("fsck", "--strict", "--no-dangling")
    done = finished(user)

    process = work(user, "--continue")
    output, error = process.communicate()
    assert process.returncode == 0, error.decode()
    assert output.endswith(b"closed\n")
    records, _ = journal.read(user.journals()[-1])
    assert_nested(records)
    state = State()
    for record in records:
        state.apply(record)
    last = [r.event for r in records if isinstance(r.event, SyncFinished)][-1]
    assert last.problem is None
    assert user.git("rev-parse", last.branch) == last.commit
    assert user.fingerprint() == before
    assert len(state.history.messages) >= state.turn
    for call, by_the_tool in done.items():
        turn, step = call.removeprefix("c").split("-")
        if by_the_tool:
            lines_of_turn = user.git("show", f"{last.branch}:turn-{turn}.txt").splitlines()
            assert step in lines_of_turn, (call, lines_of_turn)
    assert user.git("show", f"{last.branch}:turn-{state.turn}.txt").split() == [
        str(step) for step in range(STEPS)
    ]
    assert_nothing_runs(user)
