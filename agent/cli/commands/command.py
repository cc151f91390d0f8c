"""What a slash command is, and what it may use of the conversation it is typed in."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.app import Options
from agent.cli.styled import Line
from agent.core.errors import UserError
from agent.core.events import Record
from agent.core.text import one_line
from agent.overview import Sight
from agent.session.session import Session


class Talk(Protocol):
    """The conversation a command is typed in."""

    @property
    def session(self) -> Session: ...

    @property
    def directory(self) -> Path: ...

    @property
    def options(self) -> Options:
        """What opens a new session for this conversation."""
        ...

    async def sights(self) -> Sequence[Sight]:
        """The sessions of this repository as they are now."""
        ...

    def show(self, lines: Sequence[Line]) -> None:
        """Add to the transcript."""
        ...

    async def follow(self, records: AsyncGenerator[Record]) -> None:
        """Show records until they end."""
        ...

    async def recall(self, *, whole: bool = False) -> None:
        """Show what was said in the session before: its end, or the `whole` of it."""
        ...

    async def change(
        self, begin: Callable[[Options], Awaitable[Session]], *, recalls: bool = False
    ) -> None:
        """Go on in the session that `begin` opens; the one here is closed and kept.

        With `recalls` what was said there is shown.
        """
        ...

    async def attach(self, wanted: str) -> None:
        """Go along with a session that another process runs, and on in it; this one is kept."""
        ...

    async def confirm(self, question: str) -> bool:
        """Whether the person agrees."""
        ...

    def until(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Have `stop` called when the person interrupts what is done within."""
        ...

    def edit(self) -> None:
        """Have the person's own editor write what is typed next. Raises `UserError`."""
        ...

    def leave(self) -> None: ...


Offers = Callable[[Talk], Awaitable[Sequence[tuple[str, str]]]]
"""What may stand after a command, each value with a word about it."""


@dataclass(frozen=True, slots=True)
class Command:
    """`run` is given the conversation, before it as text what the command `takes`, if it does.

    What stands in brackets may be left out, what it `offers` is completed. `about` is its line in
    `/help`; what the docstring of `run` says comes with `/help NAME`. It goes by `aliases`, too.
    One that runs `at_once` looks, and does not wait for the end of a turn.
    """

    name: str
    about: str
    run: Callable[..., Awaitable[None]]
    takes: str = ""
    aliases: tuple[str, ...] = ()
    offers: Offers | None = None
    at_once: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.takes}".rstrip()

    @property
    def more(self) -> str:
        """What there is to know besides."""
        first, _, rest = (self.run.__doc__ or "").partition("\n")
        return f"{first}\n{textwrap.dedent(rest)}".strip()


INSTEAD = {
    "add": "write `@FILE` in a message; the model reads what else it needs",
    "drop": "`/compact` sums up what was said, `/context` shows what takes room",
    "tokens": "`/context`",
    "reset": "`/new` begins another session",
    "rewind": "`/undo`",
    "commit": "each turn that changes something is a commit already",
    "git": "`!git …` in the sandbox",
    "ls": "`!ls` in the sandbox",
    "web": "write the address in a message",
    "name": "`/rename`",
    "config": "`/settings`",
    "cost": "`/status` or `/budget`",
    "sandbox": "`/status`",
}
"""What people may look for who know other agents, and where it is here."""

Subjects = tuple[tuple[str, tuple[Command, ...]], ...]


def find(subjects: Subjects, name: str) -> Command:
    """The command that goes by `name`. Raises `UserError` with what was perhaps meant."""
    commands, wanted = [c for _, some in subjects for c in some], name.lower()
    command = next((c for c in commands if wanted in c.names), None)
    if command is not None:
        return command
    if wanted in INSTEAD:
        raise UserError(f"there is no command `/{wanted}`", INSTEAD[wanted])
    close = difflib.get_close_matches(wanted, [n for c in commands for n in c.names], n=1)
    hint = f"did you mean `/{close[0]}`?" if close else "`/help` lists the commands"
    raise UserError(f"there is no command `/{one_line(name, 40)}`", hint)
