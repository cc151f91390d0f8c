"""What the service itself brings out of a box: a file that waits to be picked up, a port."""

from __future__ import annotations

import time

from agent.core.errors import SandboxError
from agent.sandbox.daytona.machine import TRIES, Machine
from agent.sandbox.daytona.trouble import Trouble
from agent.sandbox.protocol import Endpoint, Sink

PREVIEW_SECONDS = 3600
OWN_PORTS = (2280, 22222, 33333)


async def download(machine: Machine, staged: str, size: int, sink: Sink) -> None:
    """Hand on the bytes of a file below `PLACE`, each once. Raises `SandboxError`."""
    arrival = _Arrival(size, sink)
    for attempt in range(TRIES):
        since = machine.starts
        arrival.begin()
        try:
            await machine.box.download(staged, arrival.take)
        except Trouble as trouble:
            await machine.overcome(trouble, attempt, since=since)
        else:
            break
    if arrival.count != size:
        raise SandboxError("the file did not come out of the sandbox whole")


async def shown(machine: Machine, port: int) -> Endpoint:
    """A signed address of a port that ends by itself. Raises `SandboxError`."""
    machine.still_there()
    if not 0 < port < 65536 or port in OWN_PORTS:
        raise SandboxError(f"port {port} of a Daytona sandbox cannot be shown", "use another")
    for attempt in range(TRIES):
        since = machine.starts
        try:
            url = await machine.box.preview(port, PREVIEW_SECONDS)
        except Trouble as trouble:
            await machine.overcome(trouble, attempt, since=since)
        else:
            return Endpoint(port, url, time.time() + PREVIEW_SECONDS)
    raise AssertionError


class _Arrival:
    """Hands a file's bytes on once each, also when the file comes again from its start."""

    def __init__(self, size: int, sink: Sink) -> None:
        self.count = 0
        self._size = size
        self._sink = sink
        self._position = 0

    def begin(self) -> None:
        self._position = 0

    def take(self, piece: bytes) -> None:
        new = piece[max(0, self.count - self._position) :]
        self._position += len(piece)
        self.count += len(new)
        if self.count > self._size:
            raise SandboxError("the sandbox sends more of the file than there is")
        if new:
            self._sink(new)
