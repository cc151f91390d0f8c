"""What a background program prints: kept in a bounded number of files, read by line number.

Each file is named after the number of its first line, so that a reader needs no lock and no index:
it takes the files that are there, in order. The oldest goes when there are too many. A line belongs
to one file; one without an end is cut and counts as several.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Iterator, List, NamedTuple, Tuple

from agent.toolbox.files import transfer
from agent.toolbox.programs.pipes import write_all

SEGMENT_BYTES = 1_000_000
SEGMENTS_MAX = 8
LINE_MAX_BYTES = 100_000
_NAME = re.compile(r"out\.(\d{12})")
# Colours, cursor moves, window titles; then whatever is left of a sequence that was cut.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-B]|\x1b[=>78cDEHM]"
)


class Line(NamedTuple):
    """One line of output; `whole` once its end has come."""

    number: int
    text: str
    whole: bool


class Writer:
    """Takes output as it comes. A full disk ends the keeping, never the program."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._next = 1  # the number of the line that begins after what was written
        self._size = 0
        self._open_line = 0  # bytes of the line that has no end yet
        self._file = self._segment()

    def add(self, data: bytes) -> None:
        """Write the next bytes."""
        for piece in _pieces(data):
            self._write(piece)
            if piece.endswith(b"\n"):
                self._next += 1
                self._open_line = 0
            else:
                self._open_line += len(piece)
            if self._open_line >= LINE_MAX_BYTES:
                self._write(b"\n")
                self._next += 1
                self._open_line = 0
            if self._size >= SEGMENT_BYTES and not self._open_line:
                self._turn()

    def close(self) -> None:
        """No more will come."""
        if self._file >= 0:
            os.close(self._file)

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        if self._file >= 0:
            with contextlib.suppress(OSError):
                write_all(self._file, data)

    def _turn(self) -> None:
        self.close()
        self._file = self._segment()
        self._size = 0
        for _, path in segments(self._folder)[:-SEGMENTS_MAX]:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _segment(self) -> int:
        path = os.path.join(self._folder, "out.%012d" % self._next)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except OSError:
            return -1


def _pieces(data: bytes) -> Iterator[bytes]:
    """`data` cut after each line end, and where it would be too long for one."""
    for line in _lines(data):
        for at in range(0, len(line), LINE_MAX_BYTES):
            yield line[at : at + LINE_MAX_BYTES]


def _lines(data: bytes) -> Iterator[bytes]:
    """Lines end with a line feed and nothing else: a carriage return draws a line again."""
    parts = data.split(b"\n")
    for part in parts[:-1]:
        yield part + b"\n"
    if parts[-1]:
        yield parts[-1]


def segments(folder: str) -> List[Tuple[int, str]]:
    """The files of a log: the number of the first line and the path of each, in order."""
    found: List[Tuple[int, str]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is not None:
                found.append((int(match.group(1)), entry.path))
    return sorted(found)


def count(folder: str) -> int:
    """How many lines there have been, those no longer kept included."""
    found = segments(folder)
    return found[-1][0] - 1 + len(_rows(found[-1][1])) if found else 0


def last(folder: str, wanted: int) -> List[Line]:
    """The last `wanted` lines."""
    kept: List[Line] = []
    for first, path in reversed(segments(folder)):
        rows = _rows(path)
        skipped = max(0, len(rows) - wanted + len(kept))
        kept = _shown(first + skipped, rows[skipped:]) + kept
        if len(kept) >= wanted:
            break
    return kept


def after(folder: str, number: int) -> Iterator[Line]:
    """The lines after line `number`, as far as they are kept."""
    found = segments(folder)
    for at, (first, path) in enumerate(found):
        if at + 1 < len(found) and found[at + 1][0] <= number + 1:
            continue
        known = max(0, number + 1 - first)
        yield from _shown(first + known, _rows(path)[known:])


def _rows(path: str) -> List[bytes]:
    try:
        with os.fdopen(transfer.open_regular(path), "rb") as file:
            data = file.read(SEGMENT_BYTES + 2 * LINE_MAX_BYTES)
    except OSError:
        return []  # it has just made room for newer ones
    return list(_lines(data))


def _shown(first: int, rows: List[bytes]) -> List[Line]:
    return [Line(number, clean(row), row.endswith(b"\n")) for number, row in enumerate(rows, first)]


def clean(row: bytes) -> str:
    """A line as a terminal would leave it: no escape sequences, the last of what it redrew."""
    text = _ESCAPES.sub("", row.decode("utf-8", "replace").rstrip("\r\n"))
    return text.rpartition("\r")[2] if "\r" in text else text
