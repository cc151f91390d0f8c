"""Which addresses a name may have: public ones, never those of this machine and its networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(word) for word in text.split())


# Nobody may be sent there, whoever was named: unspecified, link-local with the metadata services
# of clouds in it, those that lie elsewhere, multicast, reserved, broadcast.
NEVER = _networks(
    """0.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.88.99.0/24 224.0.0.0/4 240.0.0.0/4
    100.100.100.200/32 168.63.129.16/32
    ::/128 ::/96 fe80::/10 fec0::/10 ff00::/8 100::/64 fd00:ec2::254/128 fd20:ce::254/128
    64:ff9b:1::/48 2001::/23"""
)
LOOPBACK = _networks("127.0.0.0/8 ::1/128")
PRIVATE = _networks("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7")
# Ranges for documentation and benchmarks. No host of anybody's network has such an address, but
# networks with a transparent proxy answer with them ("fake IP"): then the mirror of a registry has
# one, and the user's own package manager goes there.
MIRRORS = _networks(
    "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 198.18.0.0/15 2001:db8::/32 3fff::/20"
)
_NOT_PUBLIC = (*NEVER, *LOOPBACK, *PRIVATE, *MIRRORS)
_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def unmapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped one; every other address as it is."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def carried(address: Address) -> Address | None:
    """The IPv4 address that a NAT64 or 6to4 address leads to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour


def is_public(address: Address) -> bool:
    """Whether it is global unicast, and so is what it carries."""
    inner = carried(address)
    if inner is not None:
        return is_public(inner)
    if _among(address, _NOT_PUBLIC):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        return address in _UNICAST_6
    return address.is_global


def permitted(address: Address, within: Sequence[Network], *, only: bool = False) -> bool:
    """Whether a name may have this address: a public one unless `only`, or one in `within`."""
    loopback = _among(address, LOOPBACK)  # `::1` is in the range of the deprecated `::/96`
    if _among(address, NEVER) and not loopback:
        return False
    return _among(address, within) or (not only and is_public(address))


def _among(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == net.version and address in net for net in networks)
