"""The proxy, spoken to as a hostile client would."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import stat
from typing import Any

import pytest

from agent.core import limits
from agent.core.events import EgressAnswered, EgressAsked, Notice
from agent.host.network import listen
from agent.sandbox.egress.names import rule_of
from agent.sandbox.egress.proxy import Bounds
from agent.sandbox.egress.resolve import Unreachable
from agent.sandbox.egress.roads import Roads
from agent.sandbox.egress.upstream import upstreams_of
from tests.egress.rig import (
    PUBLIC,
    Rig,
    World,
    client_hello,
    get,
    open_gate,
    server,
    socks,
    to,
)
from tests.egress.test_names import NO_NAMES


class Server:
    """Answers each connection, and keeps what came."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") -> None:
        self.answer = answer
        self.got: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at = len(self.got)
        self.got.append(b"")
        answered = False
        while data := await reader.read(65536):
            self.got[at] += data
            if b"\r\n\r\n" in self.got[at] and not answered:
                answered = True
                writer.write(self.answer)
                writer.write_eof()
        writer.close()


class Echo:
    """Sends back what comes."""

    def __init__(self) -> None:
        self.got = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.got += data
            writer.write(data)
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.1 ") else 0


# names, before any look-up


@pytest.mark.parametrize("kind", ["list", "open"])
async def test_no_spelling_of_an_address_or_of_two_names_gets_anywhere(kind: str) -> None:
    world = World()
    async with open_gate(world, "allowed.example", kind=kind) as rig:
        for name in NO_NAMES:
            raw = name.encode("utf-8", "surrogateescape")
            for data in (
                b"CONNECT " + raw + b":443 HTTP/1.1\r\n\r\n",
                b"GET http://" + raw + b"/ HTTP/1.1\r\n\r\n",
            ):
                if data.startswith(b"GET") and ("/" in name or "?" in name):
                    continue  # there it is where the path begins
                answer = await rig.talk(data, end=True)
                assert status(answer) in (400, 403), (name, answer)
            if len(raw) < 256:
                assert (await rig.talk(socks(raw, 80), end=True))[2:4] != b"\x05\x00", name
        assert (world.looked_up, world.connected) == ([], [])


async def test_socks_takes_names_and_only_connect() -> None:
    world = World()
    async with open_gate(world, kind="open") as rig:
        assert (await rig.talk(socks(b"\x7f\0\0\1", 80, kind=1)))[3] == 2
        assert (await rig.talk(socks(b"\0" * 15 + b"\1", 80, kind=4)))[3] == 2
        for command in (2, 3, 9):
            assert (await rig.talk(socks(b"a.example", 80, command=command)))[3] == 7
        assert (await rig.talk(socks(b"a.example", 80, kind=9)))[3] == 1
        assert await rig.talk(b"\x05\x01\x02") == b"\x05\xff"
        assert status(await rig.talk(b"\x04\x01\x00\x50\x7f\0\0\1\0", end=True)) == 400
        assert (world.looked_up, world.connected) == ([], [])


async def test_what_is_not_allowed_is_never_looked_up() -> None:
    world = World()
    world.name("allowed.example")
    async with open_gate(world, "allowed.example", "*.below.example") as rig:
        for name in ("evilallowed.example", "allowed.example.evil", "a.allowed.example",
                     "below.example", "xbelow.example", "secret.attacker.example"):  # fmt: skip
            assert status(await rig.talk(to(f"{name}:443"))) == 403
            assert status(await rig.talk(get(f"http://{name}/"))) == 403
            assert (await rig.talk(socks(name.encode())))[3] == 2
        for port in (22, 25, 8080, 3306):
            assert status(await rig.talk(to(f"allowed.example:{port}"))) == 403
        assert (world.looked_up, world.connected) == ([], [])


async def test_the_refusal_says_what_was_refused() -> None:
    async with open_gate(World()) as rig:
        answer = await rig.talk(to("a.example:443"))
        assert answer.startswith(b"HTTP/1.1 403 blocked by policy: a.example:443\r\n")
        assert answer.endswith(b"\r\n\r\nblocked by policy: a.example:443\n")
        assert [e.text for e in rig.events if isinstance(e, Notice)] == [
            "blocked by the network policy `list`: a.example:443"
        ]


async def test_notices_of_refusals_are_bounded_and_each_comes_once() -> None:
    async with open_gate(World()) as rig:
        for n in range(60):
            await rig.talk(to(f"n{n % 40}.example:443"))
        assert len(rig.events) == limits.EGRESS_ASKS_MAX


