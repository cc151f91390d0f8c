"""Whatever happens on the way, a program runs once or not at all, and what is said is true."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.core.errors import SandboxError, SandboxLost
from tests.daytona_fixtures import DaytonaBackend, daytona_sandbox
from tests.servers.daytona.server import DaytonaServer

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

SEND = r"/process/session/[^/]+/exec$"
FOLLOW = r"/command/[^/]+/logs$"
COUNTING = ["sh", "-c", "echo run >>count; cat count"]

LOST_ON_THE_WAY = {
    "too many": {"how": "status", "status": 429, "headers": {"Retry-After-authenticated": "30"}},
    "too many, no word of when": {"how": "status", "status": 429},
    "too many, twice": {"how": "status", "status": 429, "times": 2},
    "error": {"how": "status", "status": 500},
    "bad gateway": {"how": "status", "status": 502},
    "unavailable": {"how": "status", "status": 503},
    "cut before": {"how": "drop before"},
    "cut before, twice": {"how": "drop before", "times": 2},
    "cut after": {"how": "drop after"},
    "cut long after": {"how": "drop after", "seconds": 0.7},
    "error after": {"how": "status after", "status": 500},
    "bad gateway after": {"how": "status after", "status": 502},
    "a page instead of an answer": {"how": "status after", "status": 200, "body": "<html>hello"},
    "slow": {"how": "slow", "seconds": 0.5},
}


@pytest.mark.parametrize("fault", LOST_ON_THE_WAY.values(), ids=LOST_ON_THE_WAY)
async def test_a_command_whose_sending_fails_runs_once(
    fault: dict[str, Any], server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.fault("POST", SEND, **fault)
        done = await sandbox.exec(COUNTING)
        assert (done.exit_code, done.output) == (0, b"run\n")
        assert all(f.times == 0 for f in server.faults)


@pytest.mark.parametrize("how", ["drop after", "status after"])
async def test_a_command_that_arrived_is_not_sent_again(
    how: str, server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.fault("POST", SEND, how)
        await sandbox.exec(["true"])
        assert len(server.sent("POST", SEND)) == 1


@pytest.mark.parametrize("fault", LOST_ON_THE_WAY.values(), ids=LOST_ON_THE_WAY)
async def test_trouble_with_a_session_does_not_touch_the_command(
    fault: dict[str, Any], server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.fault("POST", r"/process/session$", **fault)
        done = await sandbox.exec(COUNTING)
        assert (done.exit_code, done.output) == (0, b"run\n")


@pytest.mark.parametrize(
    "fault",
    [
        {"how": "hang up"},
        {"how": "hang up", "times": 5},
        {"how": "status", "status": 400},
        {"how": "status", "status": 502, "times": 3},
        {"how": "drop before"},
    ],
    ids=str,
)
async def test_a_stream_that_breaks_loses_and_doubles_nothing(
    fault: dict[str, Any], server: DaytonaServer, backend: DaytonaBackend
) -> None:
    script = "for i in $(seq 1 400); do echo line-$i; [ $((i % 100)) = 0 ] && sleep 0.2; done"
    async with daytona_sandbox(backend) as sandbox:
        server.fault("GET", FOLLOW, **fault)
        seen = bytearray()
        done = await sandbox.exec(["sh", "-c", script], on_output=seen.extend)
        assert done.output == b"".join(b"line-%d\n" % n for n in range(1, 401))
        assert bytes(seen) == done.output
        assert len(server.sent("POST", SEND)) == 1


async def test_a_command_goes_on_while_no_stream_can_be_had(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.fault("GET", FOLLOW, "status", status=502, times=8)
        done = await sandbox.exec(["sh", "-c", "sleep 1; echo done"])
        assert (done.exit_code, done.output) == (0, b"done\n")


@pytest.mark.parametrize("how", ["status", "drop before"])
async def test_a_cancel_that_does_not_arrive_ends_the_session(
    how: str, server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.fault("POST", r"/input$", how)
        up = asyncio.Event()
        running = asyncio.create_task(
            sandbox.exec(["sh", "-c", "echo up; sleep 71234"], on_output=lambda _: up.set())
        )
        await up.wait()
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
        left = await sandbox.exec(["pgrep", "-f", "[7]1234"])
        assert left.exit_code == 1


async def test_many_commands_at_once_leave_one_empty_session(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await asyncio.gather(*(sandbox.exec(["true"]) for _ in range(8)))
        await sandbox.quiet()
        opened = server.sent("POST", r"/process/session$")
        ended = server.sent("DELETE", r"/process/session/")
        assert len(opened) - len(ended) == 1


# The box stops by itself.


async def test_a_box_that_stopped_is_started_once_for_the_next_command(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.exec(COUNTING)
        server.stop_box()
        done = await sandbox.exec(COUNTING)
        assert (done.exit_code, done.output) == (0, b"run\nrun\n")
        assert len(server.sent("POST", r"/start$")) == 1


async def test_an_older_service_that_names_no_codes_is_understood(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.legacy = True
    async with daytona_sandbox(backend) as sandbox:
        await sandbox.exec(COUNTING)
        server.stop_box()
        server.fault("POST", SEND, "status", status=404, body="")
        assert (await sandbox.exec(COUNTING)).output == b"run\nrun\n"
        server.vanish()
        with pytest.raises(SandboxLost):
            await sandbox.exec(["true"])


@pytest.mark.parametrize("state", ["stopping", "stopped"])
async def test_eight_commands_that_meet_a_stopped_box_start_it_once(
    state: str, server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.slow = server.only_box().slow = 0.5
        server.stop_box()
        while server.only_box().state != state:
            await asyncio.sleep(0.01)
        done = await asyncio.gather(*(sandbox.exec(["echo", str(n)]) for n in range(8)))
        assert [d.output for d in done] == [b"%d\n" % n for n in range(8)]
        assert len(server.sent("POST", r"/start$")) == 1


async def test_a_command_in_which_the_box_stops_is_not_repeated(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        up = asyncio.Event()
        script = "echo run >>count; echo up; sleep 60"
        running = asyncio.create_task(
            sandbox.exec(["sh", "-c", script], on_output=lambda _: up.set())
        )
        await up.wait()
        await asyncio.to_thread(server.stop_box)
        with pytest.raises(SandboxError, match=r"stopped by itself .*not repeated") as caught:
            await running
        assert not isinstance(caught.value, SandboxLost)
        assert (await sandbox.exec(["cat", "count"])).output == b"run\n"


async def test_a_box_that_stops_as_a_command_arrives_is_told_so(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.only_box().slow = 0.3
        server.fault("POST", SEND, "stop")
        with pytest.raises(SandboxError, match="stopped by itself while the command was being"):
            await sandbox.exec(COUNTING)
        done = await sandbox.exec(COUNTING)
        assert done.output == b"run\n"


async def test_a_box_that_cannot_be_started_again_is_not_lost(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.stop_box()
        server.refuses_start = "Total CPU limit exceeded. Maximum allowed: 10"
        with pytest.raises(SandboxError, match="Total CPU limit exceeded") as caught:
            await sandbox.exec(["true"])
        assert not isinstance(caught.value, SandboxLost)
        server.refuses_start = ""
        assert (await sandbox.exec(["true"])).exit_code == 0


# The box is gone.


async def test_a_vanished_box_is_lost(server: DaytonaServer, backend: DaytonaBackend) -> None:
    async with daytona_sandbox(backend) as sandbox:
        server.vanish()
        for _ in range(2):
            with pytest.raises(SandboxLost, match="does not exist at Daytona any more"):
                await sandbox.exec(["true"])
        with pytest.raises(SandboxLost):
            await sandbox.toolbox.call("read", path="x")
        with pytest.raises(SandboxLost):
            await sandbox.put("x", b"x")
        assert server.sent("POST", r"/api/sandbox$").__len__() == 1


async def test_a_box_that_vanishes_under_a_command_is_lost(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        up = asyncio.Event()
        running = asyncio.create_task(
            sandbox.exec(["sh", "-c", "echo up; sleep 60"], on_output=lambda _: up.set())
        )
        await up.wait()
        await asyncio.to_thread(server.vanish)
        with pytest.raises(SandboxLost):
            await running


async def test_a_container_that_is_dead_though_it_runs_is_lost(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        body = '{"statusCode": 404, "message": "sandbox container not found"}'
        server.fault("POST", r"/toolbox/", "status", times=1000, status=404, body=body)
        with pytest.raises(SandboxLost, match="nothing in it answers"):
            await sandbox.exec(["true"])


async def test_a_service_that_is_away_is_said_to_be(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    async with daytona_sandbox(backend) as sandbox:
        away = server.fault("GET", r"/api/sandbox/", "status", times=1000, status=502)
        away_too = server.fault("POST", r"/toolbox/", "status", times=1000, status=502)
        with pytest.raises(SandboxError, match="cannot be reached") as caught:
            await sandbox.exec(["true"])
        assert not isinstance(caught.value, SandboxLost)
        away.times = away_too.times = 0
        assert (await sandbox.exec(["true"])).exit_code == 0
