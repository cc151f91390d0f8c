"""The header of a git bundle, read by us before git sees a byte of it.

git's own reader follows links and `gitdir:` files, reads a line without end and believes whatever
refs are named. A bundle we take has version 2, one ref of the name we asked for, and a small head.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.core.errors import SyncError
from agent.core.limits import IMPORT_OBJECTS_MAX

HEADER_MAX_BYTES = 65_536
_MAGIC = b"# v2 git bundle\n"
_NEEDS = re.compile(rb"-([0-9a-f]{40})(?: .*)?")
_OFFERS = re.compile(rb"([0-9a-f]{40}) (.+)")
_PACK_HEAD = 12


@dataclass(frozen=True, slots=True)
class Header:
    """Which commit the bundle brings, on which ones it builds, and where its pack begins."""

    tip: str
    needs: tuple[str, ...]
    offset: int


def parse_header(data: bytes, ref: str) -> Header:
    """The header at the start of `data`, a bundle's first bytes, which must offer exactly `ref`.

    Without a `ref` it may have any name: it is looked at by nobody.
    """
    if not data.startswith(_MAGIC):
        raise _refused("it is no bundle of version 2")
    end = data.find(b"\n\n", len(_MAGIC) - 1, HEADER_MAX_BYTES)
    if end < 0:
        raise _refused(f"its header does not end within {HEADER_MAX_BYTES} bytes")
    lines = data[len(_MAGIC) : end].split(b"\n")
    needs = tuple(found[1].decode() for line in lines if (found := _NEEDS.fullmatch(line)))
    offers = [found for line in lines if (found := _OFFERS.fullmatch(line))]
    if len(needs) + len(offers) != len(lines):
        raise _refused("its header holds a line of no known form")
    if len(offers) != 1 or (ref and offers[0][2] != ref.encode()):
        raise _refused("it offers other refs than the one that was asked for")
    _check_pack(data[end + 2 : end + 2 + _PACK_HEAD])
    return Header(offers[0][1].decode(), needs, end + 2)


def _check_pack(start: bytes) -> None:
    if len(start) < _PACK_HEAD or not start.startswith(b"PACK"):
        raise _refused("no pack follows its header")
    count = int.from_bytes(start[8:12], "big")
    if count > IMPORT_OBJECTS_MAX:
        raise _refused(f"its pack claims {count} objects, more than {IMPORT_OBJECTS_MAX}")


def _refused(why: str) -> SyncError:
    return SyncError(
        f"what came out of the sandbox was refused: {why}",
        "the work is still inside; if the agent did not tamper with git there, report this",
    )
