"""What a request becomes: a job that gets its data, may be cancelled, and answers exactly once."""

from __future__ import annotations

import threading
from typing import Any, Dict

from agent.toolbox.channel import frames
from agent.toolbox.channel.frames import BadFrame, Outgoing
from agent.toolbox.channel.later import Operation

CROWDED = "too many processes run in the sandbox; end some of them first"


class Reply:
    """The way back for one request. Finishing it takes the request off the server's table."""

    def __init__(self, out: Outgoing, number: int, table: Dict[int, Any]) -> None:
        self._out = out
        self._number = number
        self._table = table
        self._open = True

    def live(self, data: bytes) -> None:
        self._out.send(frames.LIVE, self._number, data)

    def data(self, data: bytes) -> None:
        self._out.send_pieces(frames.DATA, frames.DATA, self._number, data)

    def credit(self, count: int) -> None:
        self._out.credit(self._number, count)

    def answer(self, value: Dict[str, Any]) -> None:
        if self._finish():
            self._out.answer(self._number, value)

    def fail(self, reason: str) -> None:
        if self._finish():
            self._out.fail(self._number, reason)

    def _finish(self) -> bool:
        was, self._open = self._open, False
        self._table.pop(self._number, None)
        return was


class Job:
    """Base of all jobs: without input, not cancellable."""

    streams = False  # whether input comes while it runs

    def __init__(self, reply: Reply, arguments: Dict[str, Any], limits: Dict[str, Any]) -> None:
        self.reply = reply
        self.arguments = arguments
        self.limits = limits
        self.started = False

    def data(self, piece: bytes) -> None:
        """Take a piece of the input. Runs in the server's loop: must not block."""

    def end(self) -> None:
        """No more input will come."""
        self.start()

    def credit(self, count: int) -> None:
        """The host has consumed so many bytes of the output."""

    def tune(self, change: Dict[str, Any]) -> None:
        """Change something about what runs. Runs in the server's loop: must not block."""

    def start(self) -> None:
        """All input has come: do the work in a thread."""
        if self.started:
            raise BadFrame("request started twice")
        self.started = True
        try:
            threading.Thread(target=self._guarded, daemon=True).start()
        except RuntimeError:  # a thread counts as a process, and programs in here have used them up
            self.drop()
            self.reply.fail(CROWDED)

    def cancel(self) -> None:
        """The host no longer wants it; an answer is still owed."""

    def abandon(self) -> None:
        """The host no longer wants it and its input has not come whole: never start."""
        self.drop()
        self.reply.fail("cancelled")

    def drop(self) -> None:
        """It will never run: let go of what it holds."""
        self.kill()

    def kill(self) -> None:
        """The channel is closed: leave nothing running."""

    def run(self) -> None:
        """The work; ends with an answer."""
        raise NotImplementedError

    def _guarded(self) -> None:
        try:
            self.run()
        except (KeyError, TypeError) as error:
            self.reply.fail("bad arguments: %r" % (error,))
        finally:
            # Whatever goes wrong here, the host must not wait for ever; nothing after an answer.
            self.reply.fail("internal error, see the toolbox's stderr")


class Call(Job):
    """An operation that is one function from arguments to answer.

    What takes long asks `limits["cancelled"]()` now and then.
    """

    def __init__(
        self, reply: Reply, arguments: Dict[str, Any], limits: Dict[str, Any], run: Operation
    ) -> None:
        super().__init__(reply, arguments, limits)
        self._operation = run
        self._cancelled = threading.Event()
        self.start()

    def cancel(self) -> None:
        self._cancelled.set()

    def run(self) -> None:
        limits = dict(self.limits, cancelled=self._cancelled.is_set)
        self.reply.answer(self._operation(self.arguments, limits))
