"""The ports inside that programs take for their proxy, and what stands behind them.

A process of its own, so that a flood of connections cannot starve the toolbox. It decides nothing:
bytes go to a unix socket behind which the host enforces the policy, and back. Without that socket
the policy is to reach nothing, and every request is answered with just that, at once.

The ports are bound by the toolbox before it answers its first request and stay open in it, so they
never refuse a connection, not even between the end of this process and the next.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import subprocess
import threading
from typing import Any, Dict, List, Optional, Tuple

from agent.toolbox.programs import own

HOST = "127.0.0.1"
LIFELINE = 0
BACKLOG = 128
BUFFER_BYTES = 262_144
CONNECTIONS_MAX = 512
STARTS_MAX = 100

Listener = Tuple[socket.socket, bytes]


class Ways:
    """The listening ports, and the process that serves them."""

    def __init__(self, asked: Dict[str, Any]) -> None:
        self._asked = asked
        self._listeners: List[socket.socket] = []
        self.missing: List[int] = []
        for port in list(asked["ports"]) + list(asked["forwards"]):
            self._listen(port)
        if self._listeners:
            threading.Thread(target=self._keep, daemon=True).start()

    def _listen(self, port: int) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            self.missing.append(port)
            return
        self._listeners.append(listener)

    def _keep(self) -> None:
        """Run the process from the first connection on, and again if something here kills it."""
        numbers = [listener.fileno() for listener in self._listeners]
        for _ in range(STARTS_MAX):
            select.select(numbers, [], [])
            with contextlib.suppress(OSError):
                subprocess.Popen(
                    [*own.command("forward"), *self._words()],
                    pass_fds=numbers,
                    stdin=subprocess.PIPE,  # ends when we do, which tells it to end
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                ).wait()

    def _words(self) -> List[str]:
        forwards = self._asked["forwards"]
        named = [
            "%d:%d" % (one.fileno(), port if port in forwards else 0)
            for one in self._listeners
            for port in [one.getsockname()[1]]
        ]
        return [self._asked["socket"], self._asked["refusal"], *named]


def main(path: str, refusal: str, *words: str) -> None:
    """Serve the ports whose descriptors are named: SOCKET REFUSAL DESCRIPTOR:FORWARDED-PORT…"""
    listeners: List[Listener] = []
    for word in words:
        number, _, port = word.partition(":")
        # For a port of the host itself the way there is asked for in the client's name.
        ask = b"CONNECT localhost:%s HTTP/1.1\r\n\r\n" % port.encode() if port != "0" else b""
        listeners.append((socket.socket(fileno=int(number)), ask))
    Forwarder(path, refusal, listeners).serve()


class Flow:
    """One direction of a connection: what was read from `source` and not yet sent to `sink`."""

    def __init__(self, source: socket.socket, sink: socket.socket, first: bytes = b"") -> None:
        self.source = source
        self.sink = sink
        self.waiting = memoryview(first)
        self.skip = b""  # what `source` says first and `sink` must not see
        self.ended = False
        self.closed = False
        self.other: Optional[Flow] = None


class Forwarder:
    """Moves bytes between many pairs of sockets, in one thread, without waiting for any of them."""

    def __init__(self, path: str, refusal: str, listeners: List[Listener]) -> None:
        self._path = path
        self._refusal = refusal
        self._select = selectors.DefaultSelector()
        self._reads: Dict[socket.socket, Flow] = {}
        self._writes: Dict[socket.socket, Flow] = {}
        self._buffer = bytearray(BUFFER_BYTES)
        self._select.register(LIFELINE, selectors.EVENT_READ, None)
        for listener, ask in listeners:
            listener.setblocking(False)
            self._select.register(listener, selectors.EVENT_READ, (listener, ask))

    def serve(self) -> None:
        """Go on until killed."""
        while True:
            for key, events in self._select.select():
                if key.fileobj == LIFELINE:
                    os._exit(0)
                elif key.data is not None:
                    self._accept(*key.data)
                else:
                    self._move(key.fileobj, events)  # type: ignore[arg-type]

    def _accept(self, listener: socket.socket, ask: bytes) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        if not self._path:
            with contextlib.suppress(RuntimeError):  # no more threads: it is closed unanswered
                threading.Thread(target=refuse, args=(client, self._refusal), daemon=True).start()
            return
        if len(self._reads) >= 2 * CONNECTIONS_MAX:
            client.close()
            return
        host = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            host.connect(self._path)
        except OSError:
            client.close()
            host.close()
            return
        up, down = Flow(client, host, ask), Flow(host, client)
        if ask:
            down.skip = b"\r\n\r\n"
        up.other, down.other = down, up
        for flow in (up, down):
            flow.source.setblocking(False)
            self._reads[flow.source] = flow
            self._writes[flow.sink] = flow
            self._select.register(flow.source, selectors.EVENT_READ, None)
        self._watch(up)

    def _move(self, one: socket.socket, events: int) -> None:
        reading, writing = self._reads.get(one), self._writes.get(one)
        try:
            if events & selectors.EVENT_WRITE and writing is not None:
                self._send(writing)
            if events & selectors.EVENT_READ and reading is not None and not reading.closed:
                self._receive(reading)
        except OSError:
            self._drop(reading or writing)

    def _receive(self, flow: Flow) -> None:
        try:
            size = flow.source.recv_into(self._buffer)
        except BlockingIOError:
            return
        if not size:
            flow.ended = True
        data = memoryview(self._buffer)[:size]
        if flow.skip and size:
            data = self._granted(flow, bytes(data))
        sent = 0
        with contextlib.suppress(BlockingIOError):
            if data:
                sent = flow.sink.send(data)
        # The buffer is used again: only what could not be sent is copied.
        flow.waiting = memoryview(bytes(data[sent:]))
        self._watch(flow)

    def _granted(self, flow: Flow, data: bytes) -> memoryview:
        """What follows the host's answer to our own question; a refusal ends the connection."""
        head, end, rest = data.partition(flow.skip)
        if not end or b" 200 " not in head[:16]:
            raise ConnectionRefusedError
        flow.skip = b""
        return memoryview(rest)

    def _send(self, flow: Flow) -> None:
        with contextlib.suppress(BlockingIOError):
            if flow.waiting:
                flow.waiting = flow.waiting[flow.sink.send(flow.waiting) :]
        self._watch(flow)

    def _watch(self, flow: Flow) -> None:
        """Read while there is nothing to send; end when both directions have."""
        if flow.ended and not flow.waiting and not flow.closed:
            flow.closed = True
            with contextlib.suppress(OSError):
                flow.sink.shutdown(socket.SHUT_WR)
        other = flow.other
        assert other is not None
        if flow.closed and other.closed:
            self._drop(flow)
            return
        for one in (flow.source, flow.sink):
            self._interest(one)

    def _interest(self, one: socket.socket) -> None:
        reading, writing = self._reads[one], self._writes[one]
        events = 0
        if not reading.ended and not reading.waiting:
            events |= selectors.EVENT_READ
        if writing.waiting:
            events |= selectors.EVENT_WRITE
        known = self._select.get_map().get(one)
        if known is None and events:
            self._select.register(one, events, None)
        elif known is not None and not events:
            self._select.unregister(one)
        elif known is not None and known.events != events:
            self._select.modify(one, events, None)

    def _drop(self, flow: Optional[Flow]) -> None:
        if flow is None:
            return
        for one in (flow.source, flow.sink):
            self._reads.pop(one, None)
            self._writes.pop(one, None)
            with contextlib.suppress(KeyError, ValueError):
                self._select.unregister(one)
            one.close()


def refuse(client: socket.socket, why: str) -> None:
    """Answer a request with the reason why it leads nowhere."""
    with contextlib.suppress(OSError), client:
        client.settimeout(5.0)
        first = client.recv(65_536)
        if first[:1] == b"\x05":
            client.sendall(b"\x05\x00")
            client.recv(65_536)
            client.sendall(b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")
            return
        body = why.encode() + b"\n"
        head = "HTTP/1.1 403 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % (
            why,
            len(body),
        )
        client.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        # What is still unread would turn the close into a reset that the answer may not survive.
        while client.recv(65_536):
            pass
