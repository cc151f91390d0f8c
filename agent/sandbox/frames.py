"""The wire to the toolbox, on the host: the twin of `toolbox.channel.frames`, which draws it.

Every byte that comes in is hostile until it has been checked: sizes before they are allocated.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from agent.core.errors import ToolboxError
from agent.core.limits import FRAME_PAYLOAD_MAX_BYTES

HEADER = struct.Struct("!IBQ")
COUNT = struct.Struct("!Q")


class Kind(IntEnum):
    """What a frame carries."""

    ASK = 1
    ASK_END = 2
    DATA = 3
    DATA_END = 4
    CANCEL = 5
    LIVE = 6
    ANSWER = 7
    ANSWER_END = 8
    FAILED = 9
    CREDIT = 10
    TUNE = 11


FROM_TOOLBOX = {Kind.DATA, Kind.LIVE, Kind.ANSWER, Kind.ANSWER_END, Kind.FAILED, Kind.CREDIT}


def frame(kind: Kind, number: int, payload: bytes | memoryview = b"") -> bytes:
    """One frame, ready to send."""
    return HEADER.pack(len(payload), kind, number) + payload


def pieces(data: bytes) -> Iterator[memoryview]:
    """`data` in payloads of at most the largest size; none for no data."""
    view = memoryview(data)
    for at in range(0, len(data), FRAME_PAYLOAD_MAX_BYTES):
        yield view[at : at + FRAME_PAYLOAD_MAX_BYTES]


async def read_frame(reader: asyncio.StreamReader) -> tuple[Kind, int, bytes]:
    """The next frame. Raises `ToolboxError` for a broken one, IncompleteReadError at the end."""
    size, kind, number = HEADER.unpack(await reader.readexactly(HEADER.size))
    if size > FRAME_PAYLOAD_MAX_BYTES or kind not in FROM_TOOLBOX:
        raise ToolboxError(f"the toolbox sent a broken frame (kind {kind}, {size} bytes)")
    return Kind(kind), number, await reader.readexactly(size)


def encode(op: str, arguments: dict[str, Any]) -> bytes:
    """A request as JSON; text may hold lone surrogates, which is how bytes of file names travel."""
    return json.dumps({"op": op, "arguments": arguments}).encode("ascii")


def count(payload: bytes) -> int:
    """The number in a CREDIT. Raises `ToolboxError` for anything else."""
    if len(payload) != COUNT.size:
        raise ToolboxError(f"the toolbox sent a number of {len(payload)} bytes")
    return int(COUNT.unpack(payload)[0])


def decode(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Raises `ToolboxError` for anything else, however deep or long."""
    try:
        value: Any = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ToolboxError("the toolbox answered with broken JSON") from error
    if not isinstance(value, dict):
        raise ToolboxError("the toolbox answered with something else than an object")
    return value  # pyright: ignore[reportUnknownVariableType]: JSON keys are strings


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
