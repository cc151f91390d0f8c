from __future__ import annotations

import asyncio
import time

import pytest

from agent.host.process import ProcessTimeout, run, spare_threads

ENV = {"PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize("limit", [1, 1000, 64_000_000])
async def test_a_program_that_floods_ends_at_its_deadline(limit: int) -> None:
    async with asyncio.timeout(30):
        for _ in range(3):
            with pytest.raises(ProcessTimeout):
                await run(["yes"], env=ENV, seconds=0.2, limit=limit)


async def test_a_pipe_that_an_escaped_program_holds_does_not_hold_us() -> None:
    async with asyncio.timeout(30):
        with pytest.raises(ProcessTimeout):
            await run(["sh", "-c", "setsid sleep 3 & exit 0"], env=ENV, seconds=0.2)


async def test_a_cancelled_run_leaves_nothing_running() -> None:
    task = asyncio.create_task(run(["yes"], env=ENV))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(30):
            await task


def test_a_loop_that_spares_threads_leaves_other_loops_as_they_were() -> None:
    async def starts() -> int:
        return (await run(["true"], env=ENV, seconds=60)).exit_code

    async def spares() -> int:
        with spare_threads():
            return await starts()

    with asyncio.Runner() as other:
        assert other.run(starts()) == 0
        assert asyncio.run(spares()) == 0
        assert other.run(starts()) == 0


def test_a_program_that_is_over_when_its_run_is_cancelled_is_nothing_to_warn_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def cancelled() -> None:
        with spare_threads():
            for turns in range(24):
                task = asyncio.create_task(run(["true"], env=ENV))
                for _ in range(turns % 12):
                    await asyncio.sleep(0)
                time.sleep(0.01)  # it ends while the loop does not look
                task.cancel()
                await asyncio.wait({task})

    asyncio.run(cancelled())
    assert caplog.records == []
