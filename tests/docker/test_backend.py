"""Containers: what can go wrong around them, and what is left when it has."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import limits
from agent.core.errors import SandboxError, SandboxLost, SandboxUnavailable
from agent.host import files
from agent.sandbox.docker.backend import DockerBackend
from agent.sandbox.egress.gate import Gate
from agent.sandbox.egress.policy import policy_of
from agent.sandbox.protocol import SandboxSpec
from tests.docker.engine import docker_backend, docker_sandbox, docker_spec, left, program, run
from tests.egress.rig import World, server

pytestmark = [pytest.mark.docker, pytest.mark.sandbox]


def running(ref: str) -> bool:
    """Whether the container of a sandbox runs."""
    name = f"glovebox-{ref.partition(':')[2]}"
    return run("inspect", "--format", "{{.State.Running}}", name).strip() == "true"


def volumes() -> set[str]:
    """The volumes that belong to no container."""
    return set(run("volume", "ls", "-q", "--filter", "dangling=true").split())


async def no_volumes_left(before: set[str]) -> None:
    """Wait until all that came since are gone: of others' containers some are in the making."""
    there = volumes() - before
    while there:
        await asyncio.sleep(0.1)
        there &= volumes()


async def test_a_container_that_died_is_lost_and_can_be_attached_again() -> None:
    with docker_backend() as backend:
        spec = docker_spec()
        sandbox = await backend.create(spec)
        await sandbox.put("kept", b"x")
        with pytest.raises(SandboxLost) as lost:
            await sandbox.exec(["sh", "-c", "kill -9 $PPID; sleep 60"])
        assert lost.value.hint
        again = await backend.attach(sandbox.ref, spec)
        assert await again.get("kept", limit=1) == b"x"
        await backend.destroy(again.ref)


async def test_one_that_is_killed_from_outside_is_lost() -> None:
    async with docker_sandbox() as sandbox:
        busy = asyncio.create_task(sandbox.exec(["sleep", "86391"]))
        await sandbox.exec(["true"])
        run("kill", f"glovebox-{sandbox.ref.partition(':')[2]}")
        with pytest.raises(SandboxLost):
            await busy


async def test_a_stopped_toolbox_is_lost_and_its_container_can_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TOOLBOX_LATE_SECONDS", 0.2)
    async with docker_sandbox() as sandbox:
        with pytest.raises(SandboxLost):
            await sandbox.exec(["sh", "-c", "kill -STOP $PPID"], seconds=0.2)
        await sandbox.close()
        assert not running(sandbox.ref)


async def test_process_1_takes_no_signal_from_inside_and_reaps_what_is_left_to_it() -> None:
    async with docker_sandbox() as sandbox:
        script = """
            for s in KILL STOP TERM INT HUP CHLD USR1; do kill -$s 1; done
            for i in 1 2 3 4 5; do (sleep 0 & exec true) & done; wait
            until ! grep -qs '^State:.Z' /proc/[0-9]*/status; do sleep 0.05; done
            grep State /proc/1/status
        """
        result = await sandbox.exec(["sh", "-c", script], seconds=100)
        assert result.exit_code == 0, result
        assert result.output.split()[1] in (b"S", b"R"), result


HOST = """
    import asyncio, sys
    from pathlib import Path
    from agent.sandbox.docker.backend import DockerBackend
    from agent.sandbox.protocol import SandboxSpec
    async def main():
        root, session, image, engine, stop = sys.argv[1:]
        backend = DockerBackend(Path(root))
        sandbox = await backend.create(SandboxSpec(session, image=image, engine=engine))
        script = "trap '' TERM HUP INT; echo kept >file; setsid sleep 86389 & sleep 86389 &"
        await sandbox.exec(["sh", "-c", script])
        if stop:
            asyncio.create_task(sandbox.exec(["sh", "-c", "kill -STOP $PPID; sleep 86389"]))
            await asyncio.sleep(0.5)
        print("up", flush=True)
        await asyncio.sleep(600)
    asyncio.run(main())
"""


