"""What a provider's limits do to a run: nothing but that it takes longer."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.conversation import Clock
from tests.benchmarks.test_harness import benchmarks, results, user
from tests.benchmarks.test_tasks import make
from tests.e2e.rig import User
from tests.servers.openai import Fault, OpenAIServer, say

__all__ = ["user"]

STORM = 24
"""So many refusals that one trial alone would give up, were they not waited for together."""


async def test_what_was_waited_is_not_of_the_time_there_is() -> None:
    loop, late = asyncio.get_running_loop(), asyncio.Event()
    begun, looks = loop.time(), 0

    def waited() -> float:
        nonlocal looks
        looks += 1
        return loop.time() - begun if looks < 50 else 0.5

    clock = Clock(0.01, waited, late.set)
    async with asyncio.timeout(60):
        await late.wait()

    assert looks >= 50
    assert loop.time() - begun >= 0.5
    assert clock.took < loop.time() - begun - 0.4


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_storm_of_refusals_costs_no_trial_its_verdict(user: User) -> None:
    for name in "abc":
        make(user.home / "tasks" / name)
    busy = Fault(429, "slow down", headers={"Retry-After": "0.1"})
    with OpenAIServer([busy] * STORM + [say("done")] * 3) as server:
        model = ("--model", "openai/test-model", "--out", str(user.home / "runs"))
        at_once = ("--jobs", "3", "--graders", "1")
        done = benchmarks(
            user, "run", "local", str(user.home / "tasks"), *model, *at_once,
            OPENAI_BASE_URL=server.url,
        )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.requests) == STORM + 3
    rows = results(user).values()
    assert [(row["outcome"], row["reason"]) for row in rows] == [("passed", "")] * 3
    assert max(row["waited"] for row in rows) > 0.5
    assert all(row["seconds"] >= 0 for row in rows)