# addresses


INSIDE = ("127.0.0.1", "::1", "10.0.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
          "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:a00:1::", "fd00:ec2::254", "fe80::1%lo",
          "0.0.0.0", "203.0.113.9")  # fmt: skip


@pytest.mark.parametrize("kind", ["list", "registries", "open"])
@pytest.mark.parametrize("address", INSIDE)
async def test_an_allowed_name_that_leads_inside_is_refused(kind: str, address: str) -> None:
    world = World()
    world.name("allowed.example", [address])
    async with open_gate(world, "allowed.example", kind=kind) as rig:
        for data in (to("allowed.example:443"), get("http://allowed.example/")):
            answer = await rig.talk(data)
            assert status(answer) == 403
            assert address.encode() not in answer  # it would map the user's network
        assert (await rig.talk(socks(b"allowed.example")))[3] == 2
        assert world.connected == []
        assert {entry["verdict"] for entry in rig.audit()} == {"refused"}


async def test_one_bad_address_among_good_ones_is_enough() -> None:
    world = World()
    world.name("allowed.example", [PUBLIC, "10.0.0.1"])
    async with open_gate(world, "allowed.example") as rig:
        assert status(await rig.talk(to("allowed.example:443"))) == 403
        assert world.connected == []


async def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to() -> None:
    world, echo = World(), Echo()
    world.name("allowed.example", [PUBLIC], ["127.0.0.1"], [PUBLIC], ["127.0.0.1"])
    async with server(world, echo, port=443), open_gate(world, "allowed.example") as rig:
        hello = client_hello("allowed.example")
        answers = [await rig.talk(to("allowed.example:443") + hello, end=True) for _ in range(4)]
        assert [status(a) for a in answers] == [200, 403, 200, 403]
        assert world.looked_up == ["allowed.example"] * 4
        assert world.connected == [(PUBLIC, 443)] * 2


async def test_a_host_of_the_users_own_network_has_to_be_named_as_one() -> None:
    world, http = World(), Server()
    world.name("mirror.corp", ["10.1.2.3"])
    async with server(world, http, "10.1.2.3", 8081):
        for entry in ("mirror.corp:8081=private", "mirror.corp:8081=10.1.2.0/24"):
            async with open_gate(world, entry) as rig:
                assert status(await rig.talk(get("http://mirror.corp:8081/"))) == 200
        for entry in ("mirror.corp:8081", "mirror.corp:8081=10.9.0.0/16", "*.corp:8081"):
            async with open_gate(world, entry) as rig:
                assert status(await rig.talk(get("http://mirror.corp:8081/"))) == 403
        assert len(http.got) == 2


async def test_the_public_address_of_this_machine_itself_is_refused(
    tmp_path: Any,
) -> None:
    async def lookup(name: str) -> list[str]:
        return [PUBLIC]

    async def connect(address: str, port: int) -> Any:
        return await asyncio.open_connection("127.0.0.1", listening)

    served = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    listening = served.sockets[0].getsockname()[1]
    roads = Roads(lookup, connect)
    from agent.sandbox.egress.policy import Target

    with pytest.raises(Unreachable) as error:
        await roads.open(Target("a.example", 80), rule_of("a.example"), plain=True)
    assert error.value.refused
    served.close()


async def test_a_name_nobody_knows_and_a_host_that_does_not_answer_are_failures() -> None:
    world = World()
    world.name("there.example")
    async with open_gate(world, "*.example") as rig:
        assert status(await rig.talk(to("nowhere.example:443"))) == 502
        assert status(await rig.talk(to("there.example:443"))) == 502
        assert (await rig.talk(socks(b"there.example")))[3] == 4
        assert {entry["verdict"] for entry in rig.audit()} == {"failed"}


# what travels


@pytest.mark.parametrize("kind", ["list", "registries"])
@pytest.mark.parametrize(
    "said",
    [
        client_hello("evil.example"),
        client_hello(),
        client_hello("allowed.example", "evil.example"),
        client_hello("allowed.example.evil"),
        client_hello("a.allowed.example"),
        client_hello("allowed.example\0evil"),
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x16\x03\x01\x00\x00" * 20,
    ],
)
async def test_a_tunnel_to_443_carries_tls_for_the_host_that_was_named(
    kind: str, said: bytes
) -> None:
    world, echo = World(), Echo()
    world.name("allowed.example")
    async with server(world, echo, port=443), open_gate(world, "allowed.example", kind=kind) as rig:
        assert status(await rig.talk(to("allowed.example:443") + said)) == 200
        await rig.talk(socks(b"allowed.example") + said)
        assert echo.got == b""
        assert [entry["verdict"] for entry in rig.audit()] == ["refused"] * 2