@pytest.mark.parametrize("stop", ["", "stopped"])
async def test_nothing_runs_on_when_the_host_is_killed(stop: str, tmp_path: Path) -> None:
    spec = docker_spec()
    host = _host(tmp_path, spec, stop)
    assert host.stdout is not None and host.stdout.readline() == b"up\n"
    ref = f"{Path(program()).name}:{spec.session}"
    assert running(ref)
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    while running(ref):
        await asyncio.sleep(0.05)
    backend = DockerBackend(tmp_path)
    assert ref in await backend.find({})
    again = await backend.attach(ref, spec)
    assert await again.get("file", limit=10) == b"kept\n"
    await backend.destroy(ref)


async def test_a_host_killed_at_any_moment_leaves_only_what_is_found(tmp_path: Path) -> None:
    chance = random.Random(5)
    backend = DockerBackend(tmp_path)
    for _ in range(6):
        spec = docker_spec()
        host = _host(tmp_path, spec, "")
        await asyncio.sleep(chance.uniform(0.3, 2.5))
        host.send_signal(signal.SIGKILL)
        host.wait()
        assert host.stdout is not None
        host.stdout.close()
        # Commands of the engine that were under way go on to their end.
        while _commands(spec.session):
            await asyncio.sleep(0.05)
        names = ("ps", "--quiet", "--filter", f"name={spec.session}")
        while run(*names).split():
            await asyncio.sleep(0.05)
        for ref in await backend.find({"glovebox.session": spec.session}):
            await backend.destroy(ref)
        assert run("ps", "--all", "--quiet", "--filter", f"name={spec.session}").split() == []


