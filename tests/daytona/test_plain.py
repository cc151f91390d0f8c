"""Boxes without a Python for the toolbox: the same promises as any sandbox without one."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, Iterator

import pytest

from agent.core.errors import SandboxError, SandboxUnavailable
from agent.sandbox.daytona import network
from agent.sandbox.daytona.plain import INLINE_BYTES, Heard, PlainMachine
from agent.testing import contracts
from tests.backends import Shared
from tests.daytona_fixtures import DaytonaBackend, new_spec, serving, use
from tests.e2e.conftest import user
from tests.e2e.rig import MODEL, User
from tests.plain_sandboxes import NEEDS_COREUTILS, PROMISES, the_others_refuse, the_tools_work
from tests.servers.daytona.server import KEY, DaytonaServer
from tests.servers.openai import OpenAIServer, call, reply, say

__all__ = ["user"]

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

SEND = r"/process/session/[^/]+/exec$"
FOLLOW = r"/command/[^/]+/logs$"
COUNTING = ["sh", "-c", "echo run >>count; cat count"]


@contextlib.asynccontextmanager
async def plain_machine(backend: DaytonaBackend) -> AsyncGenerator[PlainMachine]:
    sandbox = await backend.create(new_spec())
    try:
        assert isinstance(sandbox, PlainMachine)
        yield sandbox
    finally:
        await backend.destroy(sandbox.ref)


@pytest.fixture(scope="module", params=["linux", "busybox"])
def plain(request: pytest.FixtureRequest) -> Iterator[Shared]:
    with pytest.MonkeyPatch.context() as patch, serving() as server:
        server.poor = request.param
        shared = Shared(plain_machine(use(server, patch)), request.param)
        yield shared
        shared.close()


@pytest.mark.parametrize("promise", PROMISES, ids=contracts.name)
def test_promise(promise: contracts.Promise, plain: Shared) -> None:
    if plain.kind == "busybox" and contracts.name(promise) in NEEDS_COREUTILS:
        pytest.skip("the promise's own program needs a larger `seq` than that of busybox")
    plain.run(promise)


def test_the_tools_that_work_work(plain: Shared) -> None:
    plain.run(the_tools_work)


def test_the_others_say_clearly_that_they_do_not(plain: Shared) -> None:
    plain.run(the_others_refuse)


def test_bytes_come_and_go_whole(plain: Shared) -> None:
    async def carry(box: PlainMachine) -> None:
        for size in (0, 1, INLINE_BYTES, INLINE_BYTES + 1, 3_000_000):
            data = bytes(n * n % 251 for n in range(1000)) * (size // 1000 + 1)
            await box.put("f", data[:size])
            assert await box.get("f", limit=size) == data[:size]
            if size:
                with pytest.raises(SandboxError, match="too large"):
                    await box.get("f", limit=size - 1)
        parts: list[bytes] = []
        assert await box.get("f", limit=3_000_000, sink=parts.append) == b""
        assert sum(map(len, parts)) == 3_000_000
        with pytest.raises(SandboxError, match="absent"):
            await box.get("none", limit=1)
        staged = await box.exec(["sh", "-c", "ls /var/tmp/glovebox/in /var/tmp/glovebox/out; rm f"])
        assert staged.output.split() == [b"/var/tmp/glovebox/in:", b"/var/tmp/glovebox/out:"]

    plain.run(carry)


def test_a_port_is_shown_by_the_service(plain: Shared) -> None:
    async def show(box: PlainMachine) -> None:
        assert "8000" in (await box.expose(8000)).url

    plain.run(show)


def test_what_a_program_leaves_running_goes_on(plain: Shared) -> None:
    async def leave(box: PlainMachine) -> None:
        await box.exec(["sh", "-c", "rm -f go; (until [ -e go ]; do sleep 0.1; done; echo >w) &"])
        await box.exec(["sh", "-c", "touch go; until [ -e w ]; do sleep 0.1; done; rm go w"])

    plain.run(leave)


LISTEN = """
import socket, time
server = socket.create_server(("127.0.0.1", 8123))
while True:
    server.accept()[0].close()
