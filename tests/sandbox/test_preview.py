"""A port inside, seen from the host: by whom, by which name, and how much of it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import socket
import subprocess
from collections.abc import AsyncGenerator

import pytest

from agent.core import limits
from agent.core.errors import SandboxError
from agent.sandbox.local import LocalSandbox
from agent.sandbox.protocol import Endpoint
from tests.sandbox_fixtures import local_sandbox

pytestmark = pytest.mark.sandbox

SERVE = "echo page >index.html; exec python3 -I -m http.server 8000 --bind 127.0.0.1"
ECHO = """
import socket, threading
server = socket.create_server(("::1", 8001), family=socket.AF_INET6)
def serve(one):
    while piece := one.recv(65536): one.sendall(piece)
    one.close()
while True: threading.Thread(target=serve, args=(server.accept()[0],)).start()
"""


@contextlib.asynccontextmanager
async def serving(script: str, port: int) -> AsyncGenerator[tuple[LocalSandbox, Endpoint]]:
    """A sandbox in which a program serves a port, and where that is out here."""
    async with local_sandbox() as sandbox:
        await sandbox.exec(["sh", "-c", f"({script}) >/tmp/log 2>&1 &"])
        wait = f"until grep -q ':{port:04X} .* 0A ' /proc/net/tcp /proc/net/tcp6; do :; done"
        assert (await sandbox.exec(["sh", "-c", wait], seconds=30)).exit_code == 0
        yield sandbox, await sandbox.expose(port)


def authority(endpoint: Endpoint) -> tuple[str, int]:
    found = re.fullmatch(r"http://([0-9a-f]{32}\.localhost):(\d+)/", endpoint.url)
    assert found
    return found[1], int(found[2])


async def asked(endpoint: Endpoint, host: str | None, request: str = "GET / HTTP/1.1") -> str:
    """The status line and the body of the answer to one request."""
    name, port = authority(endpoint)
    fields = f"Host: {f'{name}:{port}' if host is None else host}\r\n" if host != "" else ""
    answer = await said(port, f"{request}\r\n{fields}Connection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return f"{head.splitlines()[0].split()[1].decode()} {body.decode()}"


async def said(port: int, data: bytes, address: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(data)
    answer = b""
    with contextlib.suppress(ConnectionError):  # it need not have read all of it
        while piece := await reader.read(65_536):
            answer += piece
    await closed(writer)
    return answer


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_browser_gets_the_page() -> None:
    async with serving(SERVE, 8000) as (sandbox, endpoint):
        assert await asked(endpoint, None) == "200 page\n"
        again = await asyncio.gather(*(asked(endpoint, None) for _ in range(10)))
        assert set(again) == {"200 page\n"}
        assert await sandbox.expose(8000) == endpoint
        done = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "--noproxy", "*", endpoint.url), stdout=asyncio.subprocess.PIPE
        )
        assert (await done.communicate())[0] == b"page\n"


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "127.0.0.1:{port}", "localhost:{port}", "{name}", "{name}:80",
        "x{name}:{port}", "{name}:{port}\r\nHost: evil.example",
        "00000000000000000000000000000000.localhost:{port}",
    ],
)  # fmt: skip
async def test_who_does_not_know_the_name_gets_nothing(host: str) -> None:
    async with serving(SERVE, 8000) as (sandbox, endpoint):
        name, port = authority(endpoint)
        answer = await asked(endpoint, host.format(name=name, port=port))
        assert answer.startswith("403 glovebox: ")
        assert (await sandbox.get("/tmp/log", limit=10_000)) == b""  # it never got inside


@pytest.mark.parametrize("request_line", ["GET http://evil/ HTTP/1.1", "CONNECT x:1 HTTP/1.1", "x"])
async def test_only_plain_requests_enter(request_line: str) -> None:
    async with serving(SERVE, 8000) as (_, endpoint):
        assert (await asked(endpoint, None, request_line)).startswith("403")


async def test_what_is_no_request_is_refused_and_does_not_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PREVIEW_HEAD_SECONDS", 0.2)
    async with serving(SERVE, 8000) as (_, endpoint):
        port = authority(endpoint)[1]
        assert await said(port, b"GET / HTTP/1.1\r\n") == b""  # it says no more
        assert b"400" in (await said(port, b"x" * 200_000)).split(b"\r\n")[0]


async def test_another_user_of_the_machine_gets_nothing() -> None:
    async with serving(SERVE, 8000) as (_, endpoint):
        port = authority(endpoint)[1]
        script = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/')"
        user = {"user": 65_534, "group": 65_534, "extra_groups": []} if os.geteuid() == 0 else {}
        done = await asyncio.to_thread(
            subprocess.run, ["/usr/bin/python3", "-c", script], capture_output=True, **user
        )
        assert b"403" in done.stderr


async def test_it_listens_on_loopback_only() -> None:
    async with serving(SERVE, 8000) as (_, endpoint):
        port = authority(endpoint)[1]
        lines = []
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            with contextlib.suppress(FileNotFoundError), open(table) as file:
                lines += [line.split()[1] for line in file if f":{port:04X} 0" in line]
        addresses = {line.partition(":")[0] for line in lines}
        assert "0100007F" in addresses
        assert addresses <= {"0100007F", "00000000000000000000000001000000"}


async def test_bytes_pass_whole_both_ways_at_once() -> None:
    data = os.urandom(1_000_000) * 5
    async with serving(f"exec python3 -I -c '{ECHO}'", 8001) as (_, endpoint):
        name, port = authority(endpoint)
        head = f"GET / HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode()

        async def one() -> bool:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)

            async def send() -> None:
                writer.write(head + data)
                await writer.drain()
                writer.write_eof()

            sending = asyncio.create_task(send())
            got = await reader.read(-1)
            await sending
            await closed(writer)
            return hashlib.sha256(got).digest() == hashlib.sha256(head + data).digest()

        assert await asyncio.gather(*(one() for _ in range(4))) == [True] * 4


async def test_a_port_that_nobody_listens_on_says_so() -> None:
    async with local_sandbox() as sandbox:
        endpoint = await sandbox.expose(9)
        assert "nothing listens on port 9" in await asked(endpoint, None)
        for port in (0, -1, 65_536):
            with pytest.raises(SandboxError, match="is no port"):
                await sandbox.expose(port)


async def test_a_service_of_the_host_is_not_what_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with local_sandbox() as sandbox:
            endpoint = await sandbox.expose(server.getsockname()[1])
            assert (await asked(endpoint, None)).startswith("502")


async def test_too_many_connections_are_refused_and_tools_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PREVIEW_CONNECTIONS_MAX", 3)
    async with serving(f"exec python3 -I -c '{ECHO}'", 8001) as (sandbox, endpoint):
        name, port = authority(endpoint)
        head = f"GET / HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode()
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for reader, writer in held:
            writer.write(head)
            assert await reader.readexactly(len(head)) == head
        assert b"503" in (await said(port, head)).split(b"\r\n")[0]
        assert (await sandbox.exec(["echo", "works"])).output == b"works\n"
        for _, writer in held:
            await closed(writer)


async def test_more_bytes_than_allowed_end_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PREVIEW_MAX_BYTES", 100_000)
    async with serving("head -c 300000 /dev/zero >big; " + SERVE, 8000) as (_, endpoint):
        name, port = authority(endpoint)
        got = await said(port, f"GET /big HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode())
        assert 50_000 < len(got) < 250_000
        assert await asked(endpoint, None) == "200 page\n"


async def test_it_ends_with_the_sandbox() -> None:
    async with serving(f"exec python3 -I -c '{ECHO}'", 8001) as (sandbox, endpoint):
        name, port = authority(endpoint)
        head = f"GET / HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        await reader.readexactly(len(head))
        await sandbox.close()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read(-1) == b""
        await closed(writer)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)