def _commands(session: str) -> list[str]:
    """The processes of this machine that have the session's name among their arguments."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if session.encode() in line:
            found.append(entry.name)
    return found


def _host(root: Path, spec: SandboxSpec, stop: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", textwrap.dedent(HOST), str(root), spec.session, spec.image]
    argv += [spec.engine, stop]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment)


async def test_a_start_cancelled_at_any_moment_leaves_nothing() -> None:
    chance, before = random.Random(3), volumes()
    with docker_backend() as backend:
        for _ in range(8):
            spec = replace(docker_spec(), network="list", hosts=("example.org",))
            task = asyncio.create_task(backend.create(spec))
            await asyncio.wait([task], timeout=chance.uniform(0, 1.5))
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                await backend.destroy(task.result().ref)
            assert left([spec.session]) == []
    await no_volumes_left(before)


async def test_what_labels_say_is_found_and_nothing_else() -> None:
    with docker_backend() as backend:
        spec = docker_spec()
        labelled = replace(spec, labels={**spec.labels, "glovebox.project": "p q"})
        sandbox = await backend.create(labelled)
        await sandbox.close()
        mine = {"glovebox.session": spec.session}
        assert await backend.find(mine) == (sandbox.ref,)
        assert await backend.find({**mine, "glovebox.project": "p q"}) == (sandbox.ref,)
        assert await backend.find({**mine, "glovebox.project": "p"}) == ()
        await backend.destroy(sandbox.ref)
        assert await backend.find(mine) == ()


async def test_a_container_of_somebody_else_is_not_attached() -> None:
    spec = docker_spec()
    name = f"glovebox-{spec.session}"
    run("create", "--name", name, "--label", f"glovebox.owner={spec.labels['glovebox.owner']}",
        spec.image, "true")  # fmt: skip
    with pytest.raises(SandboxError, match="not of this session"):
        await DockerBackend(Path("/nowhere")).attach(f"{Path(program()).name}:{spec.session}", spec)
    run("rm", name)


# images


@pytest.fixture
def changed() -> Generator[str]:
    """An image that brings what no sandbox wants of it."""
    spec = docker_spec()
    tag = f"glovebox-odd:{spec.session}"
    name = run("create", spec.image, "true").strip()
    changes = (
        "ENV TOKEN=canary-of-the-image",
        "ENV JAVA_HOME=/usr/lib/jvm",
        'ENTRYPOINT ["/bin/false"]',
        'CMD ["x"]',
        "USER 0",
        "WORKDIR /root",
        "VOLUME /var/lib/left",
    )
    run("commit", *(word for line in changes for word in ("--change", line)), name, tag)
    run("rm", name)
    yield tag
    run("rmi", tag)


async def test_what_an_image_brings_along_is_not_taken(changed: str) -> None:
    before = volumes()
    with docker_backend() as backend:
        sandbox = await backend.create(replace(docker_spec(), image=changed))
        script = (
            "id -u; pwd; echo $JAVA_HOME; env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'"
        )
        said = (await sandbox.exec(["sh", "-c", script])).output.decode()
        await backend.destroy(sandbox.ref)
    user, directory, java = said.splitlines()[:3]
    assert int(user) >= 20_000 and directory == "/workspace"
    assert java == "/usr/lib/jvm"
    assert "canary-of-the-image" not in said
    await no_volumes_left(before)


async def test_an_image_without_what_is_needed_is_named_with_what_it_lacks() -> None:
    spec = docker_spec()
    tag = f"glovebox-bare:{spec.session}"
    name = run("create", spec.image, "true").strip()
    run("commit", "--change", "ENV PATH=/nowhere", name, tag)
    run("rm", name)
    with docker_backend() as backend, pytest.raises(SandboxUnavailable) as error:
        await backend.create(replace(spec, image=tag))
    assert "lacks git" in error.value.message
    run("rmi", tag)


# network


async def test_a_container_reaches_what_the_policy_names_and_nothing_else() -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage")
        await writer.drain()
        writer.close()

    world = World()
    world.name("good.example")
    world.name("bad.example")
    script = """
        curl -sS http://good.example/; curl -s -o /dev/null -w ' %{http_code}' http://bad.example/
        ls -l /run/agent/proxy; rm -f /run/agent/proxy; mv /run/agent/proxy x; ls /run/agent
    """
    with docker_backend() as backend:
        async with server(world, page):
            gate = Gate(policy_of("list", ("good.example",)), roads=world.roads())
            spec = replace(docker_spec(), network="list", hosts=("good.example",), gate=gate)
            sandbox = await backend.create(spec)
            for _ in range(2):
                said = (await sandbox.exec(["sh", "-c", script])).output.decode()
                assert said.startswith("page 403srw-rw-rw- 1 root root")
                assert said.endswith("proxy\ntoolbox.zip\n")
                await sandbox.close()
                sandbox = await backend.attach(sandbox.ref, spec)
            await backend.destroy(sandbox.ref)
    assert world.looked_up == ["good.example"] * 2


async def test_others_on_this_machine_cannot_use_the_way_out() -> None:
    with docker_backend() as backend:
        sandbox = await backend.create(replace(docker_spec(), network="open"))
        root = next(path for path in backend._sockets.rglob("proxy"))
        assert root.stat().st_mode & 0o777 == 0o666
        assert root.parent.stat().st_mode & 0o777 == 0o700
        await backend.destroy(sandbox.ref)
        assert not files.exists(root.parent)


async def test_one_made_without_a_network_does_not_get_one() -> None:
    with docker_backend() as backend:
        spec = docker_spec()
        sandbox = await backend.create(spec)
        await sandbox.close()
        with pytest.raises(SandboxError, match="without a network"):
            await backend.attach(sandbox.ref, replace(spec, network="open"))
        await backend.destroy(sandbox.ref)


# ports


SERVE = """
import http.server, os
os.chdir("/workspace"); open("index.html", "w").write("page of the sandbox")
handler = http.server.SimpleHTTPRequestHandler
server = http.server.HTTPServer(("127.0.0.1", 8000), handler)
if os.fork() == 0:
    server.serve_forever()
"""


async def test_a_port_inside_is_shown_on_the_host() -> None:
    async with docker_sandbox() as sandbox:
        started = await sandbox.exec(["python3", "-I", "-c", SERVE])
        assert started.exit_code == 0, started
        endpoint = await sandbox.expose(8000)
        authority = endpoint.url.removeprefix("http://").rstrip("/")
        port = int(authority.rpartition(":")[2])
        request = f"GET / HTTP/1.0\r\nHost: {authority}\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        assert (await reader.read()).endswith(b"page of the sandbox")
        writer.close()
        await sandbox.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
