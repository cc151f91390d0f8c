"""What may stand after a command, for whoever types it: each value with a word about it."""

from __future__ import annotations

from collections.abc import Sequence

from agent.app import known_models
from agent.cli.commands.command import Offers, Talk
from agent.core.text import one_line
from agent.outcome import Outcomes
from agent.session import ports


def words(*offered: str) -> Offers:
    """These, whatever there is."""

    async def offer(talk: Talk) -> Sequence[tuple[str, str]]:
        return [(word, "") for word in offered]

    return offer


def both(*some: Offers) -> Offers:
    """One after the other."""

    async def offer(talk: Talk) -> Sequence[tuple[str, str]]:
        return [one for offers in some for one in await offers(talk)]

    return offer


async def sessions(talk: Talk) -> Sequence[tuple[str, str]]:
    """The other sessions, by number and by name, the one used last first."""
    found = sorted(await talk.sights(), key=lambda one: one.entry.used, reverse=True)
    others = [one for one in found if one.entry.id != talk.session.id]
    named = [(name, "") for one in others if (name := one.glance.state.name)]
    return [*((str(one.number), one_line(one.glance.title, 40)) for one in others), *named]


async def branches(talk: Talk) -> Sequence[tuple[str, str]]:
    return [(name, "") for name in await (await Outcomes.of(talk.directory)).branches()]


async def models(talk: Talk) -> Sequence[tuple[str, str]]:
    """Those that the provider library knows; it is loaded in a thread."""
    return [(name, "") for name in await known_models()]


async def jobs(talk: Talk) -> Sequence[tuple[str, str]]:
    found = await ports.jobs(await talk.session.enter())
    return [(one.name, one.state) for one in found if one.state == "running"]


async def listening(talk: Talk) -> Sequence[tuple[str, str]]:
    found = await ports.listening(await talk.session.enter())
    return [(str(one.port), one_line(one.program, 40)) for one in found]
