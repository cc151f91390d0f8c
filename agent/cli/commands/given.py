"""Between a conversation and the verbs of the command line: what they take, and whom they ask."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, cast

import click
import msgspec

from agent.app import Options
from agent.cli.commands.command import Talk
from agent.cli.styled import diff_lines, marked
from agent.config import Settings
from agent.core.errors import UserError
from agent.core.text import terminal_safe


def settings_now(talk: Talk) -> Settings:
    """The settings as they hold in this session, with what was chosen in it."""
    now, state = talk.session.status(), talk.session.state
    return msgspec.structs.replace(talk.options.settings, model=now.model, **state.chosen)


def alike(talk: Talk) -> Options:
    """What opens a new session with the models that this one has now, for itself."""
    return replace(talk.options, settings=settings_now(talk), asks=False)


def given(
    verb: click.Command, words: str, *, without: tuple[str, ...] = (), free: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What was typed after a command that takes what `verb` does, `without` some of it.

    What is in `free` may be left out, and an argument may have several words. Raises `UserError`.
    """
    name = f"/{verb.name}"
    params = [_freed(p) if p.name in free else p for p in verb.params]
    kept = [p for p in params if p.name not in (*without, "at")]
    command = click.Command(name, params=kept, add_help_option=False)
    try:
        found = command.make_context(name, shlex.split(words)).params
    except ValueError as error:
        raise UserError(f"a quote is not closed: {error}", f"`/help {verb.name}`") from error
    except click.ClickException as error:
        raise UserError(error.format_message().rstrip("."), f"`/help {verb.name}`") from error
    return {name: _joined(value) if name in free else value for name, value in found.items()}


def _joined(value: Any) -> Any:
    return " ".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value


def _freed(param: click.Parameter) -> click.Parameter:
    made = copy.copy(param)
    made.required = False
    if isinstance(made, click.Argument) and made.type is click.STRING:
        made.nargs = -1
    return made


class InTalk:
    """A `Person` in a conversation."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    @property
    def there(self) -> bool:
        return True

    def say(self, text: str) -> None:
        self._talk.show(marked(terminal_safe(text)))

    def answer(self, text: str) -> None:
        self.say(text)

    def diff(self, text: str) -> None:
        self._talk.show(diff_lines(text) if text.strip() else marked("· nothing changed"))

    async def agrees(self, question: str) -> bool:
        return await self._talk.confirm(question)

    def until(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        return self._talk.until(stop)
