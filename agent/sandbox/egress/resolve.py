"""From an allowed name to addresses that were checked: looked up once, all answers must be fine."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Sequence

from agent.core import limits
from agent.sandbox.egress.addresses import permitted, unmapped
from agent.sandbox.egress.names import Rule

NOT_PUBLIC = "its address is not public"

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""The seam to the system's resolver: all addresses of a name, none when it has none."""


class Unreachable(Exception):
    """A name leads nowhere, or nowhere that is allowed; the text says which.

    `address` is what was refused, for people on the host: inside it would map their network.
    """

    def __init__(self, why: str, *, refused: bool, address: str = "") -> None:
        super().__init__(why)
        self.refused = refused
        self.address = address


async def addresses(name: str, rule: Rule, lookup: Lookup) -> tuple[str, ...]:
    """The addresses of `name` to connect to. Raises `Unreachable`."""
    if rule.literal:
        return (name,)
    try:
        async with asyncio.timeout(limits.EGRESS_LOOKUP_SECONDS):
            answers = await lookup(name)
    except TimeoutError:
        raise Unreachable("looking its name up took too long", refused=False) from None
    if not answers:
        raise Unreachable("its name is not known", refused=False)
    checked = [_checked(answer, rule) for answer in answers]
    return tuple(checked[: limits.EGRESS_ADDRESSES_MAX])


def _checked(answer: str, rule: Rule) -> str:
    try:
        address = unmapped(ipaddress.ip_address(answer))
    except ValueError:  # with a zone, as only link-local ones have
        raise Unreachable(NOT_PUBLIC, refused=True, address=answer) from None
    if not permitted(address, rule.within, only=rule.only):
        raise Unreachable(NOT_PUBLIC, refused=True, address=str(address))
    return str(address)
