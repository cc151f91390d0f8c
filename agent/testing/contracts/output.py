"""Promises about output: how much is kept, what is live, and that nothing mixes."""

from __future__ import annotations

import asyncio

from agent.core.errors import SandboxError
from agent.core.limits import LIVE_MAX_BYTES, OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES
from agent.sandbox.protocol import Sandbox
from agent.testing import programs
from agent.testing.contracts.promise import error_of, of_sandbox, raised, running, same

_KEPT = OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES
_COUNTED = b"".join(b"%06d\n" % n for n in range(20_000))


@of_sandbox
async def output_beyond_the_cap_keeps_head_and_tail_and_counts_the_rest(sandbox: Sandbox) -> None:
    result = await sandbox.exec(programs.count(20_000))
    same(result.output, _COUNTED[:OUTPUT_HEAD_BYTES] + _COUNTED[-OUTPUT_TAIL_BYTES:])
    assert result.dropped == len(_COUNTED) - _KEPT
    assert result.log == ""


@of_sandbox
async def the_whole_of_cut_output_is_in_the_log(sandbox: Sandbox) -> None:
    log = "/tmp/logs/whole.log"
    result = await sandbox.exec(programs.count(20_000), log=log)
    assert result.log == log
    same(await sandbox.get(log, limit=1_000_000), _COUNTED)


@of_sandbox
async def output_that_fits_leaves_no_log(sandbox: Sandbox) -> None:
    log = "/tmp/logs/fits.log"
    result = await sandbox.exec(programs.flood(_KEPT), log=log)
    assert (len(result.output), result.dropped, result.log) == (_KEPT, 0, "")
    raised(await error_of(sandbox.get(log, limit=_KEPT)), SandboxError)


@of_sandbox
async def live_output_is_a_prefix_of_the_whole(sandbox: Sandbox) -> None:
    seen = bytearray()
    result = await sandbox.exec(programs.repeat("live", 2_000), on_output=seen.extend)
    same(bytes(seen), result.output)
    assert result.output.startswith(b"live-1\nlive-2\n")


@of_sandbox
async def a_flood_of_output_does_not_reach_the_host(sandbox: Sandbox) -> None:
    seen = bytearray()
    result = await sandbox.exec(programs.flood(50_000_000), on_output=seen.extend)
    assert (len(result.output), result.dropped) == (_KEPT, 50_000_000 - _KEPT)
    same(bytes(seen), b"x" * LIVE_MAX_BYTES)


@of_sandbox
async def a_listener_that_fails_ends_the_program_and_nothing_else(sandbox: Sandbox) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    argv = programs.print_and_wait("up", "86394")
    task = asyncio.create_task(sandbox.exec(argv, on_output=fail))
    await asyncio.wait([task])
    assert isinstance(task.exception(), ZeroDivisionError)
    assert not await running(sandbox, "86394")


@of_sandbox
async def eight_programs_at_once_do_not_mix(sandbox: Sandbox) -> None:
    async def one(n: int) -> tuple[bytes, bytes]:
        live = bytearray()
        result = await sandbox.exec(programs.repeat(n, 200), on_output=live.extend)
        return result.output, bytes(live)

    for n, (output, live) in enumerate(await asyncio.gather(*(one(n) for n in range(8)))):
        expected = b"".join(b"%d-%d\n" % (n, i) for i in range(1, 201))
        same(output, expected)
        same(live, expected)
