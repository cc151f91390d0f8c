"""SOCKS 5 with names: CONNECT and nothing else, no authentication, no look-up by the client."""

from __future__ import annotations

import ipaddress

from agent.sandbox.egress.incoming import Incoming
from agent.sandbox.egress.names import BadName

VERSION = 5
GREETED = bytes([VERSION, 0])
NO_METHOD = bytes([VERSION, 255])
GRANTED, FAILED, REFUSED, UNREACHABLE, NO_COMMAND = 0, 1, 2, 4, 7
_ANYBODY, _CONNECT = 0, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4


class BadSocks(ValueError):
    """Not what this proxy speaks; `reply` is the answer for it."""

    def __init__(self, why: str, reply: bytes) -> None:
        super().__init__(why)
        self.reply = reply


def reply(code: int) -> bytes:
    """The answer to a request; where the connection begins is nobody's business."""
    return bytes([VERSION, code, 0, _IPV4, 0, 0, 0, 0, 0, 0])


async def greeting(incoming: Incoming) -> bytes:
    """Read the client's greeting; the answer to it. Raises `BadSocks`."""
    count = (await incoming.exactly(2))[1]
    if _ANYBODY not in await incoming.exactly(count):
        raise BadSocks("it offers no way without a password", NO_METHOD)
    return GREETED


async def request(incoming: Incoming) -> tuple[str, int]:
    """Host as given, and port. Raises `BadSocks`, `BadName`."""
    version, command, _, kind = await incoming.exactly(4)
    if version != VERSION:
        raise BadSocks("it is not SOCKS 5", reply(FAILED))
    host = await _host(incoming, kind)
    port = int.from_bytes(await incoming.exactly(2), "big")
    if command != _CONNECT:
        raise BadSocks("only CONNECT is served", reply(NO_COMMAND))
    if not port:
        raise BadName("it has no valid port")
    return host, port


async def _host(incoming: Incoming, kind: int) -> str:
    if kind == _IPV4:
        return str(ipaddress.IPv4Address(await incoming.exactly(4)))
    if kind == _IPV6:
        return str(ipaddress.IPv6Address(await incoming.exactly(16)))
    if kind != _NAME:
        raise BadSocks("it names its host in no known way", reply(FAILED))
    size = (await incoming.exactly(1))[0]
    # Decoded so that every byte can be shown; what is not ASCII is no name.
    return (await incoming.exactly(size)).decode("latin-1")
