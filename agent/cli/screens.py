"""Which screen a terminal gets, and what takes time to load for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.cli.screen import Keys, Screen
from agent.config import Settings
from agent.host import env, terminal

if TYPE_CHECKING:
    from agent.cli.markdown import Markdown

HISTORY = "history"


def drawn() -> bool:
    """Whether the terminal can be drawn on; else it gets lines."""
    return env.interactive() and terminal.can_redraw(terminal.STDOUT)


def choose_screen(keys: Keys, settings: Settings) -> Screen:
    """The prompt where the terminal can be drawn on, else lines."""
    if not drawn():
        from agent.cli.plain import Plain

        return Plain(keys)
    from agent.cli.prompt import Prompt

    vi = settings.vi or env.variable("EDITING_MODE") == "vi"
    return Prompt(keys, env.state_dir() / HISTORY, colours=terminal.has_colours(), vi=vi)


def markdown() -> Markdown:
    """What shows a reply, as wide as the terminal is when each line comes."""
    from agent.cli.markdown import Markdown

    return Markdown(lambda: terminal.size()[1] - 1, colours=terminal.has_colours())


def warm() -> None:
    """Load what the first reply would wait for."""
    from agent.cli.highlight import warm

    warm()
