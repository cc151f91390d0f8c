"""Telling a person who looks elsewhere that it is their turn: a bell, or a command of theirs."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable

from agent.core.errors import GloveboxError
from agent.core.events import AnyEvent, EgressAsked, TurnFinished, TurnStarted, UserAsked
from agent.host import env, process, terminal

BELL = "bell"
LONG_SECONDS = 10.0
"""Whoever waited for less is still there."""
_COMMAND_SECONDS = 10.0


class Notifying:
    """`how` is nothing, "bell", or a command that is given what there is to say."""

    def __init__(
        self,
        how: str,
        complain: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._how = how
        self._complain = complain
        self._clock = clock
        self._since = 0.0
        self._told: asyncio.Task[None] | None = None

    def apply(self, event: AnyEvent) -> None:
        """Learn what happens; when it took long, say so."""
        match event:
            case TurnStarted():
                self._since = self._clock()
            case TurnFinished():
                self._tell("the turn is over")
            case UserAsked() | EgressAsked():
                self._tell("there is a question")
            case _:
                pass

    def _tell(self, what: str) -> None:
        if not self._how or self._clock() < self._since + LONG_SECONDS:
            return
        if self._how == BELL:
            terminal.write_all(terminal.STDOUT, b"\a")
        else:
            self._told = asyncio.create_task(self._run([*shlex.split(self._how), what]))

    async def _run(self, argv: list[str]) -> None:
        try:
            done = await process.run(argv, env=env.variables(), seconds=_COMMAND_SECONDS)
        except (OSError, GloveboxError) as error:
            self._complain(f"`notify` failed: {error}")
            return
        if done.exit_code:
            self._complain(f"`notify` failed: exit code {done.exit_code}: {done.problem[-200:]}")