@pytest.mark.parametrize("records", [1, 5])
async def test_tls_for_the_right_host_passes_unchanged(records: int) -> None:
    world, echo = World(), Echo()
    world.name("allowed.example")
    data = client_hello("Allowed.Example", records=records) + b"then anything \x00\xff"
    async with server(world, echo, port=443), open_gate(world, "allowed.example") as rig:
        answer = await rig.talk(to("allowed.example:443") + data, end=True)
        assert answer.partition(b"\r\n\r\n")[2] == data
        answer = await rig.talk(socks(b"allowed.example") + data, end=True)
        assert answer[12:] == data


async def test_open_does_not_look_into_what_travels() -> None:
    world, echo = World(), Echo()
    world.name("a.example")
    async with server(world, echo, port=443), open_gate(world, kind="open") as rig:
        answer = await rig.talk(to("a.example:443") + client_hello("b.example"), end=True)
        assert answer.endswith(client_hello("b.example"))


async def test_the_host_header_is_ours_and_one_request_is_all() -> None:
    world, http = World(), Server()
    world.name("allowed.example")
    second = b"GET http://allowed.example/second HTTP/1.1\r\nHost: evil\r\n\r\n"
    async with server(world, http), open_gate(world, "allowed.example") as rig:
        answer = await rig.talk(get("http://allowed.example/first", "X-A: b") + second)
        assert answer == (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        assert http.got == [
            b"GET /first HTTP/1.1\r\nhost: allowed.example\r\nx-a: b\r\nconnection: close\r\n\r\n"
        ]


async def test_a_body_goes_out_to_the_byte() -> None:
    world, http = World(), Server()
    world.name("allowed.example")
    body = os.urandom(300_000)
    head = f"POST http://allowed.example/ HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    http.answer = b""
    got = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(body)) == body
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()
        got.set()

    async with server(world, serve), open_gate(world, "allowed.example") as rig:
        answer = await rig.talk(head + body + b"GET http://allowed.example/ HTTP/1.1\r\n\r\n")
        assert status(answer) == 204
        await got.wait()
        assert rig.audit()[0]["up"] == len(body)


@pytest.mark.parametrize(
    "tail",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
        b"X: a\r\n folded\r\n\r\n",
        b"X: a\nHost: evil\r\n\r\n",
        b"X: a\n\n",
        b"Host: a\r\nHost: b\r\n\r\n",
        b"Content-Length : 5\r\n\r\nhello",
    ],
)
async def test_ambiguous_framing_is_refused_and_nothing_goes_out(tail: bytes) -> None:
    world, http = World(), Server()
    world.name("allowed.example")
    head = b"POST http://allowed.example/ HTTP/1.1\r\n" + tail
    async with server(world, http), open_gate(world, "allowed.example") as rig:
        assert status(await rig.talk(head)) == 400
        assert status(await rig.talk(b"CONNECT allowed.example:443 HTTP/1.1\r\n" + tail)) == 400
        inner = b"POST / HTTP/1.1\r\n" + tail
        assert status((await rig.talk(socks(b"allowed.example", 80) + inner))[12:]) == 400
        assert [got for got in http.got if got] == []


async def test_nothing_behind_a_refusal_is_read() -> None:
    world, http = World(), Server()
    world.name("allowed.example")
    async with server(world, http), open_gate(world, "allowed.example") as rig:
        answer = await rig.talk(to("evil.example:443") + get("http://allowed.example/"))
        assert answer.count(b"HTTP/1.1 ") == 1
        assert (http.got, world.looked_up) == ([], [])


@pytest.mark.parametrize("by", ["connect", "socks"])
async def test_a_tunnel_to_80_carries_one_request_for_the_host_that_was_named(by: str) -> None:
    world, http = World(), Server()
    world.name("allowed.example")
    opening = to("allowed.example:80") if by == "connect" else socks(b"allowed.example", 80)
    async with server(world, http), open_gate(world, "allowed.example") as rig:
        request = b"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        await rig.talk(opening + request * 2)
        assert http.got == [
            b"GET /x HTTP/1.1\r\nhost: allowed.example\r\nconnection: close\r\n\r\n"
        ]
        for odd in (b"GET http://evil.example/ HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n\r\n"):
            assert b" 400 " in await rig.talk(opening + odd)
        assert [got for got in http.got[1:] if got] == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200\n\r\n\r\n",
    ],
)
async def test_an_answer_that_is_none_is_a_bad_gateway(answer: bytes) -> None:
    world, http = World(), Server(answer)
    world.name("allowed.example")
    async with server(world, http), open_gate(world, "allowed.example") as rig:
        assert status(await rig.talk(get("http://allowed.example/"))) == 502


