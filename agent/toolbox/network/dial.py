"""A connection to a port inside whose other end the host holds; it always begins out there."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from typing import Any, Dict, Optional

from agent.toolbox.channel.jobs import Reply
from agent.toolbox.channel.streams import Stream

ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
PIECE_BYTES = 65_536
CONNECT_SECONDS = 10.0
ENDED, ABSENT = 0, 1


class Dial(Stream):
    """One connection; what the port says goes as DATA, within the window as for `interact`."""

    def __init__(self, reply: Reply, arguments: Dict[str, Any], limits: Dict[str, Any]) -> None:
        super().__init__(reply, arguments, limits)
        self._port = int(arguments["port"])
        self.start()

    def run(self) -> None:
        line = connected(self._port, CONNECT_SECONDS)
        try:
            if line is not None:
                line.setblocking(False)
                with line, contextlib.suppress(OSError):
                    self._follow(line)
        finally:
            self._close_wake()
        self.reply.answer({"exit_code": ABSENT if line is None else ENDED})

    def _follow(self, line: socket.socket) -> None:
        """Move bytes both ways until the port has said its last."""
        while not self._cancelled:
            ready = self._poll(line)
            if self._wake_read in ready:
                os.read(self._wake_read, PIECE_BYTES)
            events = ready.get(line.fileno(), 0)
            if events & (select.POLLIN | select.POLLHUP | select.POLLERR) and not self._take(line):
                return
            self._feed(line)

    def _poll(self, line: socket.socket) -> Dict[int, int]:
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        wanted = (select.POLLIN if self._room > 0 else 0) | (select.POLLOUT if self._input else 0)
        if wanted:  # otherwise a line that was hung up would be reported for ever
            poll.register(line, wanted)
        return dict(poll.poll())

    def _take(self, line: socket.socket) -> bool:
        """Read and send once; False at the end."""
        if self._room <= 0:
            return True
        try:
            piece = line.recv(min(self._room, PIECE_BYTES))
        except BlockingIOError:
            return True
        if piece:
            self.reply.data(piece)
            with self._lock:
                self._room -= len(piece)
        return bool(piece)

    def _feed(self, line: socket.socket) -> None:
        with self._lock:
            piece = bytes(self._input[:PIECE_BYTES])
        count = 0
        with contextlib.suppress(BlockingIOError):
            count = line.send(piece) if piece else 0
        with self._lock:
            del self._input[:count]
            over = self._input_over and not self._input
            self._input_over = self._input_over and not over
        if count:
            self.reply.credit(count)
        if over:
            line.shutdown(socket.SHUT_WR)


def connected(port: int, seconds: float) -> Optional[socket.socket]:
    """A connection to a port of the loopback; None where nothing takes one."""
    for family, address in ADDRESSES:
        with contextlib.suppress(OSError):
            line = socket.socket(family, socket.SOCK_STREAM)
            try:
                line.settimeout(seconds)
                line.connect((address, port))
                return line
            except (OSError, OverflowError):  # which a number is that no port has
                line.close()
    return None
