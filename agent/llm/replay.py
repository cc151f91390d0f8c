"""Record a conversation's answers, and give them again without a provider.

A recording is JSON lines: a header with a version, then one line per answer with the shape of its
question. Promise: an answer is only ever given to a question of the same shape; anything else is
a `UserError` that says what differs. Recording only appends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent.core.errors import UserError
from agent.core.events import ReasoningDelta, TextDelta
from agent.core.messages import AssistantMessage
from agent.host import files
from agent.llm.protocol import Delta, Llm, OnDelta, Request
from agent.llm.shape import Shape, difference, shape_of

VERSION = 1
FORMAT = "glovebox-recording"
RECORDING_MAX_BYTES = 200_000_000

_AGAIN = "record it again with `--record FILE`"
_PIECE_CHARS = 12


class _Header(msgspec.Struct, frozen=True):
    format: str
    v: int


class _Entry(msgspec.Struct, frozen=True):
    key: Shape
    reply: AssistantMessage


class Recorder:
    """An `Llm` that passes questions on to `inner` and appends each answer to the file at `path`.

    The file is made when it is absent. One that exists is gone on with when the conversation is,
    else refused: its answers would be those of two conversations.
    """

    def __init__(self, inner: Llm, path: Path) -> None:
        self._inner = inner
        self._path = path
        self._recorded = len(_load(path)) if _has_content(path) else None

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """Ask `inner`; the answer is in the file before it is returned."""
        if self._recorded and not _answers_in(request):
            hint = "choose another file for `--record`, or remove this one"
            raise UserError(f"`{self._path}` already holds a recording", hint)
        reply = await self._inner.ask(request, on_delta)
        entry = msgspec.json.encode(_Entry(shape_of(request), reply)) + b"\n"
        header = msgspec.json.encode(_Header(FORMAT, VERSION)) + b"\n"
        self._append(header + entry if self._recorded is None else entry)
        self._recorded = (self._recorded or 0) + 1
        return reply

    def _append(self, data: bytes) -> None:
        try:
            file = files.AppendFile(self._path)
            try:
                file.append(data)
            finally:
                file.close()
        except OSError as error:
            raise UserError(f"cannot record to `{self._path}`: {error.strerror}") from error


class Replay:
    """An `Llm` that answers from the recording at `path`, in order, at no cost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = _load(path)
        self._next: int | None = None

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        """The next answer, if it was given to a question of this shape; else `UserError`."""
        shape = shape_of(request)
        at = self._place(request, shape) if self._next is None else self._next
        if at >= len(self._entries):
            have = len(self._entries)
            message = f"the recording `{self._path}` ends after {have} replies; one more is needed"
            raise UserError(message, _AGAIN)
        entry = self._entries[at]
        if differs := difference(entry.key, shape):
            message = f"the recording `{self._path}` does not fit at reply {at + 1}: {differs}"
            raise UserError(message, _AGAIN)
        self._next = at + 1
        for delta in _deltas(entry.reply):
            await asyncio.sleep(0)
            on_delta(delta)
        return replace(entry.reply, model="replay", usage=replace(entry.reply.usage, cost=0.0))

    def _place(self, request: Request, shape: Shape) -> int:
        """Where to begin: a conversation that is gone on with has had its first answers before."""
        fits = (at for at, entry in enumerate(self._entries) if not difference(entry.key, shape))
        return next(fits, _answers_in(request))


def _deltas(reply: AssistantMessage) -> Iterator[Delta]:
    for text, kind in ((reply.reasoning, ReasoningDelta), (reply.text, TextDelta)):
        for at in range(0, len(text), _PIECE_CHARS):
            yield kind(text[at : at + _PIECE_CHARS])


def _answers_in(request: Request) -> int:
    return sum(isinstance(message, AssistantMessage) for message in request.messages)


def _has_content(path: Path) -> bool:
    try:
        return bool(files.read_bytes(path, limit=RECORDING_MAX_BYTES))
    except UserError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        raise


def _load(path: Path) -> list[_Entry]:
    lines = files.read_bytes(path, limit=RECORDING_MAX_BYTES).split(b"\n")
    header = _header(lines[0], path)
    if header.v != VERSION:
        message = f"`{path}` is a recording of version {header.v}; this glovebox reads {VERSION}"
        raise UserError(message, _AGAIN)
    if lines[-1]:
        raise UserError(f"the last line of the recording `{path}` is incomplete", _AGAIN)
    return [_entry(line, path, number) for number, line in enumerate(lines[1:-1], start=2)]


def _header(line: bytes, path: Path) -> _Header:
    try:
        header = msgspec.json.decode(line, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"`{path}` is not a recording of glovebox", _AGAIN) from error
    if header.format != FORMAT:
        raise UserError(f"`{path}` is not a recording of glovebox", _AGAIN)
    return header


def _entry(line: bytes, path: Path, number: int) -> _Entry:
    try:
        return msgspec.json.decode(line, type=_Entry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"line {number} of the recording `{path}` cannot be read: {error}"
        raise UserError(message, _AGAIN) from error
