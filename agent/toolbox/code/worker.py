"""One process that parses, seen from the one that asks: a question, an answer in time, its end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from typing import Any, Dict, List

from agent.toolbox.code.outline import ANSWER, REQUEST

ANSWER_MAX_BYTES = 64_000_000
LOOK_SECONDS = 1.0


class Died(Exception):
    """A worker ended instead of answering; `blame` says whether the text may have been why."""

    def __init__(self, blame: bool, sure: bool = False) -> None:
        super().__init__(blame)
        self.blame = blame
        self.sure = sure


class Worker:
    """One parsing process."""

    def __init__(self, argv: List[str], folder: str) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [*argv, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"LANG": "C.UTF-8"},
            bufsize=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self.pid = self._process.pid
        self._in = self._process.stdin.fileno()
        self._out = self._process.stdout.fileno()
        os.set_blocking(self._in, False)

    def ask(self, ask: Dict[str, Any], text: bytes, until: float) -> Any:
        """Its answer. Raises `TimeoutError` when the time is up and `Died` when it ended."""
        head = json.dumps(ask).encode("ascii")
        self._send(REQUEST.pack(len(head), len(text)) + head + text, until)
        (size,) = ANSWER.unpack(self._receive(ANSWER.size, until))
        if size > ANSWER_MAX_BYTES:
            raise Died(True, sure=True)
        try:
            return json.loads(self._receive(size, until).decode("ascii"))
        except (ValueError, RecursionError):
            # The text got the better of a parser: whatever that process says is worth nothing.
            raise Died(True, sure=True) from None

    def end(self) -> None:
        """Kill it and forget it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _send(self, data: bytes, until: float) -> None:
        view = memoryview(data)
        while view:
            self._ready(self._in, select.POLLOUT, until)
            try:
                view = view[os.write(self._in, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._died() from None

    def _receive(self, size: int, until: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._ready(self._out, select.POLLIN, until)
            piece = os.read(self._out, min(size - len(data), 1_000_000))
            if not piece:
                raise self._died()
            data += piece
        return bytes(data)

    def _died(self) -> Died:
        self._process.kill()
        code = self._process.wait()
        # 0: it had nothing to do, or was worn, just when we asked. SIGPROF: its time was used up.
        return Died(code != 0, sure=code == -signal.SIGPROF)

    def _ready(self, descriptor: int, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        while not poll.poll(min(LOOK_SECONDS, max(0.0, until - time.monotonic())) * 1000):
            # Its death need not show in the pipe: a fork of ours may hold the other end.
            if self._process.poll() is not None and not poll.poll(0):
                raise self._died()
            if time.monotonic() >= until:
                raise TimeoutError
