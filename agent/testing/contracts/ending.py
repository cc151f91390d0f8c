"""Promises about how programs end, and what they may leave running."""

from __future__ import annotations

import asyncio

from agent.sandbox.protocol import Sandbox
from agent.testing import chores, programs
from agent.testing.contracts.promise import done, killed, of_sandbox, running


@of_sandbox
async def at_the_deadline_the_whole_group_is_killed_and_output_kept(sandbox: Sandbox) -> None:
    result = await sandbox.exec(programs.print_and_wait("before", "86399"), seconds=0.5)
    assert (result.exit_code, result.timed_out, result.output) == (None, True, b"before\n")
    assert not await running(sandbox, "86399")


@of_sandbox
async def a_program_that_ignores_the_end_is_killed_too(sandbox: Sandbox) -> None:
    result = await sandbox.exec(programs.ignore_the_end("86398"), seconds=0.3)
    assert (result.exit_code, result.timed_out, result.output) == (None, True, b"deaf\n")
    assert not await running(sandbox, "86398")


@of_sandbox
async def a_program_may_tidy_up_when_it_is_told_to_end(sandbox: Sandbox) -> None:
    for seconds in (0.5, 5.0, 50.0):
        result = await sandbox.exec(programs.tidy_up("86397"), seconds=seconds)
        assert (result.exit_code, result.timed_out) == (None, True)
        if result.output:  # it was up before its time was over
            break
    assert result.output == b"up\ntidied\n"


@of_sandbox
async def a_cancel_kills_the_whole_group_and_keeps_output(sandbox: Sandbox) -> None:
    seen = bytearray()
    up = asyncio.Event()

    def hear(data: bytes) -> None:
        seen.extend(data)
        up.set()

    task = asyncio.create_task(sandbox.exec(programs.tidy_up("86396"), on_output=hear))
    await up.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert bytes(seen) == b"up\ntidied\n"
    assert not await running(sandbox, "86396")


@of_sandbox
async def it_returns_when_the_program_ends_not_what_it_leaves_running(sandbox: Sandbox) -> None:
    result = await sandbox.exec(programs.leave_running("86395"), seconds=30)
    assert (result.exit_code, result.timed_out, result.output) == (0, False, b"started\n")
    assert await running(sandbox, "86395")
    assert await killed(sandbox, "86395")


@of_sandbox
async def what_keeps_running_can_go_on_writing(sandbox: Sandbox) -> None:
    await done(sandbox, programs.leave_counting("ticks", "86390"))
    assert await running(sandbox, "86390")
    await done(sandbox, programs.await_growth("ticks", 20))
    assert await killed(sandbox, "86390")
    await done(sandbox, chores.remove("ticks"))
