"""Texts that come out whole, whatever happens in the middle of them."""

from __future__ import annotations

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
    printer.end("last\n")
    printer.write("too late\n")
    printer.end("a second end\n")
    assert os.read(reads, 1000).decode() == "earlier\né\\udcff\nlast\n"


def test_a_signal_handler_prints_in_the_middle_of_a_text(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    printer, heard, got = Printer(stream), threading.Event(), list[str]()

    def hear(*_: object) -> None:
        heard.set()
        printer.end("last\n")

    def interrupt() -> None:
        select.select([reads], [], [])  # Some of it is in the pipe, and all of it cannot be.
        os.kill(os.getpid(), signal.SIGUSR1)
        heard.wait()
        got.append(all_of(reads, len(LONG) + 5))

    other = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGUSR1, hear)
    try:
        other.start()
        printer.write(LONG)
        other.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert got == [LONG + "last\n"]


def test_nobody_is_waited_for_longer_than_said(pipe: tuple[int, TextIO]) -> None:
    _, stream = pipe
    printer = Printer(stream)
    printer.end(LONG, seconds=0.01)
    assert not printer.gone


def test_a_reader_that_went_away(pipe: tuple[int, TextIO]) -> None:
    _, stream = pipe
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as broken:
        printer = Printer(broken)
        assert not printer.gone
        printer.write("x")
        assert printer.gone
        printer.end("y")
    assert not Printer(stream).gone
    assert Printer(None).gone


def test_a_stream_that_does_not_wait_is_waited_for(pipe: tuple[int, TextIO]) -> None:
    reads, stream = pipe
    os.set_blocking(stream.fileno(), False)
    got = list[str]()
    other = threading.Thread(target=lambda: got.append(all_of(reads, len(LONG))))
    other.start()
    Printer(stream).write(LONG)
    other.join()
    assert got == [LONG]


def test_a_file_takes_it_all(tmp_path: Path) -> None:
    with (tmp_path / "f").open("w") as stream:
        Printer(stream).write(LONG)
    assert (tmp_path / "f").read_text() == LONG
