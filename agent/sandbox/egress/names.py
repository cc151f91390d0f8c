"""Names of hosts in their one canonical form, and the entries with which people allow them.

An entry is `NAME`, `*.NAME` (everything below it, not itself) or an address, each with `:PORT` for
another port than 80 and 443. An exact name may say where it lies, because otherwise it must have
public addresses: `NAME=private` or `NAME=10.1.2.0/24`.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from agent.core.errors import UserError
from agent.core.text import one_line
from agent.sandbox.egress.addresses import LOOPBACK, MIRRORS, PRIVATE, Network

WEB_PORTS = (80, 443)
NAME_MAX_CHARS = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")
LOCALHOST = "localhost"


class BadName(ValueError):
    """What was asked for is not the name of a host; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one entry allows.

    `name` is canonical; `suffix` means everything below it. `within` holds address ranges that are
    fine besides public ones, `only` says that public ones are not.
    """

    name: str
    ports: tuple[int, ...] = WEB_PORTS
    suffix: bool = False
    within: tuple[Network, ...] = ()
    only: bool = False
    literal: bool = False

    def matches(self, name: str, port: int) -> bool:
        """Whether it allows the canonical `name` at `port`."""
        if port not in self.ports:
            return False
        labels, own = name.split("."), self.name.split(".")
        if self.suffix:
            return len(labels) > len(own) and labels[-len(own) :] == own
        return labels == own


def canonical(name: str) -> str:
    """The one spelling of a host's name. Raises `BadName` for anything else, addresses included.

    Every way to write an IPv4 address ends in a number (`127.1`, `2130706433`, `0x7f.1`), and no
    name of a host does.
    """
    if not name.isascii():
        raise BadName("it is not ASCII; write it in punycode")
    text = name.lower().removesuffix(".")
    if not text or len(text) > NAME_MAX_CHARS:
        raise BadName("it is empty or too long")
    labels = text.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise BadName("it is not the name of a host")
    if _NUMBER.fullmatch(labels[-1]):
        raise BadName("addresses are refused, only names are served")
    return text


def port_of(text: str) -> int:
    """A port written in decimal. Raises `BadName`."""
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65_536:
        raise BadName("it has no valid port")
    return int(text)


def split(authority: str, default: int | None = None) -> tuple[str, int]:
    """`HOST:PORT` as it stands in a request: host as given, port checked. Raises `BadName`."""
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        if default is None:
            raise BadName("it has no port")
        return authority, default
    return host, port_of(port)


def rule_of(entry: str) -> Rule:
    """What a person wrote to allow a host. Raises `UserError` that quotes it and says the form."""
    try:
        return _rule(entry.strip())
    except ValueError as error:
        why = str(error) if isinstance(error, BadName) else "what stands after `=` is no network"
        raise UserError(
            f"`{one_line(entry)}` does not name a host to allow: {why}",
            "write `example.com`, `*.example.com`, `example.com:8443`, or, for a host of your own "
            "network, `registry.example=private` or `registry.example=10.1.2.0/24`",
        ) from None


def _rule(entry: str) -> Rule:
    named, equals, where = entry.partition("=")
    suffix = named.startswith("*.")
    host, port = _host_and_port(named.removeprefix("*."))
    ports = WEB_PORTS if port is None else (port,)
    if (address := _address(host)) is not None:
        if suffix or equals:
            raise BadName("an address stands alone")
        return Rule(str(address), ports, within=(_single(address),), only=True, literal=True)
    name = canonical(host)
    if suffix and equals:
        raise BadName("only exactly named hosts may lie in a private network")
    if name == LOCALHOST:
        if port is None or suffix or equals:
            raise BadName("for a service of your own machine write `localhost:PORT`")
        return Rule(name, ports, within=LOOPBACK, only=True)
    return Rule(name, ports, suffix, *_where(where, given=bool(equals)))


def _where(where: str, *, given: bool) -> tuple[tuple[Network, ...], bool]:
    if not given:
        return (), False
    if where == "private":
        return (*PRIVATE, *MIRRORS), False
    if where == "mirror":
        return MIRRORS, False
    return (ipaddress.ip_network(where),), True


def _host_and_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise BadName("its brackets do not close")
        return host, port_of(rest[1:]) if rest else None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port_of(port) if colon else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _single(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Network:
    return ipaddress.ip_network(str(address))
