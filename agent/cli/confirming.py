"""A question of a command, as a person meets it: one key, or a word, says yes or no.

As with all such keys, what was typed before the question could be read does not answer it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agent.cli.crossing import READ_SECONDS
from agent.cli.styled import Line
from agent.core.text import terminal_safe

YES, NO = "1", "2"
_WORDS = {YES: True, "y": True, "yes": True, NO: False, "n": False, "no": False}


class Confirming:
    """At most one open question. `changed` is called when there is one, and when it is over."""

    def __init__(
        self, changed: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._changed = changed
        self._clock = clock
        self._question = ""
        self._since = 0.0
        self._answer: asyncio.Future[bool] | None = None

    async def ask(self, question: str) -> bool:
        """Whether the person says yes."""
        self._question, self._since = question, self._clock()
        self._answer = asyncio.get_running_loop().create_future()
        self._changed()
        try:
            return await self._answer
        finally:
            self._answer = None
            self._changed()

    def area(self) -> list[Line]:
        """The question and its keys."""
        if self._answer is None:
            return []
        return [
            (("warning", f"? {terminal_safe(self._question)}"),),
            (("warning", f"  {YES} yes   {NO} no"),),
        ]

    def press(self, key: str) -> bool:
        """Take a key or a word as the answer; False when it is none, or comes too soon."""
        said = _WORDS.get(key.strip().lower())
        if said is None or self._clock() < self._since + READ_SECONDS:
            return False
        return self._give(said)

    def decline(self) -> bool:
        """Say no; False when nothing is asked."""
        return self._give(False)

    def _give(self, said: bool) -> bool:
        if self._answer is None or self._answer.done():
            return False
        self._answer.set_result(said)
        return True
