"""The question whether something inside may reach a host, as a person meets it.

Whatever asks is not trusted and chooses its moment. So the answer is a digit, which begins hardly
any message, taken only on an empty line and only once the question has been there to be read; what
was typed before it came can never answer it. No answer is a no.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.cli.styled import Line
from agent.core.events import AnyEvent, EgressAnswered, EgressAsked
from agent.core.text import terminal_safe

READ_SECONDS = 0.7
_CHOICES = {"1": (True, False), "2": (True, True), "3": (False, False)}

Answer = Callable[[str, bool, bool], None]
"""Called with the question's id, whether to allow, and whether for the whole session."""


class Crossings:
    """The open questions, the oldest one first."""

    def __init__(self, answer: Answer, clock: Callable[[], float] = time.monotonic) -> None:
        self._answer = answer
        self._clock = clock
        self._open: list[EgressAsked] = []
        self._since = 0.0

    def apply(self, event: AnyEvent) -> None:
        """Learn of a question, or that it is over."""
        if isinstance(event, EgressAsked):
            self._open.append(event)
            if len(self._open) == 1:
                self._since = self._clock()
        elif isinstance(event, EgressAnswered):
            first = self._open[:1]
            self._open = [one for one in self._open if one.id != event.id]
            if self._open[:1] != first:
                self._since = self._clock()

    @property
    def asking(self) -> bool:
        return bool(self._open)

    def area(self) -> list[Line]:
        """The question and the keys that answer it."""
        if not self._open:
            return []
        asked = self._open[0]
        more = f"  ({len(self._open) - 1} more)" if len(self._open) > 1 else ""
        return [
            (("warning", f"? the sandbox wants to reach {_named(asked.host, asked.port)}{more}"),),
            (("warning", "  1 allow once   2 allow for this session   3 no"),),
        ]

    def press(self, key: str) -> bool:
        """Take a key as the answer; False when it is none, or comes before one could have read."""
        if not self._open or key not in _CHOICES or self._clock() < self._since + READ_SECONDS:
            return False
        asked = self._open.pop(0)
        self._since = self._clock()
        self._answer(asked.id, *_CHOICES[key])
        return True


def _named(host: str, port: int) -> str:
    return terminal_safe(f"{host}:{port}")
