"""What a conversation shows: a transcript that grows, and below it what goes on and is asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING

from agent.cli.asking import Answer as Tell
from agent.cli.asking import Asking
from agent.cli.confirming import Confirming
from agent.cli.countdown import Countdown
from agent.cli.crossing import Answer as Cross
from agent.cli.crossing import Crossings
from agent.cli.holding import Holding
from agent.cli.lines import problem_text
from agent.cli.live import Live
from agent.cli.notifying import Notifying
from agent.cli.screen import Screen, typed
from agent.cli.styled import Line, marked
from agent.core.errors import GloveboxError, JournalError
from agent.core.events import Record, Steered, problem_of
from agent.core.text import terminal_safe

if TYPE_CHECKING:
    from agent.cli.markdown import Markdown


class Shown:
    """The questions that are open, and the screen that they and the records are shown on.

    `cross`, `tell` and `decide` are called with a person's answers; `seen` with each record, before
    it is shown.
    """

    def __init__(
        self,
        screen: Screen,
        make_markdown: Callable[[], Markdown] | None,
        *,
        cross: Cross,
        tell: Tell,
        decide: Callable[[bool], None],
        seen: Callable[[Record], None],
        notify: str,
    ) -> None:
        self.screen = screen
        self._live = Live(make_markdown)
        self._countdown = Countdown(self._wait)
        self._crossings = Crossings(cross)
        self._asking = Asking(tell)
        self._holding = Holding(decide)
        self._confirming = Confirming(lambda: self.show([]))
        self._notifying = Notifying(notify, self.warn)
        self._seen = seen

    def show(self, lines: Sequence[Line]) -> None:
        """Add to the transcript."""
        asked = [*self._holding.area(), *self._asking.area(), *self._crossings.area()]
        asked += self._confirming.area()
        self.screen.update(lines, [*self._live.area(), *asked])

    def warn(self, text: str) -> None:
        self.show(marked(f"! {terminal_safe(text)}"))

    def complain(self, error: GloveboxError) -> None:
        self.show(marked(f"✗ {problem_text(problem_of(error))}"))

    async def follow(self, records: AsyncGenerator[Record]) -> None:
        """Show records as they come."""
        try:
            async for record in records:
                self._show(record)
        except JournalError:  # a full disk: what was begun has no end that could be recorded
            self.show(self._live.end())
            raise

    def _show(self, record: Record) -> None:
        self._seen(record)
        self._countdown.apply(record.event)
        self._crossings.apply(record.event)
        self._asking.apply(record.event)
        self._holding.apply(record.event)
        self._notifying.apply(record.event)
        self.show(self._live.apply(record.event))
        if isinstance(record.event, Steered):
            self.show(typed(record.event.message.text))

    async def confirm(self, question: str) -> bool:
        """Whether the person agrees."""
        return await self._confirming.ask(question)

    def decline(self) -> bool:
        """Say no to what `confirm` asks; False when nothing is asked."""
        return self._confirming.decline()

    def press(self, key: str) -> bool:
        """Take a key as an answer; False when it is none."""
        if self._crossings.asking:  # It chose its moment: no key may mean both.
            return self._crossings.press(key)
        pressed = self._confirming.press(key) or self._asking.press(key)
        return pressed or self._holding.press(key)

    def say(self, text: str) -> bool:
        """Take a line as an answer; False when it is none."""
        return self._asking.say(text) or self._confirming.press(text)

    def end(self) -> None:
        """Count no seconds any more."""
        self._countdown.end()

    def _wait(self, seconds: int) -> None:
        self._live.waits = seconds
        self.show([])
