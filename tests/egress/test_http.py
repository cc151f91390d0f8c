"""Requests are understood in exactly one way, or not at all."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox.egress import http
from agent.sandbox.egress.hello import NotTls, server_name
from agent.sandbox.egress.http import BadRequest
from agent.sandbox.egress.names import BadName
from tests.egress.rig import client_hello

AMBIGUOUS = {
    "length and chunks": b"GET http://a/ HTTP/1.1\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked",
    "chunks": b"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked",
    "odd chunks": b"POST http://a/ HTTP/1.1\r\nTransfer-Encoding: xchunked",
    "two lengths": b"POST http://a/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5",
    "list of lengths": b"POST http://a/ HTTP/1.1\r\nContent-Length: 5, 5",
    "signed length": b"POST http://a/ HTTP/1.1\r\nContent-Length: +5",
    "hex length": b"POST http://a/ HTTP/1.1\r\nContent-Length: 0x5",
    "endless length": b"POST http://a/ HTTP/1.1\r\nContent-Length: " + b"9" * 40,
    "no length": b"POST http://a/ HTTP/1.1\r\nContent-Length:",
    "folded": b"GET http://a/ HTTP/1.1\r\nX: a\r\n b",
    "bare line feed": b"GET http://a/ HTTP/1.1\r\nX: a\nHost: evil",
    "bare carriage return": b"GET http://a/ HTTP/1.1\r\nX: a\rHost: evil",
    "nul": b"GET http://a/ HTTP/1.1\r\nX: a\0b",
    "space before colon": b"GET http://a/ HTTP/1.1\r\nContent-Length : 5",
    "space in front": b"GET http://a/ HTTP/1.1\r\n Content-Length: 5",
    "no colon": b"GET http://a/ HTTP/1.1\r\nnonsense",
    "no name": b"GET http://a/ HTTP/1.1\r\n: x",
    "two hosts": b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b",
    "two spaces": b"GET  http://a/ HTTP/1.1",
    "a tab": b"GET\thttp://a/\tHTTP/1.1",
    "space in target": b"GET http://a/ x HTTP/1.1",
    "no version": b"GET http://a/",
    "version 2": b"GET http://a/ HTTP/2",
    "version 0.9": b"GET http://a/ HTTP/0.9",
    "method": b"G(T http://a/ HTTP/1.1",
    "not ascii": "GET http://a/é HTTP/1.1".encode(),
    "many headers": b"GET http://a/ HTTP/1.1\r\n" + b"\r\n".join([b"a: b"] * 300),
    "nothing": b"",
    "other scheme": b"GET https://a/ HTTP/1.1",
    "ftp": b"GET ftp://a/ HTTP/1.1",
    "websocket": b"GET ws://a/ HTTP/1.1",
    "file": b"GET file:///etc/passwd HTTP/1.1",
    "gopher": b"GET gopher://a/ HTTP/1.1",
    "own page": b"GET / HTTP/1.1",
    "asterisk": b"OPTIONS * HTTP/1.1",
    "fragment": b"GET http://a/#b HTTP/1.1",
}


@pytest.mark.parametrize("head", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequest):
        request = http.parse(head + http.END)
        http.absolute(request)
        _ = request.length


@pytest.mark.parametrize(
    "target", ["http://allowed@evil/", "http://a:80:90/", "http://a:x/", "http://:80/"]
)
def test_the_host_of_a_target_is_a_host_and_no_more(target: str) -> None:
    from agent.sandbox.egress.names import canonical

    request = http.parse(f"GET {target} HTTP/1.1".encode() + http.END)
    with pytest.raises(BadName):
        host, _, _ = http.absolute(request)
        canonical(host)


@pytest.mark.parametrize(
    ("target", "host", "port", "path"),
    [
        ("http://a.example", "a.example", 80, b"/"),
        ("HTTP://A.example:8080/x/../y?z", "A.example", 8080, b"/x/../y?z"),
        ("http://a.example?x=http://b/", "a.example", 80, b"/?x=http://b/"),
        ("http://a.example//b", "a.example", 80, b"//b"),
    ],
)
def test_an_absolute_target_is_taken_apart(target: str, host: str, port: int, path: bytes) -> None:
    request = http.parse(f"GET {target} HTTP/1.1".encode() + http.END)
    assert http.absolute(request) == (host, port, path)


def test_what_goes_out_is_built_anew() -> None:
    head = (
        b"PUT http://a.example/x HTTP/1.0\r\nHost: evil.example\r\n"
        b"Connection: keep-alive, x-mine\r\n"
        b"X-Mine: 1\r\nProxy-Authorization: Basic secret\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: x\r\nTE: trailers\r\nX-Kept:  v \r\nContent-Length: 3\r\n\r\n"
    )
    out = http.rebuilt(http.parse(head), b"/x", "a.example")
    assert out == (
        b"PUT /x HTTP/1.1\r\nhost: a.example\r\nx-kept: v\r\ncontent-length: 3\r\n"
        b"connection: close\r\n\r\n"
    )


def test_connection_cannot_take_the_length_away() -> None:
    head = b"PUT http://a/ HTTP/1.1\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\n"
    assert b"content-length: 3" in http.rebuilt(http.parse(head), b"/", "a")


_PIECES = (
    b"GET ", b"http://a/", b" HTTP/1.1", b"\r\n", b"\n", b"\r", b"Host:", b"x", b" ", b":", b"\0",
    b"Content-Length: 1", b"Transfer-Encoding: chunked", b"\t", b"\xff",
)  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=14))
def test_what_is_understood_survives_being_written_and_read_again(parts: list[bytes]) -> None:
    try:
        request = http.parse(b"".join(parts) + http.END)
        length = request.length
    except BadRequest:
        return
    again = http.parse(http.rebuilt(request, b"/", "a.example"))
    assert (again.method, again.target, again.length) == (request.method, b"/", length)
    assert again.all(b"host") == [b"a.example"]
    assert again.all(b"connection") == [b"close"]


@pytest.mark.parametrize("records", [1, 2, 7, 60])
def test_the_name_in_a_greeting_is_found_however_it_is_cut(records: int) -> None:
    data = client_hello("a.example", records=records)
    assert server_name(data) == "a.example"
    for size in range(len(data)):
        assert server_name(data[:size]) is None


def test_a_greeting_without_a_name_names_nobody() -> None:
    assert server_name(client_hello()) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n", b"SSH-2.0-x\r\n", b"\x80\x2e\x01\x00\x02", b"\x17\x03\x03",
        b"\x16\x02\x00", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff",
    ],
)  # fmt: skip
def test_what_is_no_greeting_is_not_taken_for_one(data: bytes) -> None:
    with pytest.raises(NotTls):
        server_name(data + b"\0" * 10)


def test_a_greeting_for_two_hosts_is_none() -> None:
    for data in (
        client_hello("a.example", "b.example"),
        client_hello("a.example", extension=b"\x00\x00\x00\x0e\x00\x0c\x00\x00\x09b.example"),
    ):
        with pytest.raises(NotTls):
            server_name(data)


@given(st.binary(max_size=200))
def test_any_bytes_have_an_end(data: bytes) -> None:
    for text in (data, b"\x16\x03\x01" + data, client_hello("a.example")[: len(data)] + data):
        with contextlib.suppress(NotTls):
            assert server_name(text) is None or isinstance(server_name(text), str)
