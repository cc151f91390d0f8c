"""Commands about who answers, and what may be spent on it."""

from __future__ import annotations

from agent.app import check_model
from agent.cli.budget import budget_lines
from agent.cli.commands.command import Command, Talk
from agent.cli.styled import marked
from agent.core.text import terminal_safe


async def model(name: str, talk: Talk) -> None:
    name = name.strip()
    if not name:
        talk.show(marked(f"· the model is {terminal_safe(talk.session.status().model)}"))
        return
    await check_model(name)
    talk.session.change_model(name)


async def budget(talk: Talk) -> None:
    talk.show(budget_lines(talk.session.purse.spent(), talk.session.limits()))


COMMANDS = (
    Command("model", "which model answers, or another one from now on", model, "[NAME]"),
    Command("budget", "what may be spent, and what of it was", budget),
)
