"""A terminal without cursor control, or output that goes into a file: lines in, lines out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from agent.cli.screen import PROMPT, Keys
from agent.cli.styled import Line


class Plain:
    """Reads whole lines as the terminal hands them over; the lines that change are left out."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._end = asyncio.Event()
        self._asked = False

    @property
    def lent(self) -> bool:
        return False

    def update(self, lines: Sequence[Line], area: Sequence[Line]) -> None:
        # What was typed stands there already, echoed by the terminal itself.
        rows = ["".join(text for _, text in line) for line in lines if line[0][0] != "typed"]
        if rows and self._asked:
            self._asked = False
            print(file=sys.stderr)
        for row in rows:
            print(row)
        sys.stdout.flush()
        if not area and len(rows) == len(lines):
            self._ask()

    async def run(self) -> None:
        loop, source = asyncio.get_running_loop(), sys.stdin.fileno()
        loop.add_reader(source, self._read)
        self._ask()
        try:
            await self._end.wait()
        finally:
            loop.remove_reader(source)

    def edit(self) -> bool:
        return False

    def stop(self) -> None:
        self._asked = True  # Nothing more will be asked.
        self._end.set()

    def _read(self) -> None:
        line = sys.stdin.readline()
        self._asked = False
        self._keys.changed()
        if not line:
            self._end.set()
        elif line.strip() and not self._keys.answer(line.strip()):
            self._keys.submit(line.removesuffix("\n"))
        else:
            self._ask()

    def _ask(self) -> None:
        if not self._asked and not self._end.is_set():
            self._asked = True
            print(PROMPT, end="", file=sys.stderr, flush=True)
