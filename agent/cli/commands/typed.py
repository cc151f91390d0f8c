"""What was typed, as a command or as a message."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from agent.cli.commands import COMMANDS, SUBJECTS
from agent.cli.commands.command import Command, find
from agent.core.errors import UserError

# A path or a comment at the start of a message is no command.
_COMMAND = re.compile(r"/([A-Za-z-]*)(?:\s+(.*))?", re.DOTALL)


def is_command(text: str) -> bool:
    """Whether it is no message, be it a command that exists or not."""
    return _COMMAND.fullmatch(text.strip()) is not None or text.lstrip().startswith("!")


def at_once(text: str) -> bool:
    """Whether it is a command that need not wait for the end of a turn."""
    match = _COMMAND.fullmatch(text.strip())
    name = match.group(1).lower() if match else ""
    return any(name in command.names for command in COMMANDS if command.at_once)


def parse(text: str) -> Command | None:
    """The command that was typed, or None for a message.

    Raises `UserError` for one that does not exist, or that is given what it does not take.
    """
    match = _COMMAND.fullmatch(text.strip())
    if match is not None:
        name, rest = match.groups()
    elif text.lstrip().startswith("!"):
        name, rest = "run", _in_the_sandbox(text)
    else:
        return None
    command = find(SUBJECTS, name)
    if rest and not command.takes:
        raise UserError(
            f"`/{command.name}` takes nothing after it", f"type `/{command.name}` alone"
        )
    if command.takes and not rest and not command.takes.startswith("["):
        raise UserError(f"`/{command.name}` needs more", f"type `{command.usage}`")
    return replace(command, run=partial(command.run, rest or "")) if command.takes else command


def _in_the_sandbox(text: str) -> str:
    """What follows a `!`. Elsewhere two of them are a shell outside, and there is none here."""
    command = text.strip().removeprefix("!").strip()
    if command.startswith("!"):
        raise UserError("nothing is run outside of the sandbox", "one `!` runs a command in it")
    return command
