"""What programs in a real sandbox reach, and what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox.egress.gate import Gate, Inside
from agent.sandbox.egress.managers import NPMRC
from agent.sandbox.egress.policy import policy_of
from agent.sandbox.local import LocalBackend, LocalSandbox
from tests.egress.rig import World, client_hello, get, server, to
from tests.egress.test_proxy import Echo, Server
from tests.egress.web import HOST, git_repository, node_package, python_package, website
from tests.sandbox_fixtures import local_sandbox, new_spec, sandbox_root

pytestmark = pytest.mark.sandbox

CA = "/run/agent/certificates/test.pem"


@contextlib.asynccontextmanager
async def sandbox(gate: Gate, *, network: str = "list") -> AsyncGenerator[LocalSandbox]:
    with sandbox_root() as root:
        backend = LocalBackend(root)
        made = await backend.create(replace(new_spec(), network=network, gate=gate))
        try:
            yield made
        finally:
            await backend.destroy(made.ref)


async def sh(box: LocalSandbox, script: str, *, code: int | None = 0, seconds: float = 60) -> str:
    result = await box.exec(["bash", "-c", script], seconds=seconds)
    output = result.output.decode()
    assert code is None or result.exit_code == code, output
    return output


def gate_to(world: World, *hosts: str, **more: Any) -> Gate:
    return Gate(policy_of("list", hosts), roads=world.roads(), **more)


async def test_pip_npm_git_and_curl_work_unchanged(tmp_path: Path) -> None:
    world = World()
    pages = {**python_package(), **node_package(), **git_repository(tmp_path), "/": b"hello"}
    async with website(world, pages, tmp_path) as cert:
        trust = ("PIP_CERT", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
                 "NODE_EXTRA_CA_CERTS")  # fmt: skip
        environment = dict.fromkeys(trust, CA) | {
            "PIP_INDEX_URL": f"https://{HOST}/simple",
            "NPM_CONFIG_GLOBALCONFIG": NPMRC,
        }
        npmrc = f"registry=https://{HOST}/npm/\ncafile={CA}\naudit=false\n".encode()
        inside = Inside(environment, {CA: cert, NPMRC: npmrc})
        async with sandbox(gate_to(world, HOST, inside=inside)) as box:
            assert await sh(box, f"curl -sS http://{HOST}/ https://{HOST}/") == "hellohello"
            assert await sh(box, f"curl -sS -x socks5h://127.0.0.1:1080 https://{HOST}/") == "hello"
            await sh(box, f"git clone -q https://{HOST}/r.git && git -C r log --oneline")
            if shutil.which("pip3", path="/usr/bin"):
                await sh(box, "pip3 install -q --target lib small")
                assert await sh(
                    box, "PYTHONPATH=lib python3 -c 'import small; print(small.answer)'"
                )
            if shutil.which("npm", path="/usr/bin"):
                await sh(box, "npm install --silent small")
                assert await sh(box, "node -p 'require(\"small\")'") == "42\n"
        assert set(world.looked_up) == {HOST}


async def test_what_is_not_allowed_is_said_in_the_tools_own_output() -> None:
    async with sandbox(gate_to(World(), HOST)) as box:
        blocked = "blocked by policy: other.example"
        assert await sh(box, "curl -sS http://other.example/") == f"{blocked}:80\n"
        assert f"{blocked}:443" in await sh(box, "curl -sSv https://other.example/ 2>&1", code=56)
        pip = "pip3 download --retries 1 -i https://other.example/simple small 2>&1"
        if shutil.which("pip3", path="/usr/bin"):
            assert f"{blocked}:443" in await sh(box, pip, code=1)
        npm = "npm view --registry https://other.example/ small 2>&1"
        if shutil.which("npm", path="/usr/bin"):
            assert f"{blocked}:443" in await sh(box, npm, code=1)


async def test_without_a_network_tools_fail_at_once_and_name_the_policy() -> None:
    async with local_sandbox() as box:
        named = "blocked by network policy none"
        assert await sh(box, "curl -sS http://a.example/") == f"{named}\n"
        assert named in await sh(box, "curl -sSv https://a.example/ 2>&1", code=56)
        assert "97" in await sh(
            box, "curl -sS -x socks5h://127.0.0.1:1080 http://a.example/; echo $?"
        )
        if shutil.which("pip3", path="/usr/bin"):
            assert named in await sh(box, "pip3 install small 2>&1", code=1, seconds=20)
        if shutil.which("npm", path="/usr/bin"):
            assert named in await sh(box, "npm install small 2>&1", code=1, seconds=20)
        assert "proxy" not in await sh(box, "ls /run/agent")


async def test_there_is_no_way_beside_the_proxy() -> None:
    world, http = World(), Server()
    outside = await asyncio.start_server(http, "127.0.0.1", 0)
    port = outside.sockets[0].getsockname()[1]
    async with sandbox(gate_to(world, HOST)) as box:
        probe = """
