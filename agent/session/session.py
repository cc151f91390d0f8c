"""A session: a conversation bound to one repository, one sandbox and one branch.

Front ends read records from `send` and may interrupt; they learn everything else from events.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from agent.core.errors import BudgetError, UserError
from agent.core.events import (
    Chosen,
    ModelChanged,
    Outcome,
    Problem,
    Record,
    Setting,
    Steered,
    TurnFinished,
    TurnStarted,
)
from agent.core.messages import Message, UserMessage
from agent.llm.protocol import Request
from agent.loop.brakes import name_of
from agent.loop.context import Context
from agent.loop.history import last_text
from agent.loop.turn import Turn, run_turn
from agent.loop.wording import looks_only
from agent.session.additions import Additions
from agent.session.checks import By, Checks
from agent.session.children import conversations
from agent.session.fitting import Weight, weight_of
from agent.session.journal import Journal
from agent.session.parts import Parts
from agent.session.place import Workplace
from agent.session.purse import Limit
from agent.session.sandboxed import Sandboxed
from agent.session.search import Hit, Mask, passages
from agent.session.state import State


class Session(Sandboxed):
    """One conversation. One turn runs at a time."""

    def __init__(self, journal: Journal, state: State) -> None:
        super().__init__(journal, state)
        self._steering: list[str] = []

    def equip(self, parts: Parts, place: Workplace) -> None:
        super().equip(parts, place)
        self._additions = Additions(self.state, place, self.emit, parts)
        self._checks = Checks(parts.checks, place, self.emit, self._in_time)
        self.at_close(self._additions.end)

    @property
    def last_text(self) -> str:
        """What the model said last in the newest turn."""
        return last_text(self.state.history.messages)

    def send(self, text: str, *, looks: bool = False) -> AsyncGenerator[Record]:
        """Run one turn and yield its records, the sync that follows it included.

        Checks that fail after it add turns. One that only `looks` changes nothing and has none.
        Leaving the iteration early interrupts the turn. Raises `UserError` while one is running,
        and `BudgetError` when there may be no more of them.
        """
        if self._turns_left() <= 0:
            raise BudgetError(
                f"the session has had its {self.state.turn} turns", "give more with `--max-turns`"
            )
        return self._run(lambda: self._looked(text) if looks else self._rounds(text))

    def steer(self, text: str) -> bool:
        """Have the model hear `text` with its next request; False when no turn is under way.

        It may have none any more: `unheard` gives back what came too late.
        """
        heard = self.state.open and self._running.active
        if heard:
            self._steering.append(text)
        return heard

    def unheard(self) -> list[str]:
        """What was to steer a turn that is over; it is forgotten here."""
        texts, self._steering = self._steering, []
        return texts

    def compact(self, focus: str = "") -> AsyncGenerator[Record]:
        """Have a summary take the place of all but the newest steps, with an eye on `focus`.

        The transcript is kept. Raises `UserError` when there is nothing to sum up.
        """

        async def summed() -> None:
            if not await self._running.summary(self._fitted().compact(focus)):
                raise UserError("there is nothing to sum up yet")

        return self._run(summed)

    def change_model(self, model: str) -> None:
        """Have `model` answer from the next turn on. Raises `UserError` while one is running."""
        self._idle()
        self._take(self._equipped[0].answered_by(model))
        self.emit(ModelChanged(model))

    def choose(self, setting: Setting, value: str) -> None:
        """Have a setting of the models be another from the next turn on, in this session.

        Raises `UserError` while one is running.
        """
        self._idle()
        self._take(self._equipped[0].with_settings({**self.state.chosen, setting: value}))
        self.emit(Chosen(setting, value))

    async def weigh(self) -> Weight:
        """What the model is sent next, part by part."""
        return await weight_of(self._fitted())

    def limits(self) -> list[Limit]:
        """What may be spent and done, level by level, and what of it was."""
        parts, _ = self._equipped
        turns, had = parts.allowed.turns, str(self.state.turn)
        steps = Limit("turn", name_of("steps"), str(parts.steps_max))
        counted = [] if turns is None else [Limit("session", "turns", str(turns), had)]
        return [*self.purse.limits(), *counted, steps]

    def search(self, words: str, mask: Mask) -> list[Hit]:
        """Where all the words are in the transcript: all of it, what was undone included.

        What is shown of them went through `mask`.
        """
        records = self.past()
        children = conversations(self._journal.path, records)
        return passages(records, words.split(), children, mask)

    async def _rounds(self, text: str) -> None:
        """A turn, what has to succeed after it, and the turns that this adds."""

        async def sync() -> bool:
            used = self._used
            if used:
                await self._sync(text)
            return used

        turns = self._turns_left
        with self.purse.opened("run"), self._running.round():
            await self._checks.rounds(text, self._take_turn, sync, turns, lambda: self.state.last)

    async def _looked(self, text: str) -> None:
        """A turn in which only calls that change nothing are carried out."""
        with self.purse.opened("run"):
            await self._take_turn(text, "person", looks=True)
            if self._used:
                await self._sync(text)

    def _turns_left(self) -> int:
        most = self._equipped[0].allowed.turns
        return sys.maxsize if most is None else most - self.state.turn

    async def _in_time(self, work: Callable[[], Coroutine[Any, Any, str]]) -> str:
        """Run a check so that it can be interrupted, and as long as there is time."""
        return await self._running.check(self.purse.within(work))

    async def _take_turn(self, text: str, by: By, *, looks: bool = False) -> bool:
        self.emit(TurnStarted(UserMessage(text, at=round(time.time(), 3)), by))
        self._additions.begin(text if by == "person" else "")
        outcome: Outcome = "failed"
        problem: Problem | None = None
        try:
            with self.purse.opened("turn"):
                turn, (_, place) = self._as_turn(looks=looks), self._equipped
                loop = self.purse.within(lambda: run_turn(turn))
                outcome, problem = await self._running.answer(loop, place)
        finally:
            spent, steps = self.state.spent, self.state.steps
            self.emit(TurnFinished(outcome, spent, steps, problem, *self.purse.times()))
        return outcome == "done"

    def _as_turn(self, *, looks: bool) -> Turn:
        parts, context = self._equipped[0], self._fitted()
        return Turn(
            llm=context,
            model=parts.model,
            system=context.head.system,
            schemas=parts.schemas,  # the same: a prompt that begins alike is in the cache
            tools=parts.tools.looking(looks_only) if looks else parts.tools,
            context=self._context,
            history=lambda: self._history(context),
            emit=self.emit,
            steps_max=parts.steps_max,
        )

    def _fitted(self) -> Context:
        """The conversation as the model is to be asked with it."""
        parts, _ = self._equipped
        head = Request(parts.model, parts.system(), (), parts.schemas)
        fitting, llm = parts.fitting.drawing(self.purse.metered), self.purse.metered(parts.llm)
        return fitting.context(llm, head, self.state, self.emit)

    async def _history(self, context: Context) -> tuple[Message, ...]:
        """The conversation for the next request, with what came to go with it, made to fit."""
        for text in self.unheard():
            self.emit(Steered(UserMessage(text, at=round(time.time(), 3))))
            self._additions.more(text)
        await self._additions.add(await context.windows.tokens(context.head.model))
        return await context.messages()
