"""Programs whose streams a person holds: uncut, in order, two channels, or a terminal inside."""

from __future__ import annotations

import asyncio
import hashlib
import re
import signal
from collections.abc import AsyncGenerator

import pytest

from agent.core import limits
from agent.core.errors import SandboxLost
from agent.sandbox.local import LocalBackend
from agent.sandbox.protocol import Program, Sandbox, Size, Stream
from tests.sandbox_fixtures import local_sandbox, new_spec, sandbox_root

pytestmark = pytest.mark.sandbox

BIG = 5 * limits.STREAM_WINDOW_BYTES


async def collect(program: Program) -> dict[str, bytes]:
    got = {"stdout": bytearray(), "stderr": bytearray()}
    async for stream, piece in program.output():
        got[stream] += piece
    return {name: bytes(data) for name, data in got.items()}


async def run(
    sandbox: Sandbox, script: str, *words: str, stdin: bytes = b""
) -> tuple[int | None, bytes, bytes]:
    async with sandbox.interact(["sh", "-c", script, "sh", *words]) as program:

        async def feed() -> None:
            await program.send(stdin)
            await program.end()

        feeding = asyncio.create_task(feed())
        got = await collect(program)
        await feeding
    return program.exit_code, got["stdout"], got["stderr"]


async def test_streams_come_apart_and_the_exit_code_is_the_programs_own() -> None:
    async with local_sandbox() as sandbox:
        assert await run(sandbox, "printf out; printf err >&2; exit 7") == (7, b"out", b"err")
        assert await run(sandbox, "kill -9 $$") == (-9, b"", b"")
        assert await run(sandbox, 'printf "%s|" "$@"', "a b", "", "'") == (0, b"a b||'|", b"")


async def test_output_of_any_size_is_whole_also_when_nobody_hurries_to_take_it() -> None:
    async with local_sandbox() as sandbox:
        script = f"head -c {BIG} /dev/zero; head -c {BIG} /dev/zero >&2"
        async with sandbox.interact(["sh", "-c", script]) as program:
            sizes = {"stdout": 0, "stderr": 0}
            async for stream, piece in program.output():
                sizes[stream] += len(piece)
                # Other requests go on while this one waits for its reader.
                assert (await sandbox.exec(["true"])).exit_code == 0
        assert (program.exit_code, sizes) == (0, {"stdout": BIG, "stderr": BIG})


async def test_input_of_any_size_arrives_whole_and_unread_input_is_no_problem() -> None:
    data = bytes(range(256)) * (BIG // 256)
    async with local_sandbox() as sandbox:
        code, out, _ = await run(sandbox, "sleep 0.2; sha256sum", stdin=data)
        assert (code, out.split()[0].decode()) == (0, hashlib.sha256(data).hexdigest())
        assert await run(sandbox, "head -c 1 >/dev/null", stdin=data) == (0, b"", b"")
        assert await run(sandbox, "exec <&-; echo on; exit 3", stdin=data) == (3, b"on\n", b"")


async def test_input_and_output_alternate() -> None:
    async with (
        local_sandbox() as sandbox,
        sandbox.interact(["sh", "-c", "while read x; do echo got $x; done; echo end"]) as program,
    ):
        output = program.output()
        for word in (b"one", b"two"):
            await program.send(word + b"\n")
            assert await anext(output) == ("stdout", b"got " + word + b"\n")
        await program.end()
        assert await anext(output) == ("stdout", b"end\n")


async def test_a_program_that_cannot_start_says_why() -> None:
    async with local_sandbox() as sandbox:
        for argv, code in ((["no-such"], 127), (["/etc/passwd"], 126)):
            async with sandbox.interact(argv) as program:
                got = await collect(program)
            assert program.exit_code == code
            assert argv[0].encode() in got["stderr"]


async def test_leaving_ends_the_program_and_its_group() -> None:
    async with local_sandbox() as sandbox:
        script = "trap '' TERM HUP; sleep 86381 & echo up; sleep 86381; sleep 86381"
        for terminal in (None, Size(24, 80)):
            async with sandbox.interact(["sh", "-c", script], terminal=terminal) as program:
                assert (await anext(program.output()))[1].strip() == b"up"
            found = await sandbox.exec(
                ["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | grep -c 8638[1]"]
            )
            assert found.output == b"0\n"


async def test_what_it_leaves_running_does_not_keep_it_and_lives_on() -> None:
    async with local_sandbox() as sandbox:
        code, out, _ = await run(sandbox, "(while :; do echo x; sleep 0.01; done) & echo $!")
        assert code == 0
        job = next(word for word in out.decode().split() if word.isdigit())
        assert (await sandbox.exec(["kill", "-0", job])).exit_code == 0


async def test_a_signal_reaches_the_program() -> None:
    async with local_sandbox() as sandbox:
        script = "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.05; done"
        async with sandbox.interact(["sh", "-c", script]) as program:
            output = program.output()
            await anext(output)
            await program.signal(signal.SIGINT)
            assert await anext(output) == ("stdout", b"caught\n")
            await collect(program)
            assert program.exit_code == 5


async def test_a_terminal_is_the_programs_own_and_has_the_size_it_is_told() -> None:
    async with (
        local_sandbox() as sandbox,
        sandbox.interact(["sh"], terminal=Size(30, 90), env={"TERM": "xterm"}) as program,
    ):
        output = program.output()
        await program.send(b"stty size; tty; test -t 0 && test -t 2 && echo all\n")
        assert re.search(rb"30 90\r\n/dev/pts/\d+\r\nall", await until(output, b"\r\nall"))
        await program.resize(Size(50, 120))
        await program.send(b"stty size\n")
        await until(output, b"50 120")
        # Ctrl-C ends what runs in the foreground and not the shell; job control works. Until it
        # says something itself it may not be in the foreground yet, and would go on.
        await program.send(b"sh -c 'echo $((6 * 7)); exec sleep 86382'\n")
        await until(output, b"42\r\n")
        await program.send(b"\x03")
        await program.send(b"echo $((40 + 3))\n")
        await until(output, b"43")
        await program.send(b"exit 9\n")
        async for _ in output:
            pass
        assert program.exit_code == 9


async def until(output: AsyncGenerator[tuple[Stream, bytes]], mark: bytes) -> bytes:
    seen = bytearray()
    while mark not in seen:
        seen += (await anext(output))[1]
    return bytes(seen)


async def test_all_a_terminal_shows_arrives() -> None:
    async with local_sandbox() as sandbox:
        for _ in range(20):
            argv = ["sh", "-c", "seq 20000; exit 4"]
            async with sandbox.interact(argv, terminal=Size(24, 80)) as program:
                got = await collect(program)
            assert program.exit_code == 4
            assert got["stdout"].split() == [str(n).encode() for n in range(1, 20001)]


async def test_a_sandbox_that_dies_is_lost() -> None:
    with sandbox_root() as root:
        backend = LocalBackend(root)
        sandbox = await backend.create(new_spec())
        with pytest.raises(SandboxLost):
            async with sandbox.interact(["sh", "-c", "echo up; kill -9 $PPID; sleep 60"]) as it:
                await collect(it)
        await backend.destroy(sandbox.ref)
