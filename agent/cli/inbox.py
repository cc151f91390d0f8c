"""What was typed and waits: for the end of a turn, for a session, for the end of another's work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence


class Inbox:
    """Lines in the order in which they were typed."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._unheard = ""

    def put(self, text: str) -> None:
        self._lines.put_nowait(text)

    def put_back(self, texts: Sequence[str]) -> None:
        """Have what was meant for a turn that is over be the next thing, before all others."""
        self._unheard = "\n\n".join(texts)

    @property
    def waiting(self) -> int:
        """How many lines nobody has taken."""
        return self._lines.qsize()

    async def next(self, seconds: float | None, quiet: Callable[[], Awaitable[None]]) -> str:
        """The next line; `quiet` is called each time that none has come for so many seconds."""
        if self._unheard:
            text, self._unheard = self._unheard, ""
            return text
        while True:
            try:
                async with asyncio.timeout(seconds):
                    return await self._lines.get()
            except TimeoutError:
                await quiet()
