"""All of it through a pipe that takes or gives only so much at a time."""

from __future__ import annotations

import os


def write_all(descriptor: int, data: bytes) -> None:
    """Write the whole of `data`. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_exactly(descriptor: int, size: int) -> bytes:
    """The next `size` bytes; fewer only where the other end has closed."""
    data = bytearray()
    while len(data) < size:
        try:
            piece = os.read(descriptor, size - len(data))
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return bytes(data)
