"""One language server: started, spoken to with deadlines, ended with all it started.

JSON-RPC over its stdin and stdout. A server is a program like any other in here: what it says is
checked for its shape where it is used, it may be slow, silent or dead at any moment, and it must
not grow without end.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from typing import Any, Dict, List, Optional, Sequence, cast
from urllib.parse import quote, unquote, urlsplit

from agent.toolbox.programs import memory
from agent.toolbox.programs.confine import expendable

MESSAGE_MAX_BYTES = 64_000_000
HEADER_MAX_BYTES = 4_096
MEMORY_MAX_BYTES = 2_000_000_000
OPEN_MAX = 30
SLICE_SECONDS = 0.25
JOIN_SECONDS = 5.0


class ServerFailed(Exception):
    """It is not there, has died, answered with an error, or grew too large."""


class Late(Exception):
    """It did not answer in time; it may later."""


def uri_of(path: str) -> str:
    """A file's address."""
    return "file://" + quote(os.fsencode(path))


def path_of(uri: str) -> str:
    """The file at an address; "" for an address of anything else."""
    split = urlsplit(uri)
    return os.fsdecode(unquote(split.path).encode()) if split.scheme == "file" else ""


def mapping(value: Any) -> Dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return cast("Dict[str, Any]", value) if isinstance(value, dict) else {}


def listing(value: Any) -> List[Any]:
    """`value` if it is a list, else an empty one."""
    return cast("List[Any]", value) if isinstance(value, list) else []


