"""Commands about who answers, and what may be spent on it."""

from __future__ import annotations

from typing import get_args

from agent import config
from agent.app import check_model
from agent.cli.budget import budget_lines
from agent.cli.commands import offers
from agent.cli.commands.command import Command, Talk
from agent.cli.commands.given import settings_now
from agent.cli.styled import marked
from agent.core.errors import UserError
from agent.core.events import Setting
from agent.core.text import one_line, terminal_safe

EFFORTS: tuple[str, ...] = (*filter(None, get_args(config.Effort)), "default")


async def model(name: str, talk: Talk) -> None:
    name = name.strip()
    if not name:
        talk.show(marked(f"· the model is {terminal_safe(talk.session.status().model)}"))
        return
    await check_model(name)
    talk.session.change_model(name)


async def weak_model(name: str, talk: Talk) -> None:
    """Without NAME it is shown; with `none` commits say what was asked."""
    await _other_model("weak_model", name, talk)


async def editor_model(name: str, talk: Talk) -> None:
    """Without NAME it is shown; with `none` sub-agents have the session's own model."""
    await _other_model("editor_model", name, talk)


async def _other_model(setting: Setting, name: str, talk: Talk) -> None:
    named = setting.replace("_", " ")
    if name:
        value = "" if name == "none" else name
        await check_model(value)
        talk.session.choose(setting, value)
    value = config.shown(settings_now(talk), setting) or "none"
    talk.show(marked(f"· the {named} is {terminal_safe(value)}"))


async def effort(level: str, talk: Talk) -> None:
    """One of none, minimal, low, medium, high, xhigh; `default` leaves it to the provider.

    Without LEVEL it is shown. It holds for this session, and is as it was in others.
    """
    if level and level not in EFFORTS:
        raise UserError(f"`{one_line(level)}` is no effort", f"choose one of {', '.join(EFFORTS)}")
    if level:
        talk.session.choose("effort", "" if level == "default" else level)
    talk.show(marked(f"· the effort is {settings_now(talk).effort or 'the default'}"))


async def budget(talk: Talk) -> None:
    talk.show(budget_lines(talk.session.purse.spent(), talk.session.limits()))


COMMANDS = (
    Command(
        "model",
        "which model answers, or another one from now on",
        model,
        "[NAME]",
        offers=offers.models,
    ),
    Command(
        "effort",
        "how much it reasons, from now on",
        effort,
        "[LEVEL]",
        offers=offers.words(*EFFORTS),
    ),
    Command(
        "weak-model",
        "who words commits and sums up",
        weak_model,
        "[NAME]",
        offers=offers.both(offers.words("none"), offers.models),
    ),
    Command(
        "editor-model",
        "the model of sub-agents",
        editor_model,
        "[NAME]",
        offers=offers.both(offers.words("none"), offers.models),
    ),
    Command("budget", "what may be spent, and what of it was", budget, at_once=True),
)