import socket, sys
tries = [(socket.AF_INET, ("127.0.0.1", PORT)), (socket.AF_INET, ("1.1.1.1", 80)),
         (socket.AF_INET6, ("2606:4700:4700::1111", 80)), (socket.AF_INET, ("169.254.169.254", 80))]
for family, address in tries:
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        try: s.connect(address)
        except OSError: continue
        sys.exit("ESCAPED to %s" % (address,))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    try: s.sendto(b"x", ("1.1.1.1", 53))
    except OSError: pass
    else: sys.exit("ESCAPED by datagram")
try: socket.getaddrinfo("packages.example", 80)
except OSError: print("SAFE")
""".replace("PORT", str(port))
        await box.put("/tmp/probe.py", probe.encode())
        assert await sh(box, "python3 /tmp/probe.py") == "SAFE\n"
        assert http.got == []
    outside.close()


async def test_the_socket_itself_gives_nothing_more_than_the_ports() -> None:
    world, echo = World(), Echo()
    world.name(HOST)
    async with server(world, echo, port=443), sandbox(gate_to(world, HOST)) as box:
        talk = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/agent/proxy');"
            "s.sendall(sys.stdin.buffer.read()); s.shutdown(1);"
            "sys.stdout.buffer.write(b''.join(iter(lambda: s.recv(65536), b'')))"
        )
        hello = client_hello(HOST)
        for data, expected in (
            (to(f"{HOST}:443") + hello, hello),
            (to("evil.example:443") + hello, b"blocked by policy: evil.example:443\n"),
            (to("127.0.0.1:80"), b"only names are served\n"),
            (get("http://[::1]/"), b"it is not the name of a host\n"),
        ):
            result = await box.exec(["python3", "-c", talk], stdin=data)
            assert result.output.endswith(expected)
        await sh(box, "rm -f /run/agent/proxy; mv /run/agent/proxy /tmp/x", code=1)


async def test_whoever_kills_the_forwarder_gets_another_one() -> None:
    world, http = World(), Server()
    world.name(HOST)
    async with server(world, http), sandbox(gate_to(world, HOST)) as box:
        for _ in range(3):
            assert await sh(box, f"curl -sS http://{HOST}/") == "hi"
            await sh(box, "pkill -9 -f toolbox.zip.forward")
        assert await sh(box, f"curl -sS http://{HOST}/") == "hi"


async def test_a_flood_of_connections_inside_does_not_stop_the_toolbox_or_the_next_request() -> (
    None
):
    world, http = World(), Server()
    world.name(HOST)
    flood = (
        "import socket\nkept = []\n"
        "for n in range(1500):\n"
        "    s = socket.socket(); s.settimeout(5)\n"
        "    try: s.connect(('127.0.0.1', 3128)); s.send(b'GET '); kept.append(s)\n"
        "    except OSError: s.close()\n"
        "print(len(kept) > 100)\n"
    )
    async with server(world, http), sandbox(gate_to(world, HOST)) as box:
        await box.put("/tmp/flood.py", flood.encode())
        assert await sh(box, "python3 /tmp/flood.py") == "True\n"
        assert await sh(box, f"curl -sS --retry 20 --retry-all-errors http://{HOST}/") == "hi"


async def test_a_registry_on_this_machine_is_reached_at_its_own_port() -> None:
    http = Server()
    outside = await asyncio.start_server(http, "127.0.0.1", 0)
    port = outside.sockets[0].getsockname()[1]
    async with sandbox(Gate(policy_of("list", [f"localhost:{port}"]))) as box:
        assert await sh(box, f"curl -sS http://localhost:{port}/x") == "hi"
        assert await sh(box, f"curl -sS http://127.0.0.1:{port}/x") == "hi"
        await sh(box, f"curl -sS http://localhost:{port + 1}/", code=7)
        assert len(http.got) == 2
    outside.close()


async def test_a_closed_gate_means_no_network_and_attach_opens_it_again() -> None:
    world, http = World(), Server()
    world.name(HOST)
    gate = gate_to(world, HOST)
    async with server(world, http):
        with sandbox_root() as root:
            backend = LocalBackend(root)
            spec = replace(new_spec(), network="list", gate=gate)
            box = await backend.create(spec)
            try:
                assert await sh(box, f"curl -sS http://{HOST}/") == "hi"
                await gate.close()
                assert "hi" not in await sh(box, f"curl -s http://{HOST}/", code=None)
                await box.close()
                again = await backend.attach(box.ref, spec)
                assert await sh(again, f"curl -sS http://{HOST}/") == "hi"
            finally:
                await backend.destroy(box.ref)


async def test_two_sandboxes_have_two_ways_out() -> None:
    world, http = World(), Server()
    world.name(HOST)
    async with (
        server(world, http),
        sandbox(gate_to(world, HOST)) as one,
        sandbox(gate_to(world, "other.example")) as other,
    ):
        assert await sh(one, f"curl -sS http://{HOST}/") == "hi"
        assert "blocked" in await sh(other, f"curl -sS http://{HOST}/")
