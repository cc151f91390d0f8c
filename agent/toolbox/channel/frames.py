"""The wire: length, kind, request id, payload. `agent/sandbox/frames.py` is its twin on the host.

    host to toolbox     ASK* ASK_END  (DATA* DATA_END for exec and put)   CANCEL at any time
    toolbox to host     LIVE* DATA* ANSWER* ANSWER_END   or   FAILED

ASK and ANSWER carry pieces of one JSON object, LIVE live output, DATA bytes, FAILED a reason.
Requests may overlap; each ends with exactly one ANSWER_END or FAILED.

A request that streams (`interact`) takes DATA and DATA_END while it runs. Each end may send as many
bytes as the window that was asked for, and as many more as CREDIT says the other end has consumed.
TUNE carries a JSON object that changes something about what runs (window size, a signal).
"""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from typing import Any, Dict, Optional, Tuple

from agent.toolbox.programs.pipes import read_exactly, write_all

HEADER = struct.Struct("!IBQ")
PAYLOAD_MAX_BYTES = 1_000_000
MESSAGE_MAX_BYTES = 64_000_000

ASK, ASK_END, DATA, DATA_END, CANCEL, LIVE, ANSWER, ANSWER_END, FAILED, CREDIT, TUNE = range(1, 12)
FROM_HOST = (ASK, ASK_END, DATA, DATA_END, CANCEL, CREDIT, TUNE)
COUNT = struct.Struct("!Q")

Frame = Tuple[int, int, bytes]


class BadFrame(Exception):
    """The other end does not speak the protocol; the connection must end."""


def read_frame(descriptor: int) -> Optional[Frame]:
    """The next (kind, id, payload); None at the end of the channel."""
    header = read_exactly(descriptor, HEADER.size)
    if len(header) < HEADER.size:
        return None
    size, kind, request = HEADER.unpack(header)
    if size > PAYLOAD_MAX_BYTES or kind not in FROM_HOST:
        raise BadFrame("frame of kind %d with %d bytes" % (kind, size))
    payload = read_exactly(descriptor, size)
    return None if len(payload) < size else (kind, request, payload)


def decode(data: bytes) -> Dict[str, Any]:
    """The JSON object in `data`. Raises `BadFrame` for anything else, however deep or long."""
    try:
        value: Any = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadFrame("no JSON: %s" % error) from error
    if not isinstance(value, dict):
        raise BadFrame("no JSON object")
    return value  # type: ignore[no-any-return]


def count(payload: bytes) -> int:
    """The number in a CREDIT."""
    if len(payload) != COUNT.size:
        raise BadFrame("a number of %d bytes" % len(payload))
    return int(COUNT.unpack(payload)[0])


def asked(ask: Dict[str, Any]) -> Tuple[str, Dict[str, Any]]:
    """The operation and the arguments of a request."""
    op: Any = ask.get("op")
    arguments: Any = ask.get("arguments")
    if not isinstance(op, str) or not isinstance(arguments, dict):
        raise BadFrame("request without operation or arguments")
    return op, arguments  # type: ignore[return-value]


class Outgoing:
    """The sending half, shared by all threads. A send that fails is dropped: the host is gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, kind: int, request: int, payload: bytes = b"") -> None:
        """Send one frame whole."""
        with self._lock:
            self._write(HEADER.pack(len(payload), kind, request) + payload)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            write_all(self._descriptor, data)

    def send_pieces(self, kind: int, last: int, request: int, data: bytes) -> None:
        """Send `data` as frames of `kind`, the final one (possibly empty) as `last`."""
        at = 0
        while len(data) - at > PAYLOAD_MAX_BYTES:
            self.send(kind, request, data[at : at + PAYLOAD_MAX_BYTES])
            at += PAYLOAD_MAX_BYTES
        self.send(last, request, data[at:])

    def answer(self, request: int, value: Dict[str, Any]) -> None:
        """End a request with its answer."""
        self.send_pieces(ANSWER, ANSWER_END, request, json.dumps(value).encode("ascii"))

    def credit(self, request: int, count: int) -> None:
        """Say that `count` bytes of the input are consumed."""
        self.send(CREDIT, request, COUNT.pack(count))

    def fail(self, request: int, reason: str) -> None:
        """End a request that could not be served at all."""
        self.send(FAILED, request, reason.encode("utf-8", "replace")[:2000])
