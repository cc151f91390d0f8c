"""The journal: one JSON record a line, append only, the only truth about a session.

Delivery promise: `append` returns when the kernel has the record, so a killed process loses at
most the record it was writing; `flush` returns when the disk has it. A torn last line is normal
and cut off when the journal is opened for writing. Where a record cannot be written (a full disk)
none after it is, until `again`: what is there is always the beginning of what happened. Records of
old versions load for ever.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.core.errors import HostError, JournalError, UserError
from agent.core.events import RECORD_VERSION, AnyEvent, Record
from agent.host.files import AppendFile, FileLock, move_aside, read_bytes, write_whole

JOURNAL_MAX_BYTES = 2_000_000_000

_decoder = msgspec.json.Decoder(Record)
_encoder = msgspec.json.Encoder()


def encode(record: Record) -> bytes:
    """One line of JSON with its newline.

    A text that is no valid Unicode (a file name's raw bytes, half an emoji from a model) has the
    offending characters replaced: JSON has no way to say them, and the rest must not be lost.
    """
    try:
        return _encoder.encode(record) + b"\n"
    except UnicodeEncodeError:
        return _encoder.encode(_without_surrogates(msgspec.to_builtins(record))) + b"\n"


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        items: dict[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {_without_surrogates(k): _without_surrogates(v) for k, v in items.items()}
    return value


def read(path: Path) -> tuple[list[Record], int]:
    """The records of a journal and the bytes they fill; what follows is a torn last line.

    Raises `JournalError` naming the line when one in the middle cannot be read.
    """
    try:
        data = read_bytes(path, limit=JOURNAL_MAX_BYTES)
    except UserError as error:
        raise JournalError(error.message) from error
    return parsed(data, path)


def parsed(data: bytes, path: Path) -> tuple[list[Record], int]:
    """What `read` finds in the bytes of the journal at `path`."""
    records: list[Record] = []
    end = 0
    lines = data.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            records.append(_decoder.decode(line))
        except msgspec.MsgspecError as error:
            if number == len(lines) - 1:
                break  # A power cut can leave a last line's newline without all of its text.
            raise JournalError(
                f"line {number} of `{path}` is no record: {error}",
                "move that line out of the file to read the rest of the session",
            ) from error
        end += len(line) + 1
    return records, end


def write(path: Path, records: Sequence[Record]) -> None:
    """Make a whole journal at once, its records numbered anew; a crash leaves none."""
    numbered = (msgspec.structs.replace(one, seq=seq) for seq, one in enumerate(records))
    write_whole(path, b"".join(map(encode, numbered)))


def in_use(path: Path) -> bool:
    """Whether a process holds the journal at `path`, which need not exist."""
    return FileLock(path.with_suffix(".lock")).held


def at_rest(path: Path) -> bool:
    """Whether who holds the journal at `path` waits for a person to say something."""
    return FileLock(path).held


class Journal:
    """The writing end. One process at a time holds it."""

    def __init__(self, path: Path) -> None:
        """Open or create the journal at `path`. Raises `JournalError` when another has it."""
        self.path = path
        self.closed = False
        self.problem: JournalError | None = None
        """Why nothing is written any more."""
        self.restored: Callable[[], None] = lambda: None
        """Called when it was written again; what leads to it may be gone as well."""
        self._lock = FileLock(path.with_suffix(".lock"))
        if not self._lock.acquire():
            raise JournalError(
                "this session is in use by another glovebox process",
                "close the other one, or start a new session",
            )
        self._file = AppendFile(path)
        self.records: list[Record] = []
        try:
            self.records, end = read(path)
            self._file.truncate(end)
        except BaseException:
            self.close()
            raise
        self._seq = len(self.records)

    @property
    def turn(self) -> int:
        """The turn that the journal ended in when it was opened."""
        return self.records[-1].turn if self.records else 0

    def append(self, turn: int, event: AnyEvent, *, passing: bool = False) -> Record:
        """Write an event and return its record; a `passing` one is only given its record.

        Raises `JournalError` when it cannot be written, and from then on.
        """
        seq = max(self._seq - 1, 0) if passing else self._seq
        record = Record(RECORD_VERSION, seq, round(time.time(), 3), turn, event)
        if not passing:
            self._write(encode(record))
            self._seq += 1
        return record

    def _write(self, line: bytes) -> None:
        if self.problem is not None:
            raise self.problem
        try:
            self._file.append(line)
        except HostError as error:
            self.problem = JournalError(
                f"the session cannot be written down: {error.message}",
                f"{error.hint}; what was done until then is kept",
            )
            raise self.problem from error

    def again(self) -> bool:
        """Try to write again; whether there is a gap, which is to be mended first."""
        gap, self.problem = self.problem is not None, None
        return gap

    @contextlib.contextmanager
    def resting(self) -> Generator[None]:
        """Let those who look know that nothing comes until a person says something."""
        lock = FileLock(self.path)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def restore(self) -> bool:
        """Write it again, all of it, if it was removed or replaced; whether it was."""
        if self._file.there:
            return False
        content, old = self._file.content(), self._file
        move_aside(self.path)
        write_whole(self.path, content)
        self._file = AppendFile(self.path)
        old.close()
        lock = FileLock(self.path.with_suffix(".lock"))
        if lock.acquire():  # else it was not removed, and is held by us
            self._lock.release()
            self._lock = lock
        self.restored()
        return True

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True
        self._file.close()
        self._lock.release()
