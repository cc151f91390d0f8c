"""Pictures that a model can be shown: what they are, and how large."""

from __future__ import annotations

import struct
from typing import NamedTuple, Optional, Tuple

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Picture(NamedTuple):
    """A picture's media type and its size in pixels."""

    media: str
    width: int
    height: int


def picture(data: bytes) -> Optional[Picture]:
    """What picture `data` is; None for all that models are not shown, and for a broken one."""
    found = _sized(data)
    return found if found is not None and found.width and found.height else None


def _sized(data: bytes) -> Optional[Picture]:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Picture("image/png", *_two(">II", data, 16))
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return Picture("image/gif", *_two("<HH", data, 6))
    if data.startswith(b"\xff\xd8\xff"):
        return Picture("image/jpeg", *_jpeg(data))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Picture("image/webp", *_webp(data))
    return None


def _two(layout: str, data: bytes, at: int) -> Tuple[int, int]:
    try:
        first, second = struct.unpack_from(layout, data, at)
    except struct.error:
        return 0, 0
    return first, second


def _jpeg(data: bytes) -> Tuple[int, int]:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _SOF:
            height, width = _two(">HH", data, at + 5)
            return width, height
        if marker == 0xFF:
            at += 1
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return 0, 0


def _webp(data: bytes) -> Tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return width + 1, height + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = _two("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0
