"""The first message of a TLS connection: which host it says it is for."""

from __future__ import annotations

import struct

HELLO_MAX_BYTES = 65_536
_RECORD = b"\x16\x03"  # a handshake, of any version of TLS
_CLIENT_HELLO = b"\x01"
_SERVER_NAME, _HOST_NAME = 0, 0


class NotTls(ValueError):
    """What was sent does not begin a TLS connection."""


def server_name(data: bytes | bytearray) -> str | None:
    """The host that a ClientHello names, "" when it names none; None while it is not all there.

    Raises `NotTls` for anything else, and for one that names several hosts.
    """
    data, message, at = bytes(data), bytearray(), 0
    while True:
        if len(data) > HELLO_MAX_BYTES or not _RECORD.startswith(data[at : at + 2]):
            raise NotTls
        if len(data) < at + 5:
            return None
        (size,) = struct.unpack_from(">H", data, at + 3)
        if size == 0:
            raise NotTls
        message += data[at + 5 : at + 5 + size]
        whole = _whole(message)
        if whole is not None:
            return _named(whole)
        if len(data) < at + 5 + size:
            return None
        at += 5 + size


def _whole(message: bytearray) -> bytes | None:
    """The body of the handshake message, once all of it has come."""
    if not _CLIENT_HELLO.startswith(message[:1]):
        raise NotTls
    if len(message) < 4:
        return None
    size = int.from_bytes(message[1:4], "big")
    if size > HELLO_MAX_BYTES:
        raise NotTls
    return bytes(message[4 : 4 + size]) if len(message) >= 4 + size else None


def _named(body: bytes) -> str:
    fields = _Fields(body)
    fields.take(2 + 32)  # version and random
    fields.block(1)  # session id
    fields.block(2)  # ciphers
    fields.block(1)  # compressions
    if fields.empty:
        return ""
    extensions = _Fields(fields.block(2))
    names: list[bytes] = []
    seen = 0
    while not extensions.empty:
        kind, content = extensions.number(2), extensions.block(2)
        if kind == _SERVER_NAME:
            seen += 1
            names += _host_names(content)
    if seen > 1 or len(names) > 1:
        raise NotTls
    try:
        return names[0].decode("ascii") if names else ""
    except UnicodeDecodeError:
        raise NotTls from None


def _host_names(content: bytes) -> list[bytes]:
    entries = _Fields(_Fields(content).block(2))
    found: list[bytes] = []
    while not entries.empty:
        if entries.number(1) != _HOST_NAME:
            raise NotTls
        found.append(entries.block(2))
    return found


class _Fields:
    """Reads what TLS writes: numbers, and blocks with their length in front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def empty(self) -> bool:
        return self._at >= len(self._data)

    def take(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise NotTls
        self._at += size
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def block(self, prefix: int) -> bytes:
        return self.take(self.number(prefix))
