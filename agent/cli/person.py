"""Whoever asked for something: told what happens and what came of it, and asked to agree.

The same commands are typed at the shell and in a conversation; what they do is one code.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import click

from agent.cli.stopping import stopping
from agent.core.errors import UserError
from agent.core.text import terminal_safe


class Person(Protocol):
    """Text becomes safe for the terminal here; a diff is safe already."""

    @property
    def there(self) -> bool:
        """Whether somebody can be asked."""
        ...

    def say(self, text: str) -> None:
        """Tell what happens meanwhile."""
        ...

    def answer(self, text: str) -> None:
        """Tell what was asked for."""
        ...

    def diff(self, text: str) -> None:
        """Show changes."""
        ...

    async def agrees(self, question: str) -> bool:
        """Ask and wait. Raises `UserError` when nobody can be asked."""
        ...

    def until(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Have `stop` called when the person interrupts what is done within."""
        ...


class AtShell:
    """At a shell: answers on stdout, the rest on stderr. With `yes` all is agreed to unasked."""

    def __init__(self, *, yes: bool = False) -> None:
        self._yes = yes

    @property
    def there(self) -> bool:
        return self._yes or sys.stdin.isatty()

    def say(self, text: str) -> None:
        print(terminal_safe(text), file=sys.stderr)

    def answer(self, text: str) -> None:
        print(terminal_safe(text), flush=True)

    def diff(self, text: str) -> None:
        print(text)

    async def agrees(self, question: str) -> bool:
        if self._yes:
            return True
        if not self.there:
            raise UserError("nobody is there to agree", "look at the diff, then say `--yes`")
        return click.confirm(terminal_safe(question), default=False, err=True)

    def until(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        loop = asyncio.get_running_loop()
        return stopping(stop, lambda: loop.call_soon_threadsafe(stop))
