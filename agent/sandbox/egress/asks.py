"""Questions to a person: may what runs inside reach this host?

Whatever asks is not trusted, so the number of questions is bounded, each host is asked about once
at a time, a no is remembered, and silence is a no.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from agent.core import limits
from agent.core.events import EgressAnswered, EgressAsked
from agent.sandbox.egress.policy import Target

Tell = Callable[[EgressAsked | EgressAnswered], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """A person's word, or nobody's."""

    allow: bool
    remember: bool = False


_NO = Answer(allow=False)


class Asks:
    """The open questions of one session."""

    def __init__(self, tell: Tell, seconds: float = limits.EGRESS_ASK_SECONDS) -> None:
        self._tell = tell
        self._seconds = seconds
        self._open: dict[Target, tuple[str, asyncio.Future[Answer]]] = {}
        self._denied: set[Target] = set()
        self._asked = 0

    async def ask(self, target: Target) -> Answer:
        """What a person says; everybody who waits for the same host gets the same answer."""
        if target in self._open:
            return await asyncio.shield(self._open[target][1])
        if target in self._denied or not self._room():
            return _NO
        self._asked += 1
        identity = secrets.token_hex(8)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._open[target] = identity, answer
        self._tell(EgressAsked(identity, target.name, target.port))
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.shield(answer)
        except TimeoutError:
            answer.set_result(_NO)
        finally:
            self._settle(target, identity, answer)
        return answer.result()

    def answer(self, identity: str, answer: Answer) -> bool:
        """Give an answer; False for a question that is not open any more."""
        for open_identity, waiting in self._open.values():
            if open_identity == identity and not waiting.done():
                waiting.set_result(answer)
                return True
        return False

    def _room(self) -> bool:
        return (
            self._asked < limits.EGRESS_ASKS_MAX and len(self._open) < limits.EGRESS_ASKS_OPEN_MAX
        )

    def _settle(self, target: Target, identity: str, answer: asyncio.Future[Answer]) -> None:
        del self._open[target]
        if not answer.done():  # who asked has gone
            answer.set_result(_NO)
        given = answer.result()
        if not given.allow:
            self._denied.add(target)
        self._tell(EgressAnswered(identity, target.name, target.port, given.allow, given.remember))