async def test_a_redirect_is_the_clients_to_follow() -> None:
    world = World()
    http = Server(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")
    world.name("allowed.example")
    async with server(world, http), open_gate(world, "allowed.example") as rig:
        assert b"location: http://127.0.0.1/" in await rig.talk(get("http://allowed.example/"))
        assert world.looked_up == ["allowed.example"]


# floods and slow clients


async def test_connections_are_bounded_and_a_normal_request_works_afterwards() -> None:
    world, http = World(), Server()
    world.name("allowed.example")
    bounds = Bounds(connections=5, head_seconds=60)
    async with server(world, http), open_gate(world, "allowed.example", bounds=bounds) as rig:
        idle = [await rig.connect() for _ in range(5)]
        for _, writer in idle:
            writer.write(b"GET ")
        await asyncio.sleep(0)
        while status(answer := await rig.talk(get("http://allowed.example/"))) != 503:
            assert status(answer) == 200
        for _, writer in idle:
            writer.close()
        while status(await rig.talk(get("http://allowed.example/"))) == 503:
            pass


@pytest.mark.parametrize("begun", [b"", b"G", b"\x05", b"\x05\x01", b"GET http://allowed.example/"])
async def test_who_does_not_say_what_it_wants_is_sent_away(begun: bytes) -> None:
    world = World()
    async with open_gate(world, "allowed.example", bounds=Bounds(head_seconds=1.0)) as rig:
        answer = await rig.talk(begun)
        assert answer == b"" or answer[:1] == b"\x05" or status(answer) == 408
        assert rig.audit()[0]["verdict"] == "refused"


async def test_a_tunnel_without_a_greeting_is_closed() -> None:
    world, echo = World(), Echo()
    world.name("allowed.example")
    async with (
        server(world, echo, port=443),
        open_gate(world, "allowed.example", bounds=Bounds(head_seconds=1.0)) as rig,
    ):
        answer = await rig.talk(to("allowed.example:443") + client_hello("allowed.example")[:20])
        assert (status(answer), echo.got) == (200, b"")


async def test_a_giant_head_is_cut_off() -> None:
    async with open_gate(World(), "allowed.example") as rig:
        head = b"GET http://allowed.example/ HTTP/1.1\r\n" + b"x: y\r\n" * 20_000
        assert status(await rig.talk(head)) == 400


async def test_a_tunnel_in_which_nothing_moves_is_closed() -> None:
    world, echo = World(), Echo()
    world.name("allowed.example")
    async with (
        server(world, echo, port=443),
        open_gate(world, "allowed.example", bounds=Bounds(idle_seconds=1.0)) as rig,
    ):
        answer = await rig.talk(to("allowed.example:443") + client_hello("allowed.example"))
        assert answer.endswith(client_hello("allowed.example"))
        assert rig.audit()[0]["why"] == "nothing moved for too long"


async def test_traffic_is_bounded() -> None:
    world = World()
    http = Server(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 500_000)
    world.name("allowed.example")
    bounds = Bounds(total_bytes=200_000)
    async with server(world, http), open_gate(world, "allowed.example", bounds=bounds) as rig:
        assert len(await rig.talk(get("http://allowed.example/"))) < 300_000
        assert len(await rig.talk(get("http://allowed.example/"))) < 300
        assert "traffic" in rig.audit()[1]["why"]


async def test_descriptors_that_are_passed_along_do_not_arrive() -> None:
    world = World()
    async with open_gate(world, "allowed.example") as rig:
        before = set(os.listdir("/proc/self/fd"))
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(rig.socket))
        null = os.open("/dev/null", os.O_RDONLY)
        rights = array.array("i", [null] * 250)
        client.sendmsg([to("evil.example:443")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        client.setblocking(False)
        answer = await asyncio.get_running_loop().sock_recv(client, 65536)
        assert status(answer) == 403
        os.close(null)
        client.close()
        await asyncio.sleep(0)
        await rig.gate.close()
        assert len(set(os.listdir("/proc/self/fd")) - before) <= 1


# the socket, the end, the audit


async def test_the_socket_is_for_its_owner_alone_and_gone_with_the_gate(tmp_path: Any) -> None:
    async with open_gate(World()) as rig:
        mode = os.stat(rig.socket).st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
        await rig.gate.close()
        assert not rig.socket.exists()
        with pytest.raises(OSError):
            await rig.connect()


async def test_a_path_that_is_too_long_for_an_address_is_fine(tmp_path: Any) -> None:
    folder = tmp_path / ("d" * 100) / ("e" * 100)
    folder.mkdir(parents=True)

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await listen(folder / "proxy", hear)
    assert (folder / "proxy").is_socket()
    listening.close()
    assert not (folder / "proxy").exists()


async def test_closing_the_gate_cuts_what_is_open() -> None:
    world, echo = World(), Echo()
    world.name("allowed.example")
    async with server(world, echo, port=443), open_gate(world, "allowed.example") as rig:
        reader, writer = await rig.connect()
        writer.write(to("allowed.example:443") + client_hello("allowed.example"))
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(client_hello("allowed.example")))
        await rig.gate.close()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_each_connection_is_one_line_of_audit() -> None:
    world, http = World(), Server()
    world.name("allowed.example")
    async with server(world, http), open_gate(world, "allowed.example") as rig:
        await rig.talk(get("http://allowed.example/"))
        await rig.talk(to("evil.example:443"))
        await rig.talk(to("127.0.0.1:443"))
        await rig.talk(b"nonsense\r\n\r\n")
        first, *rest = rig.audit()
        assert (first["host"], first["port"], first["address"]) == ("allowed.example", 80, PUBLIC)
        assert (first["verdict"], first["down"] > 0, first["at"] > 0) == ("allowed", True, True)
        assert [(e["host"], e["verdict"]) for e in rest] == [
            ("evil.example", "refused"),
            ("127.0.0.1", "refused"),
            ("", "refused"),
        ]


async def test_the_audit_stops_growing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EGRESS_AUDIT_MAX_BYTES", 1000)
    async with open_gate(World()) as rig:
        for _ in range(20):
            await rig.talk(to("evil.example:443"))
        assert rig.audit()[-1]["why"] == "the audit is full"
        assert 2 < len(rig.audit()) < 10


# a person is asked


async def asked(rig: Rig) -> EgressAsked:
    while not (found := [e for e in rig.events if isinstance(e, EgressAsked)]):
        await asyncio.sleep(0)
    return found[-1]


async def test_a_denied_host_waits_for_a_person() -> None:
    world, http = World(), Server()
    world.name("new.example")
    async with server(world, http), open_gate(world, asks=True) as rig:
        waiting = asyncio.create_task(rig.talk(get("http://NEW.example./")))
        question = await asked(rig)
        assert (question.host, question.port, world.looked_up) == ("new.example", 80, [])
        assert rig.gate.answer(question.id, allow=True, remember=False)
        assert status(await waiting) == 200
        assert rig.events[1:] == [EgressAnswered(question.id, "new.example", 80, allowed=True)]
        assert not rig.gate.answer(question.id, allow=True, remember=True)


async def test_once_is_once_and_the_session_is_the_session() -> None:
    world, http = World(), Server()
    world.name("new.example")
    async with server(world, http), open_gate(world, asks=True) as rig:
        for remember in (False, True):
            waiting = asyncio.create_task(rig.talk(get("http://new.example/")))
            question = (await asked(rig)).id
            while not rig.gate.answer(rig.events[-1].id, allow=True, remember=remember):
                await asyncio.sleep(0)
            assert status(await waiting) == 200
            assert question
        assert status(await rig.talk(get("http://new.example/"))) == 200
        assert len([e for e in rig.events if isinstance(e, EgressAsked)]) == 2
        waiting = asyncio.create_task(rig.talk(to("new.example:443")))
        while not (isinstance(rig.events[-1], EgressAsked) and rig.events[-1].port == 443):
            await asyncio.sleep(0)
        rig.gate.answer(rig.events[-1].id, allow=False, remember=False)
        assert status(await waiting) == 403


async def test_no_is_remembered_and_questions_are_few() -> None:
    world = World()
    async with open_gate(world, asks=True) as rig:
        waiting = [asyncio.create_task(rig.talk(to("new.example:443"))) for _ in range(4)]
        question = await asked(rig)
        rig.gate.answer(question.id, allow=False, remember=True)
        assert {status(a) for a in await asyncio.gather(*waiting)} == {403}
        assert status(await rig.talk(to("new.example:443"))) == 403
        assert len([e for e in rig.events if isinstance(e, EgressAsked)]) == 1

        others = [asyncio.create_task(rig.talk(to(f"n{n}.example:443"))) for n in range(30)]
        done, _ = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        assert done
        while len(open_ones := [t for t in others if not t.done()]) > limits.EGRESS_ASKS_OPEN_MAX:
            await asyncio.sleep(0)
        assert len(open_ones) == limits.EGRESS_ASKS_OPEN_MAX
        await rig.gate.close()


async def test_silence_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.sandbox.egress.asks import Asks
    from agent.sandbox.egress.policy import Target

    told: list[Any] = []
    asks = Asks(told.append, seconds=0.05)
    assert not (await asks.ask(Target("a.example", 443))).allow
    assert [type(e).__name__ for e in told] == ["EgressAsked", "EgressAnswered"]


async def test_nobody_is_asked_about_an_address() -> None:
    async with open_gate(World(), asks=True) as rig:
        assert status(await rig.talk(to("127.0.0.1:443"))) == 403
        assert rig.events == []


async def test_a_host_that_a_person_allows_must_be_public_all_the_same() -> None:
    world = World()
    world.name("new.example", ["127.0.0.1"])
    async with open_gate(world, asks=True) as rig:
        waiting = asyncio.create_task(rig.talk(to("new.example:443")))
        rig.gate.answer((await asked(rig)).id, allow=True, remember=True)
        assert status(await waiting) == 403
        assert world.connected == []


# by way of the user's own proxy


async def test_the_users_own_proxy_is_used_and_its_password_stays_here() -> None:
    world = World()
    world.name("allowed.example")
    world.name("proxy.corp", ["10.0.0.8"])
    heads: list[bytes] = []

    async def corporate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        if head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.write(await reader.read(65536))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nvia")
        writer.close()

    given = {"HTTPS_PROXY": "http://me:s%40crt@proxy.corp:3128", "http_proxy": "proxy.corp:3128"}
    upstreams, problems = upstreams_of(given)
    assert problems == ()
    async with (
        server(world, corporate, "10.0.0.8", 3128),
        open_gate(world, "allowed.example", upstreams=upstreams) as rig,
    ):
        hello = client_hello("allowed.example")
        answer = await rig.talk(to("allowed.example:443") + hello)
        assert answer.endswith(b"\r\n\r\n" + hello)
        assert (await rig.talk(get("http://allowed.example/x"))).endswith(b"via")
        assert status(await rig.talk(to("evil.example:443"))) == 403
        assert heads[0].startswith(b"CONNECT allowed.example:443 HTTP/1.1\r\n")
        assert b"proxy-authorization: Basic bWU6c0BjcnQ=" in heads[0]
        assert heads[1].startswith(
            b"GET http://allowed.example/x HTTP/1.1\r\nhost: allowed.example"
        )
        assert len(heads) == 2
        world.name("allowed.example", ["127.0.0.1"])
        assert status(await rig.talk(to("allowed.example:443"))) == 403
        assert rig.audit()[0]["address"] == "proxy proxy.corp:3128"


async def test_hosts_that_need_no_proxy_are_reached_directly() -> None:
    upstreams, _ = upstreams_of(
        {"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".corp, exact.example,localhost"}
    )
    direct = ["a.corp", "corp", "exact.example", "localhost"]
    assert [upstreams.towards(n, plain=False) for n in direct] == [None] * 4
    assert upstreams.towards("a.exact.examples", plain=False) is not None
    assert upstreams.towards("xcorp", plain=False) is not None
    assert upstreams_of({"HTTPS_PROXY": "socks5://p:1"})[1]


async def test_a_name_that_only_the_users_proxy_knows_is_asked_for_here_once() -> None:
    world = World()
    world.name("proxy.corp", ["10.0.0.8"])

    async def corporate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.write(await reader.read(65536))
        writer.close()

    upstreams, _ = upstreams_of({"HTTPS_PROXY": "http://proxy.corp:3128"})
    async with (
        server(world, corporate, "10.0.0.8", 3128),
        open_gate(world, "far.example", upstreams=upstreams) as rig,
    ):
        hello = client_hello("far.example")
        for _ in range(3):
            answer = await rig.talk(to("far.example:443") + hello)
            assert answer.endswith(b"\r\n\r\n" + hello)
        assert world.looked_up.count("far.example") == 1
        answer = await rig.talk(to("far.example:443") + client_hello("other.example"))
        assert status(answer) == 200
        assert rig.audit()[-1]["verdict"] == "refused"
