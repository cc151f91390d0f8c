"""A model provider on the loopback: the chat-completions wire, scripted, with faults.

In a test: `with OpenAIServer([call("bash", {"command": "ls"}), say("done")]) as server:` and point
`OPENAI_BASE_URL` at `server.url`. As a program, for tests that start glovebox as a process:
`python -m tests.servers.openai --script FILE.json [--port 0] [--log FILE]` prints its URL and
answers until it is killed; `scripts.py` says what the file may hold.

Each request takes the next answer of the script, whatever the conversation, unless the script is
a function of the request. A history that a real provider would refuse is refused here with 400.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.servers.answers import Answer, Call, Drop, Fault, Raw, Reply, Script, call, reply, say
from tests.servers.history import history_problem

__all__ = ["Call", "Drop", "Fault", "OpenAIServer", "Raw", "Reply", "call", "reply", "say"]


class OpenAIServer:
    """Runs in a thread of its own from `__enter__` to `__exit__`; `requests` is what came in."""

    def __init__(self, script: Script, *, port: int = 0, on_request: Any = None) -> None:
        self._script = script
        self._lock = threading.Lock()
        self._on_request = on_request
        self._served = 0
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.problems: list[str] = []
        """What was wrong with the requests that were refused for their history."""
        self.hung_up = threading.Event()
        """Set when a client went away before its answer was whole."""
        self.stopping = threading.Event()
        self._http = _Http(("127.0.0.1", port), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, path: str, request: dict[str, Any], headers: dict[str, str]) -> Answer:
        """The answer to `request`; a fault when its history is not legal or the script is over."""
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)
            if self._on_request:
                self._on_request(request)
            # On another wire only faults and raw bytes make sense, and nothing is checked.
            if path.endswith("/chat/completions") and (problem := history_problem(request)):
                self.problems.append(problem)
                return Fault(400, f"invalid request: {problem}")
            if callable(self._script):
                return self._script(request)
            if self._served >= len(self._script):
                return Fault(400, f"the script has only {len(self._script)} answers")
            self._served += 1
            return self._script[self._served - 1]


class _Http(ThreadingHTTPServer):
    owner: OpenAIServer
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is an observation, not a traceback."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self.owner.hung_up.set()
        elif isinstance(error, ValueError) and "closed file" in str(error):
            pass  # we have hung up
        else:
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the request log is `OpenAIServer.requests`."""

    def do_POST(self) -> None:
        # One request per connection: a kept-alive one would hold `__exit__` until the client ends.
        self.close_connection = True
        size = int(self.headers.get("content-length") or 0)
        request = json.loads(self.rfile.read(size) or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        match self.server.owner.answer(self.path, request, headers):
            case Reply() if not self.path.endswith("/chat/completions"):
                return self._fault(Fault(404, f"no such path: {self.path}"))
            case Fault() as fault:
                return self._fault(fault)
            case Raw() as raw:
                return self._body(raw.status, raw.body, {"content-type": raw.content_type})
            case Drop():
                return self._drop()
            case Reply() as reply:
                return self._reply(reply, request)

    def _fault(self, fault: Fault) -> None:
        headers = {"content-type": "application/json", **fault.headers}
        self._body(fault.status, fault.payload(), headers)

    def _body(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {
            **headers,
            "content-length": str(len(body)),
            "connection": "close",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _drop(self) -> None:
        """End the connection with a reset, as a crashed server or a middlebox would."""
        linger_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        # shutdown() would send an orderly end first; closing the last descriptor resets.
        self.wfile.close()
        self.rfile.close()
        self.connection.close()

    def _reply(self, reply: Reply, request: dict[str, Any]) -> None:
        if reply.stall_after == 0:
            return self._stall()
        if reply.stream is False or not request.get("stream"):
            body = json.dumps(reply.completion(request)).encode()
            return self._body(200, body, {"content-type": "application/json"})
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("connection", "close")
        self.end_headers()
        for sent, event in enumerate(reply.events(request), start=1):
            if reply.between:
                self._chunk(f"{reply.between[sent % len(reply.between)]}\n\n".encode())
            self._chunk(f"data: {event}\n\n".encode())
            if sent == reply.cut_after:
                return self._drop()
            if sent == reply.stall_after:
                return self._stall()
        return self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _stall(self) -> None:
        """Say nothing more until the client goes away or the server is stopped."""
        self.connection.settimeout(0.02)
        while not self.server.owner.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        if not self.server.owner.stopping.is_set():
            self.server.owner.hung_up.set()


if __name__ == "__main__":
    from tests.servers.program import main

    main()
