"""What is known of a session's files and commands, for whoever is in the middle of typing one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from agent.cli.commands import COMMANDS
from agent.cli.commands.command import Talk
from agent.core.errors import GloveboxError
from agent.overview import Overview, Sight
from agent.session.session import Session


class Known:
    """What can be completed."""

    def __init__(self) -> None:
        self._paths: Sequence[str] = ()
        self._overview: Overview | None = None
        self._seeing = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    def look(self, session: Session) -> None:
        """Learn what files there are now."""

        async def look() -> None:
            with contextlib.suppress(GloveboxError):  # without the list nothing is completed
                self._paths = await session.paths()

        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(look())

    async def files(self) -> Sequence[str]:
        """The files inside, for whoever mentions one."""
        if self._looking is not None and not self._paths:
            await asyncio.wait({self._looking})
        return self._paths

    async def sights(self, directory: Path) -> Sequence[Sight]:
        """The sessions of the repository; of journals that were read, what is new is read."""
        async with self._seeing:
            self._overview = overview = self._overview or await Overview.of(directory)
            return (await asyncio.to_thread(lambda: overview.look(every=True)))[0]

    def end(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()


async def offers(name: str, talk: Talk) -> Sequence[tuple[str, str]]:
    """What may stand after the command `name`."""
    command = next((c for c in COMMANDS if name in c.names), None)
    if command is None or command.offers is None:
        return ()
    with contextlib.suppress(GloveboxError):  # whoever runs it is told
        return await command.offers(talk)
    return ()
