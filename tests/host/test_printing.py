"""Texts that come out whole, whatever happens in the middle of them."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from agent.host.printing import Printer

LONG = "word " * 100_000
"""More than a pipe holds."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    reads, writes = os.pipe()
    with os.fdopen(reads, "rb") as reading, os.fdopen(writes, "w", encoding="utf-8") as writing:
        yield reading.fileno(), writing


def all_of(descriptor: int, size: int) -> str:
    data = b""
    while len(data) < size:
        data += os.read(descriptor, size)
    return data.decode()


def test_what_was_printed_before_comes_first(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    stream.write("earlier\n")
    printer = Printer(stream)
    printer.write("é\udcff\n")
    printer.end("last\n", 60)
    printer.write("too late\n")
    printer.end("a second end\n", 60)
    assert os.read(reads, 1000).decode() == "earlier\né\\udcff\nlast\n"


def test_a_signal_handler_prints_in_the_middle_of_a_text(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    printer, got = Printer(stream), list[str]()
    printer.write(LONG)
    select.select([reads], [], [])  # Some of it is in the pipe, and all of it cannot be.
    other = threading.Thread(target=lambda: got.append(all_of(reads, len(LONG) + 5)))
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: printer.end("last\n", 60))
    try:
        other.start()
        signal.raise_signal(signal.SIGUSR1)
        other.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert got == [LONG + "last\n"]


async def test_only_who_asks_waits_for_a_reader(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    printer = Printer(stream)
    printer.write(LONG)
    printer.end("last\n", seconds=0.01)
    waiting = asyncio.create_task(printer.written())
    assert await asyncio.to_thread(all_of, reads, len(LONG) + 5) == LONG + "last\n"
    await waiting
    assert (printer.count, printer.gone) == (len(LONG) + 5, False)


async def test_a_reader_that_went_away(pipe: tuple[int, TextIO]) -> None:
    _, stream = pipe
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as broken:
        lost: list[None] = []
        printer = Printer(broken, lambda: lost.append(None))
        assert not printer.gone
        printer.write("x")
        await printer.written()
        assert printer.gone
        printer.end("y", 60)
        assert lost == [None]
    assert not Printer(stream).gone
    nowhere = Printer(None)
    assert nowhere.gone
    nowhere.write("x")
    await nowhere.written()
    nowhere.end("y", 60)


def test_a_stream_that_does_not_wait_is_waited_for(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    os.set_blocking(stream.fileno(), False)
    got = list[str]()
    other = threading.Thread(target=lambda: got.append(all_of(reads, len(LONG))))
    other.start()
    Printer(stream).end(LONG, 60)
    other.join()
    assert got == [LONG]


def test_a_file_takes_it_all(tmp_path: Path) -> None:
    with (tmp_path / "f").open("w") as stream:
        Printer(stream).end(LONG, 60)
    assert (tmp_path / "f").read_text() == LONG
