"""New files that a sync held back, as a person meets them: one key puts them away or lets them out.

The keys count on an empty line, and only once what they are about could be read.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.cli.crossing import READ_SECONDS
from agent.cli.styled import Line
from agent.core.events import AnyEvent, SyncFinished, TurnStarted

IGNORE, TAKE = "1", "2"


class Holding:
    """What is held back and was not decided about. `decide` is told whether to take it along."""

    def __init__(
        self, decide: Callable[[bool], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._decide = decide
        self._clock = clock
        self._held: tuple[str, ...] = ()
        self._passed: tuple[str, ...] = ()
        self._since = 0.0

    def apply(self, event: AnyEvent) -> None:
        """Learn of what is held. What a person has passed over is not asked about again."""
        if isinstance(event, SyncFinished):
            self._held = event.held if event.held != self._passed else ()
            self._since = self._clock()
        elif isinstance(event, TurnStarted):
            self._held, self._passed = (), self._held or self._passed

    def area(self) -> list[Line]:
        """The keys; the files themselves stand in the transcript."""
        if not self._held:
            return []
        count = f"{len(self._held)} new file" + ("" if len(self._held) == 1 else "s")
        keys = f"  {IGNORE} has git ignore them   {TAKE} takes them along"
        return [(("warning", f"? {count} stayed inside"),), (("warning", keys),)]

    def press(self, key: str) -> bool:
        """Take a key as the decision; False when it is none, or comes before one could read."""
        if not self._held or key not in (IGNORE, TAKE):
            return False
        if self._clock() < self._since + READ_SECONDS:
            return False
        self._held = ()
        self._decide(key == TAKE)
        return True
