"""The host's own network: a private unix socket to be reached at, connections out, look-ups.

Nothing here decides what is allowed. A connection goes to an *address*: whoever looked a name up
and checked the answer connects to what was checked, never to the name again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

PUMP_BYTES = 262_144
BACKLOG = 256
LOOKUPS_MAX = 8
PORT_TRIES = 20
HEAD_BYTES = 65_536
_PRIVATE_SOCKET = 0o600

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
OnConnect = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listening:
    """A unix socket that answers; see `listen`."""

    def __init__(self, server: asyncio.Server, path: Path) -> None:
        self._server = server
        self._path = path

    def close(self) -> None:
        """Take no more connections; those that are open are the caller's. Safe to call twice."""
        self._server.close()
        _forget(self._path)


async def listen(path: Path, on_connect: OnConnect, *, owner: int | None = None) -> Listening:
    """Answer at the unix socket `path`, which only its owner may use.

    `owner` (root only) is who that is. A socket that an earlier process left there is replaced.
    Descriptors that a peer passes along are dropped by the kernel: only bytes are ever received.
    """
    _forget(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(listener, path)
        os.chmod(path, _PRIVATE_SOCKET)
        if owner is not None and owner != os.geteuid():
            os.chown(path, owner, owner)
        server = await asyncio.start_unix_server(
            on_connect, sock=listener, backlog=BACKLOG, limit=PUMP_BYTES
        )
    except BaseException:
        listener.close()
        _forget(path)
        raise
    return Listening(server, path)


class Loopback:
    """A port of our own on the host's loopback; see `listen_on_loopback`."""

    def __init__(self, servers: Sequence[asyncio.Server], port: int) -> None:
        self._servers = servers
        self.port = port

    def close(self) -> None:
        """Take no more connections; those that are open are the caller's. Safe to call twice."""
        for server in self._servers:
            server.close()


async def listen_on_loopback(
    on_connect: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None],
) -> Loopback:
    """Answer at a port that nobody used, on both loopback addresses and no other.

    Both, where there are both: a browser tries either, and who held the other would hear from it
    what is meant for us. Raises OSError.
    """
    for _ in range(PORT_TRIES):
        first = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        port = first.getsockname()[1]
        try:
            second = _on_the_other(port)
        except OSError:
            first.close()
            continue
        servers = [
            await asyncio.start_server(on_connect, sock=one, limit=HEAD_BYTES)
            for one in (first, *second)
        ]
        return Loopback(servers, port)
    raise OSError("every port that was tried is in use")


def _on_the_other(port: int) -> list[socket.socket]:
    try:
        return [socket.create_server(("::1", port), family=socket.AF_INET6, backlog=BACKLOG)]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise
        return []  # no IPv6 here


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def _bind(listener: socket.socket, path: Path) -> None:
    # By way of its directory: the address of a unix socket holds 107 bytes, a path often more.
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


async def connect_unix(path: Path, *, limit: int = PUMP_BYTES) -> Streams:
    """A connection to the unix socket `path`, however long that is. Raises OSError.

    `limit` bytes is the longest line that can be read from it.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(
            f"/proc/self/fd/{folder}/{path.name}", limit=limit
        )
    finally:
        os.close(folder)


async def connect(address: str, port: int) -> Streams:
    """A connection to an address given by number. Raises OSError."""
    return await asyncio.open_connection(address, port, limit=PUMP_BYTES)


def ends(writer: asyncio.StreamWriter) -> tuple[str, str]:
    """Our address and the other's, of a connection out."""
    return writer.get_extra_info("sockname")[0], writer.get_extra_info("peername")[0]


class Lookups:
    """Look-ups by the system's resolver, in threads of their own that nobody has to wait for."""

    def __init__(self, at_once: int = LOOKUPS_MAX) -> None:
        self._slots = asyncio.Semaphore(at_once)

    async def __call__(self, name: str) -> Sequence[str]:
        """All addresses of `name`, by number; none when it has none.

        A caller that gives up leaves its thread behind, and the slot with it, until the resolver
        gives up as well: what hangs stays bounded.
        """
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()

        def done(found: Sequence[str]) -> None:
            self._slots.release()
            if not answer.done():
                answer.set_result(found)

        def work() -> None:
            found = addresses_of(name)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done, found)

        # Daemons: one that hangs must not hold up the end of the process.
        threading.Thread(target=work, daemon=True, name="lookup").start()
        return await answer


def addresses_of(name: str) -> Sequence[str]:
    """What the system's resolver answers for `name`; blocks."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
