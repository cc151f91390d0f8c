"""What the model asks the user: one question up as an event, one answer down, in every case.

The call that asked waits, but never for ever; where nobody can answer, what was declared for that
case holds at once, and the question is in the record all the same.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Literal

from agent.core.errors import AnswerNeeded
from agent.core.events import UserAnswered, UserAsked
from agent.core.limits import ASK_SECONDS
from agent.core.text import one_line

OnAsk = Literal["person", "deny", "allow", "fail"]
"""A person answers; or nobody does, and it stays open, the first option is taken, the turn ends."""

Emit = Callable[[UserAsked | UserAnswered], None]


class Questions:
    """The open questions of one session."""

    def __init__(self, emit: Emit, seconds: float = ASK_SECONDS) -> None:
        self.on_ask: OnAsk = "deny"
        self._emit = emit
        self._seconds = seconds
        self._open: dict[str, tuple[UserAsked, asyncio.Future[UserAnswered]]] = {}

    async def ask(self, question: str, options: Sequence[str], *, multiple: bool) -> UserAnswered:
        """What a person says, or what was declared. Raises `AnswerNeeded`."""
        asked = UserAsked(secrets.token_hex(8), question, tuple(options), multiple)
        self._emit(asked)
        answered = UserAnswered(asked.id, "interrupted")
        try:
            answered = await (self._waited(asked) if self.on_ask == "person" else self._told(asked))
        finally:
            self._emit(answered)
        if self.on_ask == "fail":
            raise AnswerNeeded(
                f"the model asked and nobody is here to answer: {one_line(question, 300)}",
                "answer in a conversation (`glovebox --continue`), put the answer into the message,"
                " or let it go on without with `--on-ask deny`",
            )
        return answered

    def answer(self, identity: str, chosen: Sequence[str], text: str) -> bool:
        """Give an answer; options that were not offered are left out. False when it is over."""
        if identity not in self._open:
            return False
        asked, waiting = self._open[identity]
        if waiting.done():
            return False
        taken = tuple(option for option in asked.options if option in chosen)
        taken = taken if asked.multiple else taken[:1]
        how = "answered" if taken or text else "declined"
        waiting.set_result(UserAnswered(identity, how, taken, text))
        return True

    async def _waited(self, asked: UserAsked) -> UserAnswered:
        waiting: asyncio.Future[UserAnswered] = asyncio.get_running_loop().create_future()
        self._open[asked.id] = asked, waiting
        try:
            async with asyncio.timeout(self._seconds):
                return await waiting
        except TimeoutError:
            return UserAnswered(asked.id, "late")
        finally:
            del self._open[asked.id]

    async def _told(self, asked: UserAsked) -> UserAnswered:
        first = asked.options[:1] if self.on_ask == "allow" else ()
        return UserAnswered(asked.id, "policy", first)