"""


def test_what_can_be_reached_is_found_out_by_git(plain: Shared) -> None:
    async def reach(box: PlainMachine) -> None:
        # There is a Python for the daemon, which programs do not find.
        words = ["/usr/bin/python3", "-c", LISTEN]
        script = '"$@" </dev/null >/dev/null 2>&1 & echo $! >listener'
        await box.exec(["sh", "-c", script, "sh", *words])
        try:
            there = ("127.0.0.1", 8123)
            while not await box.reach([there], 5):  # until it listens
                pass
            targets = [("127.0.0.1", 8124), there, ("::1", 8125), *network.NOT_LISTED]
            assert await box.reach(targets, 5) == ["127.0.0.1:8123"]
            with pytest.raises(SandboxUnavailable, match=r"127\.0\.0\.1:8123"):
                network.require_closed(await box.reach(targets, 5))
        finally:
            await box.exec(["sh", "-c", "kill $(cat listener); rm listener"])

    plain.run(reach)


async def test_what_the_image_has_instead_is_told(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.poor = "old"
    async with plain_machine(backend) as box:
        assert "the sandbox has python 3.6" in box.notes[0]
        assert "bash, read, write, edit, ls, glob and grep work" in box.notes[0]
        assert box.network == ""  # as it was asked for: the service enforces it
        seen = await box.exec(["sh", "-c", "env; python3 --version"])
        assert b"DAYTONA" not in seen.output and b"python 3.6" in seen.output


async def test_an_image_that_has_too_little_is_named_with_what_it_lacks(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.poor = "bare"
    with pytest.raises(SandboxUnavailable, match="lacks base64 and setsid") as error:
        await backend.create(new_spec())
    assert "has no Python" in error.value.message
    assert "Python 3.8" in error.value.hint


@pytest.mark.parametrize("how", ["drop after", "status after", "status", "drop before"])
async def test_a_command_runs_once_whatever_happens_on_the_way(
    how: str, server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.poor = "linux"
    async with plain_machine(backend) as box:
        server.fault("POST", SEND, how, status=502)
        server.fault("GET", FOLLOW, "hang up", times=2)
        done = await box.exec(COUNTING)
        assert (done.exit_code, done.output) == (0, b"run\n")


async def test_it_goes_on_where_it_was_after_it_stopped(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.poor = "linux"
    async with plain_machine(backend) as box:
        await box.put("kept", b"x")
        server.fault("POST", SEND, "stop")
        with pytest.raises(SandboxError, match="stopped by itself"):
            await box.exec(["true"])
        assert (await box.exec(["cat", "kept"])).output == b"x"
        await box.exec(["rm", "-rf", "/var/tmp/glovebox"])  # ours: made again
        assert (await box.exec(["cat", "kept"])).output == b"x"
        await box.put("big", b"y" * 300_000)
        assert len(await box.get("big", limit=300_000)) == 300_000


async def test_a_python_that_was_put_in_is_used_from_the_next_start_on(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.poor = "linux"
    spec = new_spec()
    sandbox = await backend.create(spec)
    await sandbox.close()
    server.only_box().poor = ""
    again = await backend.attach(sandbox.ref, spec)
    assert not isinstance(again, PlainMachine)
    assert (await again.exec(["echo", "x"])).output == b"x\n"
    await backend.destroy(again.ref)


def test_the_mark_is_found_however_the_pieces_are_cut() -> None:
    data = b"\0out\nabab" + b"abc 300\n" + b"acab" + b"abc7\n" + b"late"
    for size in range(1, len(data) + 1):
        out: list[bytes] = []
        heard = Heard("n", "abc", out.append, lambda n, out=out: out.append(b"<%d>" % n))
        for number, at in enumerate(range(0, len(data), size)):
            piece = base64.b64encode(data[at : at + size]).decode()
            assert heard.feed(f"noise\n@n {number} 6 {piece}\n") == b""
        assert b"".join(out) == b"\0out\nabab<300>acab"
        assert (heard.code, heard.ended) == (7, True)


async def test_a_flood_ends_although_somebody_holds_its_pipe(
    server: DaytonaServer, backend: DaytonaBackend
) -> None:
    server.poor = "linux"
    async with plain_machine(backend) as box:
        script = "yes | head -c 3000000; (while :; do echo late; done) & exit 5"
        done = await box.exec(["sh", "-c", script])
        assert (done.exit_code, done.timed_out) == (5, False)
        assert done.dropped + len(done.output) >= 3_000_000


def test_the_main_job_without_python(user: User) -> None:
    user.start({"src/a.py": "x = 1\n", "README": "read me\n"})
    before = user.fingerprint()
    script = [
        reply("", call("bash", {"command": "git log --oneline | wc -l; ! command -v python3"})),
        reply("", call("read", {"path": "src/a.py"})),
        reply("", call("write", {"path": "src/a.py", "content": "x = 2\n"})),
        say("Done."),
    ]
    with serving() as service, OpenAIServer(script) as server:
        service.poor = "linux"
        user.environment |= {
            "DAYTONA_API_KEY": KEY,
            "DAYTONA_API_URL": service.url,
            "NO_PROXY": "127.0.0.1",
        }
        words = ("--sandbox", "daytona", "--network", "none", "--model", MODEL)
        ran = user.glovebox("-m", "go", *words, "--json", server=server)
        assert ran.code == 0, ran.err
        assert user.fingerprint() == before
        assert any("through its shell alone" in n["text"] for n in ran.of("Notice"))
        assert [c["result"]["ok"] for c in ran.of("CallFinished")] == [True] * 3
        assert user.git("show", "glovebox/1:src/a.py") == "x = 2"
        assert user.glovebox("rm", "1").code == 0
        assert service.living() == []