class LanguageServer:
    """One running server for one folder. Thread-safe."""

    def __init__(self, argv: Sequence[str], root: str) -> None:
        self.root = root
        self.used = time.monotonic()
        self.diagnostics: Dict[str, Any] = {}
        self.capabilities: Dict[str, Any] = {}
        self._next = 0
        self._answers: Dict[int, Any] = {}
        self._versions: Dict[str, int] = {}
        self._texts: Dict[str, str] = {}
        self._arrived = threading.Condition()
        self._outbox: queue.SimpleQueue[Optional[bytes]] = queue.SimpleQueue()
        self._dead = ""
        try:
            self._process = subprocess.Popen(
                list(argv),
                cwd=root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerFailed(str(error)) from error
        expendable(self._process.pid)
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._read, self._write)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        return not self._dead

    def can(self, what: str) -> bool:
        """Whether it said at the greeting that it can do something; `{}` is a yes."""
        return self.capabilities.get(what) not in (None, False)

    def initialize(self, seconds: float) -> None:
        """Greet it. Raises `ServerFailed` and `Late`."""
        folder = {"uri": uri_of(self.root), "name": os.path.basename(self.root)}
        link = {"linkSupport": False}
        symbols = {"hierarchicalDocumentSymbolSupport": True}
        asked = {
            "processId": os.getpid(),
            "rootUri": folder["uri"],
            "workspaceFolders": [folder],
            "capabilities": {
                "general": {"positionEncodings": ["utf-16"]},
                "workspace": {
                    "workspaceFolders": True,
                    "configuration": True,
                    "didChangeWatchedFiles": {"dynamicRegistration": True},
                    "workspaceEdit": {"documentChanges": True},
                },
                "textDocument": {
                    "definition": link,
                    "references": {},
                    "rename": {"prepareSupport": False},
                    "hover": {"contentFormat": ["plaintext", "markdown"]},
                    "documentSymbol": symbols,
                    "publishDiagnostics": {},
                    "diagnostic": {},
                },
                "window": {"workDoneProgress": True},
            },
        }
        said = self.ask("initialize", asked, seconds)
        self.capabilities = mapping(mapping(said).get("capabilities"))
        self._tell("initialized", {})

    def ask(self, method: str, params: Any, seconds: float) -> Any:
        """Its answer. Raises `Late` when there is none in time, and `ServerFailed`."""
        until = time.monotonic() + seconds
        self.used = time.monotonic()
        with self._arrived:
            self._next += 1
            number = self._next
            self._answers[number] = None
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        with self._arrived:
            while self._answers[number] is None and not self._dead:
                left = until - time.monotonic()
                if left <= 0:
                    del self._answers[number]
                    break
                self._arrived.wait(min(left, SLICE_SECONDS))
                self._weigh()
            answer = self._answers.pop(number, None)
        if answer is None:
            if self._dead:
                raise ServerFailed(self._dead)
            self._tell("$/cancelRequest", {"id": number})
            raise Late
        if "error" in answer:
            raise ServerFailed(str(answer["error"])[:300])
        return answer.get("result")

    def show(self, path: str, text: str, language: str) -> None:
        """Let it have a file as it is now."""
        uri = uri_of(path)
        if self._texts.get(path) == text:
            return
        if path in self._texts:
            self._versions[path] += 1
            document = {"uri": uri, "version": self._versions[path]}
            change = {"textDocument": document, "contentChanges": [{"text": text}]}
            self._tell("textDocument/didChange", change)
        else:
            while len(self._texts) >= OPEN_MAX:
                self._hide(next(iter(self._texts)))
            self._versions[path] = 1
            document = {"uri": uri, "languageId": language, "version": 1, "text": text}
            self._tell("textDocument/didOpen", {"textDocument": document})
        self._texts[path] = text

    def _hide(self, path: str) -> None:
        del self._texts[path]
        self._tell("textDocument/didClose", {"textDocument": {"uri": uri_of(path)}})

    def changed(self, paths: Sequence[str]) -> None:
        """Tell it that these files are others now, or gone."""
        events = [{"uri": uri_of(path), "type": 2 if os.path.exists(path) else 3} for path in paths]
        if events:
            self._tell("workspace/didChangeWatchedFiles", {"changes": events})

    def await_diagnostics(self, path: str, seconds: float) -> List[Any]:
        """What it publishes about a file. Raises `Late` and `ServerFailed`."""
        uri, until = uri_of(path), time.monotonic() + seconds
        with self._arrived:
            while uri not in self.diagnostics:
                left = until - time.monotonic()
                if self._dead:
                    raise ServerFailed(self._dead)
                if left <= 0:
                    raise Late
                self._arrived.wait(min(left, SLICE_SECONDS))
            return list(self.diagnostics[uri])

    def forget_diagnostics(self, path: str) -> None:
        """From now on only what it says anew counts."""
        with self._arrived:
            self.diagnostics.pop(uri_of(path), None)

    def end(self) -> None:
        """End it and everything it started. Safe to call twice."""
        self._die("it was ended")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def weigh(self) -> None:
        """End it when it has grown too large."""
        with self._arrived:
            self._weigh()

    def _weigh(self) -> None:
        if not self._dead and _resident_bytes(self._process.pid) > MEMORY_MAX_BYTES:
            self._die("it used too much memory")
            self._process.kill()

    # The wire.

    def _tell(self, method: str, params: Any) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _send(self, message: Any) -> None:
        if self._dead:
            raise ServerFailed(self._dead)
        data = json.dumps(message).encode("utf-8")
        self._outbox.put(b"Content-Length: %d\r\n\r\n" % len(data) + data)

    def _write(self) -> None:
        """Send what is to be sent: nobody else waits for a server that does not read."""
        stream = self._process.stdin
        assert stream is not None
        try:
            while True:
                data = self._outbox.get()
                if data is None:
                    break
                stream.write(data)
                stream.flush()
        except (OSError, ValueError) as error:
            self._die(str(error))
        with contextlib.suppress(OSError):
            stream.close()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        try:
            while True:
                size = _length(stream)
                if not 0 < size <= MESSAGE_MAX_BYTES:
                    break
                self._heard(mapping(json.loads(stream.read(size).decode("utf-8"))))
        except (OSError, ValueError, ServerFailed, RecursionError) as error:
            self._die(str(error))  # it has died, or does not speak the protocol
        self._die("it ended")
        stream.close()

    def _heard(self, message: Dict[str, Any]) -> None:
        method, number = message.get("method"), message.get("id")
        if method is None:
            with self._arrived:
                if isinstance(number, int) and number in self._answers:
                    self._answers[number] = message
                    self._arrived.notify_all()
        elif number is not None:
            answer = _reply(str(method), message.get("params"))
            self._send({"jsonrpc": "2.0", "id": number, "result": answer})
        elif method == "textDocument/publishDiagnostics":
            params = mapping(message.get("params"))
            with self._arrived:
                self.diagnostics[str(params.get("uri"))] = listing(params.get("diagnostics"))
                self._arrived.notify_all()

    def _die(self, why: str) -> None:
        with self._arrived:
            self._dead = self._dead or why
            self._arrived.notify_all()
        self._outbox.put(None)


def _length(stream: Any) -> int:
    """The length that a header gives; 0 at the end."""
    length = 0
    while True:
        line = stream.readline(HEADER_MAX_BYTES)
        if line in (b"\r\n", b"\n"):
            return length
        if not line:
            return 0
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)


def _reply(method: str, params: Any) -> Optional[Any]:
    """What we say to what a server asks."""
    if method == "workspace/configuration":
        return [None] * len(listing(mapping(params).get("items")))
    if method == "workspace/applyEdit":
        return {"applied": False}
    return None


def _resident_bytes(pid: int) -> int:
    try:
        return memory.of(str(pid))[1]
    except (OSError, ValueError, IndexError):
        return 0
