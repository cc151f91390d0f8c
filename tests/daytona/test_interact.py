"""A person in a sandbox at Daytona: streams that flow while the program runs, and a terminal."""

from __future__ import annotations

import signal

import pytest

from agent.core.errors import SandboxError
from agent.sandbox.protocol import Program, Size
from tests.daytona_fixtures import DaytonaBackend, daytona_sandbox
from tests.servers.daytona.server import DaytonaServer

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


async def until(program: Program, wanted: bytes) -> bytes:
    """What it prints on stdout, up to `wanted`."""
    seen = bytearray()
    async for stream, piece in program.output():
        if stream == "stdout":
            seen += piece
        if wanted in seen:
            break
    return bytes(seen)


async def test_a_program_is_talked_to_while_it_runs(backend: DaytonaBackend) -> None:
    script = 'while read line; do echo "got $line"; done; echo over >&2; exit 3'
    async with (
        daytona_sandbox(backend) as sandbox,
        sandbox.interact(["sh", "-c", script], env={"A": "b"}) as program,
    ):
        for word in (b"one", b"two"):
            await program.send(word + b"\n")
            assert await until(program, b"got " + word) == b"got " + word + b"\n"
        await program.end()
        rest = [pair async for pair in program.output()]
        assert rest == [("stderr", b"over\n")]
        assert program.exit_code == 3


async def test_a_terminal_has_its_size_and_takes_signals(backend: DaytonaBackend) -> None:
    async with (
        daytona_sandbox(backend) as sandbox,
        sandbox.interact(["sh"], terminal=Size(33, 99)) as program,
    ):
        await program.send(b"stty size; tty\n")
        assert b"33 99" in await until(program, b"/dev/pts/")
        await program.resize(Size(20, 40))
        await program.send(b"stty size; sleep 60\n")
        assert b"20 40" in await until(program, b"20 40")
        await program.signal(signal.SIGKILL)
        async for _ in program.output():
            pass
        assert program.exit_code == -9


@pytest.mark.parametrize(
    "fault",
    [
        ("POST", r"/input$", "drop before"),
        ("POST", r"/input$", "drop after"),
        ("POST", r"/input$", "status after"),
        ("GET", r"/logs$", "hang up"),
    ],
    ids=str,
)
async def test_trouble_on_the_way_loses_and_doubles_nothing(
    fault: tuple[str, str, str], server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.fault(*fault, times=2)
        async with sandbox.interact(["cat"]) as program:
            await program.send(b"one\n")
            assert await until(program, b"one\n") == b"one\n"
            await program.send(b"two\n")
            await program.end()
            assert [piece async for _, piece in program.output()] == [b"two\n"]


async def test_leaving_ends_the_program_and_the_session(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        async with sandbox.interact(["sh", "-c", "echo up; exec sleep 71235"]) as program:
            await until(program, b"up")
        assert (await sandbox.exec(["pgrep", "-f", "[7]1235"])).exit_code == 1


async def test_a_box_that_stops_ends_it(server: DaytonaServer, backend: DaytonaBackend) -> None:
    async with daytona_sandbox(backend) as sandbox:
        with pytest.raises(SandboxError):
            async with sandbox.interact(["sh", "-c", "echo up; exec sleep 60"]) as program:
                await until(program, b"up")
                server.stop_box()
                async for _ in program.output():
                    pass
        assert (await sandbox.exec(["true"])).exit_code == 0
