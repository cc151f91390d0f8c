"""Promises about programs whose streams somebody holds while they run."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent.core.limits import OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES
from agent.sandbox.protocol import Program, Sandbox, Size
from agent.testing import chores, programs
from agent.testing.contracts.promise import done, of_sandbox, running


async def _held(
    sandbox: Sandbox, argv: Sequence[str], stdin: bytes = b""
) -> tuple[int | None, bytes, bytes]:
    """Exit code, stdout and stderr."""
    got = {"stdout": bytearray(), "stderr": bytearray()}
    async with sandbox.interact(argv) as program:

        async def feed() -> None:
            await program.send(stdin)
            await program.end()

        feeding = asyncio.create_task(feed())
        async for stream, piece in program.output():
            got[stream] += piece
        await feeding
    return program.exit_code, bytes(got["stdout"]), bytes(got["stderr"])


async def _all(program: Program) -> bytes:
    return b"".join([piece async for _, piece in program.output()])


@of_sandbox
async def the_streams_of_a_held_program_come_apart_and_uncut(sandbox: Sandbox) -> None:
    size = 3 * (OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES)
    code, out, err = await _held(sandbox, programs.flood_both_ways(size))
    assert (code, out == bytes(size), err == b"x" * size) == (7, True, True)


@of_sandbox
async def a_held_program_reads_while_it_runs(sandbox: Sandbox) -> None:
    data = bytes(range(256)) * 1_000
    code, out, err = await _held(sandbox, ["cat"], data)
    assert (code, out == data, err) == (0, True, b"")
    async with sandbox.interact(programs.answer_two_lines()) as program:
        output = program.output()
        await program.send(b"one\n")
        assert (await anext(output))[1] == b"got one\n"
        await program.send(b"two\n")
        assert (await anext(output))[1] == b"got two\n"
        assert [piece async for _, piece in output] == []
    assert program.exit_code == 0


@of_sandbox
async def a_held_program_can_have_a_terminal_of_its_own(sandbox: Sandbox) -> None:
    argv = programs.say_the_size(0)
    async with sandbox.interact(argv, terminal=Size(21, 77)) as program:
        shown = await _all(program)
    assert (program.exit_code, shown.split()) == (4, [b"21", b"77"])
    code, out, err = await _held(sandbox, argv)
    assert (code, out, err) == (3, b"", b"")


@of_sandbox
async def leaving_a_held_program_ends_its_group(sandbox: Sandbox) -> None:
    async with sandbox.interact(programs.ignore_the_end("86341")) as program:
        await anext(program.output())
        assert await running(sandbox, "86341")
    assert not await running(sandbox, "86341")


@of_sandbox
async def a_terminal_can_be_resized(sandbox: Sandbox) -> None:
    async with sandbox.interact(programs.say_the_size(1), terminal=Size(21, 77)) as program:
        output, shown = program.output(), b""
        while b"21 77\r\n" not in shown:
            shown += (await anext(output))[1]
        await program.resize(Size(50, 120))
        await program.send(b"\n")
        shown += b"".join([piece async for _, piece in output])
    assert (program.exit_code, shown.split()) == (4, [b"21", b"77", b"50", b"120"])


@of_sandbox
async def a_signal_reaches_the_whole_group_of_a_held_program(sandbox: Sandbox) -> None:
    async with sandbox.interact(programs.print_and_wait("up", "86389")) as program:
        output = program.output()
        assert (await anext(output))[1] == b"up\n"
        await program.signal(9)
        assert [piece async for _, piece in output] == []
    assert program.exit_code == -9
    assert not await running(sandbox, "86389")


@of_sandbox
async def a_held_program_waits_while_nobody_takes_what_it_prints(sandbox: Sandbox) -> None:
    size = 20_000_000
    argv = programs.flood_then_leave_a_file(size, "all-out")
    async with sandbox.interact(argv) as program:
        output = program.output()
        taken = len((await anext(output))[1])
        await done(sandbox, programs.flood(size))  # time enough for as much to come out
        assert "all-out" not in await done(sandbox, chores.list_folder("."))
        async for _, piece in output:
            taken += len(piece)
    assert (program.exit_code, taken) == (0, size)
    assert "all-out" in await done(sandbox, chores.list_folder("."))
    await done(sandbox, chores.remove("all-out"))


@of_sandbox
async def a_held_program_that_cannot_start_says_why(sandbox: Sandbox) -> None:
    code, out, err = await _held(sandbox, ["no-such-program"])
    assert (code, out) == (127, b"")
    assert b"no-such-program" in err
