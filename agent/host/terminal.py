"""The terminal and the streams we were started with, for a program that takes them over."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import signal
import sys
import termios
import threading
import tty
from collections.abc import Generator
from typing import Self

PIECE_BYTES = 65_536
STDIN, STDOUT, STDERR = 0, 1, 2
_CANNOT_DRAW = ("dumb", "unknown")
"""Values of TERM."""
_COLOURS = 8

# What a program may have left behind: the other screen, a hidden cursor, mouse reports, bracketed
# paste, another character set, colours.
_RESTORE = b"\x1b[?1047l\x1b[?25h\x1b[?1000;1002;1003;1004;1006l\x1b[?2004l\x1b[?1l\x1b>\x0f\x1b[0m"


def is_terminal(descriptor: int) -> bool:
    """Whether a descriptor is a terminal; one that is closed is none."""
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def can_redraw(descriptor: int) -> bool:
    """Whether it is a terminal on which a line can be written anew."""
    return is_terminal(descriptor) and os.environ.get("TERM", "dumb") not in _CANNOT_DRAW


def has_colours() -> bool:
    """Whether the terminal has colours, and its person wants them (`NO_COLOR`)."""
    if os.environ.get("NO_COLOR"):
        return False
    import curses

    try:
        curses.setupterm(fd=STDOUT)
        return curses.tigetnum("colors") >= _COLOURS
    except curses.error:  # a terminal that nobody has described
        return True


def tell(sequence: bytes) -> None:
    """Send our terminal something that it does not show."""
    while sequence:
        sequence = sequence[os.write(STDOUT, sequence) :]


def suspend() -> None:
    """Stop all that the shell knows as this program, as Ctrl-Z does, until it is told to go on."""
    os.kill(0, signal.SIGTSTP)


def size(descriptor: int = STDOUT) -> tuple[int, int]:
    """Rows and columns of a terminal; 24 and 80 where it does not say."""
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return 24, 80
    return rows or 24, columns or 80


def unread(descriptor: int) -> int:
    """How many bytes were typed at a terminal and read by nobody yet; 0 where it is gone."""
    count = bytearray(4)
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)


@contextlib.contextmanager
def raw() -> Generator[None]:
    """Every key goes to us untouched; afterwards the terminal is what it was before."""
    before = termios.tcgetattr(STDIN)
    tty.setraw(STDIN, termios.TCSADRAIN)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            write_all(STDOUT, _RESTORE)
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`. Raises BrokenPipeError when nobody reads it any more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


async def write(descriptor: int, data: bytes) -> None:
    """`write_all` that holds up nobody else, and to nobody when we were started without it."""
    if _given(descriptor):
        await asyncio.to_thread(write_all, descriptor, data)


def _given(descriptor: int) -> bool:
    # A stream that was closed at the start leaves its number to the next file that we open.
    return (sys.__stdin__, sys.__stdout__, sys.__stderr__)[descriptor] is not None


class Input:
    """Our stdin, piece by piece, whatever it is: a terminal, a pipe or a file.

    A thread reads it, because a file cannot be waited for; it never holds more than one piece and
    takes nothing any more once this is closed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._taken = threading.Semaphore(1)
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._read, daemon=True, name="stdin")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stop_write)
        self._taken.release()
        self._thread.join()
        os.close(self._stop_read)

    async def read(self) -> bytes:
        """The next piece; b"" at the end, for ever."""
        piece = await self._pieces.get()
        if not piece:
            self._pieces.put_nowait(b"")
        self._taken.release()
        return piece

    def _read(self) -> None:
        piece = b"x"
        while piece:
            self._taken.acquire()
            if _given(STDIN):
                ready, _, _ = select.select([STDIN, self._stop_read], [], [])
                if self._stop_read in ready:
                    return
            piece = _read(STDIN) if _given(STDIN) else b""
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, PIECE_BYTES)
    except OSError:  # the terminal has gone
        return b""
