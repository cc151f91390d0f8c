"""Where a conversation is shown and typed, as its conductor sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.cli.styled import Line
from agent.core.text import terminal_safe

PROMPT = "› "
TYPED_LINES = 20
"""How much of a message stands in the transcript."""


async def _nothing(_: str) -> Sequence[tuple[str, str]]:
    return ()


@dataclass(frozen=True, slots=True)
class Keys:
    """What a screen calls when something is typed, and asks when it draws. Nothing may block."""

    submit: Callable[[str], None]
    interrupt: Callable[[bool], bool]
    """Ctrl-C; told whether a line was being typed, it answers whether to clear that line."""
    leave: Callable[[], None]
    changed: Callable[[], None]
    """The line was edited."""
    badge: Callable[[], Line]
    answer: Callable[[str], bool]
    """A key pressed on an empty line; whether it answered a question, and so is no typing."""
    commands: Sequence[tuple[str, str]]
    paths: Callable[[], Awaitable[Sequence[str]]]
    """The files inside, when they are known."""
    offers: Callable[[str], Awaitable[Sequence[tuple[str, str]]]] = _nothing
    """What may stand after the command of this name, with a word about each."""


class Screen(Protocol):
    """A place to show and to type. `update` may be called before and after `run`."""

    @property
    def lent(self) -> bool:
        """Whether a program of the person has the terminal, and so the keys."""
        ...

    def update(self, lines: Sequence[Line], area: Sequence[Line]) -> None:
        """Add `lines` to the transcript and replace the lines that change by `area`."""
        ...

    async def run(self) -> None:
        """Take what is typed until `stop`, or until nobody can type any more."""
        ...

    def edit(self) -> bool:
        """Give the terminal to the person's editor for what comes next; False where that fails."""
        ...

    def stop(self) -> None: ...


def typed(text: str, *, here: bool = True) -> list[Line]:
    """What a person sent, as it stands in the transcript.

    What was typed `here` a terminal without cursor control has shown already.
    """
    style = "typed" if here else "bold"
    rows = terminal_safe(text).split("\n")
    more = len(rows) - TYPED_LINES
    shown = rows[:TYPED_LINES] if more > 1 else rows
    lines: list[Line] = [
        ((style, (PROMPT if at == 0 else "  ") + row),) for at, row in enumerate(shown)
    ]
    return [*lines, ((style, "  "), ("dim", f"… {more:,} more lines"))] if more > 1 else lines
