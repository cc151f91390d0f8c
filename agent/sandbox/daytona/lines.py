"""The one-shot toolbox's answer, read from the text of a log: see `agent/toolbox/channel/once.py`.

Everything in that text is hostile. What is not a line of this request is skipped: shells and
profiles print what they like. A log that is read again from its start is no problem.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from agent.core.errors import ToolboxError
from agent.core.limits import MESSAGE_MAX_BYTES
from agent.sandbox.frames import Kind, decode

MISSING = "@missing"
LINE_MAX_CHARS = 2_000_000
NUMBER_MAX_CHARS = 9


class Lines:
    """Collects one request's answer; `room` bounds data, `live_room` live output, in bytes."""

    def __init__(self, name: str, *, room: int = 0, live_room: int = 0) -> None:
        self.data = bytearray()
        self.ended = False
        self.missing = False
        self._prefix = f"@{name} "
        self._room = room
        self._live_room = live_room
        self._live = bytearray()
        self._expected = 0
        self._rest = ""
        self._answer = bytearray()
        self._failed = ""

    def feed(self, text: str) -> bytes:
        """Take the next piece of the log; the live output in it.

        Raises `ToolboxError` for too much of anything.
        """
        self._rest += text
        *whole, self._rest = self._rest.split("\n")
        if len(self._rest) > LINE_MAX_CHARS:
            raise ToolboxError("the toolbox sent a line without end")
        for line in whole:
            self._take(line.rstrip("\r"))
        live = bytes(self._live)
        self._live.clear()
        return live

    def restart(self) -> None:
        """The log comes again from its start."""
        self._rest = ""

    @property
    def answer(self) -> dict[str, Any]:
        """The answer, once `ended`. Raises `ToolboxError` when the toolbox could not serve."""
        if self._failed:
            raise ToolboxError(f"the toolbox could not do it: {self._failed}")
        return decode(bytes(self._answer))

    def _take(self, line: str) -> None:
        if line == MISSING:
            self.missing = True
        if self.ended or not line.startswith(self._prefix):
            return
        number, _, rest = line[len(self._prefix) :].partition(" ")
        kind, _, payload = rest.partition(" ")
        if not (number.isdecimal() and kind.isdecimal() and len(number) <= NUMBER_MAX_CHARS):
            raise ToolboxError("the toolbox sent a broken line")
        if int(number) < self._expected:
            return
        if int(number) > self._expected:
            raise ToolboxError("a part of the toolbox's answer is missing")
        self._expected += 1
        try:
            self._dispatch(Kind(int(kind)), base64.b64decode(payload, validate=True))
        except (ValueError, binascii.Error) as error:
            raise ToolboxError("the toolbox sent a broken line") from error

    def _dispatch(self, kind: Kind, payload: bytes) -> None:
        match kind:
            case Kind.LIVE:
                self._live_room -= len(payload)
                self._live += payload
            case Kind.DATA:
                self._room -= len(payload)
                self.data += payload
            case Kind.ANSWER | Kind.ANSWER_END:
                self._answer += payload
                self.ended = kind is Kind.ANSWER_END
            case Kind.FAILED:
                self._failed = payload.decode("utf-8", "replace") or "no reason given"
                self.ended = True
            case _:
                raise ToolboxError("the toolbox sent what it may not")
        if min(self._room, self._live_room) < 0 or len(self._answer) > MESSAGE_MAX_BYTES:
            raise ToolboxError("the toolbox sent more than was asked for")
