"""The model's question, as a person meets it: one key, several numbers, or words of one's own.

What is sent while a question is open is its answer. But not what was sent before it could be read:
that was meant for something else, and waits its turn like any message.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from agent.cli.crossing import READ_SECONDS
from agent.cli.styled import Line
from agent.core.events import AnyEvent, UserAnswered, UserAsked

DECLINE = "0"
_NUMBERS = re.compile(r"[1-9]([\s,]*[1-9])*")

Answer = Callable[[str, Sequence[str], str], None]
"""Called with the question's id, the options that were chosen, and words."""


class Asking:
    """The open questions, the oldest one first."""

    def __init__(self, answer: Answer, clock: Callable[[], float] = time.monotonic) -> None:
        self._answer = answer
        self._clock = clock
        self._open: list[UserAsked] = []
        self._since = 0.0

    def apply(self, event: AnyEvent) -> None:
        """Learn of a question, or that it is over."""
        if isinstance(event, UserAsked):
            self._open.append(event)
            self._since = self._clock() if len(self._open) == 1 else self._since
        elif isinstance(event, UserAnswered):
            self._open = [one for one in self._open if one.id != event.id]

    def area(self) -> list[Line]:
        """How to answer; the question itself stands in the transcript."""
        if not self._open:
            return []
        count, several = len(self._open[0].options), self._open[0].multiple
        keys = f"type numbers (1-{count}) and Enter, or" if several else f"1-{count} chooses, or"
        how = f"  {keys} type an answer and Enter" if count else "  type an answer and Enter"
        return [(("warning", f"{how}; {DECLINE} leaves it to the model"),)]

    def press(self, key: str) -> bool:
        """Take a key as the answer; False when it is none, or comes before one could have read."""
        if not self._ready or not (key.isascii() and key.isdigit() and len(key) == 1):
            return False
        asked = self._open[0]
        if key == DECLINE:
            return self._give((), "")
        if asked.multiple or int(key) > len(asked.options):
            return False
        return self._give((asked.options[int(key) - 1],), "")

    def say(self, text: str) -> bool:
        """Take a line as the answer; False when nothing is asked, or it comes too soon."""
        if not self._ready or not text.strip():
            return False
        asked, words = self._open[0], text.strip()
        if words == DECLINE:
            return self._give((), "")
        if _NUMBERS.fullmatch(words) and asked.options:
            numbers = [int(digit) for digit in words if digit.isdigit()]
            if max(numbers) <= len(asked.options) and (asked.multiple or len(numbers) == 1):
                return self._give([asked.options[number - 1] for number in numbers], "")
        return self._give((), words)

    @property
    def _ready(self) -> bool:
        return bool(self._open) and self._clock() >= self._since + READ_SECONDS

    def _give(self, chosen: Sequence[str], words: str) -> bool:
        asked = self._open.pop(0)
        self._since = self._clock()
        self._answer(asked.id, chosen, words)
        return True
