"""A journal read while another process writes it: nothing is taken and nothing is changed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.core.errors import JournalError
from agent.core.events import Record
from agent.host.files import read_from

_decoder = msgspec.json.Decoder(Record)


class Tail:
    """What is appended to the journal at `path`, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def news(self) -> list[Record]:
        """The records that are there in whole since the last time, all of them the first time.

        Raises `JournalError` when one with others after it cannot be read.
        """
        data = read_from(self._path, self._at)
        records: list[Record] = []
        *lines, _ = data.split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                records.append(_decoder.decode(line))
            except msgspec.MsgspecError as error:
                if number == len(lines):
                    break  # its writer cuts it off when it opens the journal again
                raise JournalError(f"a line of `{self._path}` is no record: {error}") from error
            self._at += len(line) + 1
        return records
