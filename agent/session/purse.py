"""What a session may spend, level by level, and what happens when a limit is reached."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from agent.core.errors import AnswerNeeded
from agent.core.events import AnyEvent, Charged, Granted, SandboxState
from agent.core.messages import Usage
from agent.llm.protocol import Llm, Price
from agent.loop.brakes import KINDS, TIMES, Budget, Caps, Kind, Reached, Spent, amount_of, name_of
from agent.loop.meter import Metered, PriceOf
from agent.session.ledger import Ledger
from agent.session.questions import Questions

T = TypeVar("T")
_ANY = Caps()


async def price_unknown(model: str) -> Price | None:
    """Where nobody knows what a model costs."""
    return None


@dataclass(frozen=True, slots=True)
class Allowed:
    """Limits by level: of a turn, of what follows one message (`run`), of the session.

    `turns` is how many the session may have. `tree` is what several sessions share.
    """

    turn: Caps = _ANY
    run: Caps = _ANY
    session: Caps = _ANY
    turns: int | None = None
    tree: Budget = field(default_factory=lambda: Budget("tree"))
    price_of: PriceOf = price_unknown


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit in words: `level` may spend `most` of `what`; `used` is "" where each has its own."""

    level: str
    what: str
    most: str
    used: str = ""


class Purse:
    """The budgets of one session. `budget` is the innermost: whoever works for it draws on that."""

    def __init__(
        self,
        allowed: Allowed,
        ledger: Ledger,
        questions: Questions,
        emit: Callable[[AnyEvent], None],
    ) -> None:
        caps = allowed.session
        if caps.money is not None:
            caps = replace(caps, money=caps.money + ledger.granted)
        self._allowed = allowed
        self._questions = questions
        self._emit = emit
        self._session = Budget(
            "session", caps, over=allowed.tree, spent=ledger.spent, tell=self._tell
        )
        self.budget = self._session
        self._granting = asyncio.Lock()
        self._granted = False
        self._up = contextlib.ExitStack()
        self._on_record = ledger.spent

    def metered(self, llm: Llm, budget: Budget | None = None) -> Llm:
        """`llm` drawing on what the session has now; its usage is put on record by who asks.

        With a `budget`, a child of `self.budget`, what is used is put on record from here.
        """
        draws = budget or self.budget.child(self.budget.name, recorded=True)
        return Metered(llm, draws, self._allowed.price_of, self._more)

    def hear(self, event: AnyEvent) -> None:
        """Let the time of the sandbox run while it is up."""
        if not isinstance(event, SandboxState):
            return
        self._up.close()
        if event.state == "ready":
            self._up.enter_context(self._session.running("sandbox_seconds"))
        elif event.state == "closed" and self._session.limits("sandbox_seconds"):
            self._emit(Charged(Usage(), "sandbox", False, *self.times()))

    def times(self) -> tuple[float, float]:
        """Seconds of turns and of the sandbox that are not on record yet: from now on they are."""
        now, before = self._session.spent, self._on_record
        self._on_record = now
        up = now.sandbox_seconds - before.sandbox_seconds
        return round(now.seconds - before.seconds, 3), round(up, 3)

    @contextlib.contextmanager
    def opened(self, name: str) -> Generator[Budget]:
        """Spend meanwhile from a level of its own: `run` or `turn`."""
        outer = self.budget
        caps = self._allowed.run if name == "run" else self._allowed.turn
        self.budget = outer.child(name, caps)
        try:
            yield self.budget
        finally:
            self.budget = outer

    async def within(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do `work` as long as there is time. Raises `Reached` when that is over."""
        budget = self.budget
        with budget.running("seconds"):
            return await (_in_time(work(), budget) if budget.limits(*TIMES) else work())

    def spent(self) -> list[tuple[str, str]]:
        """What this session has spent: of what, and how much."""
        spent = self._session.spent
        return [(name_of(kind), _used(kind, spent)) for kind in KINDS]

    def limits(self) -> list[Limit]:
        """All there are on what can be spent, the widest first."""
        found: list[Limit] = []
        for budget in (self._allowed.tree, self._session):
            found += _limits(budget.name, budget.caps, budget.spent)
        found += _limits("run", self._allowed.run)
        return [*found, *_limits("turn", self._allowed.turn)]

    def _tell(self, usage: Usage, what: str, guessed: bool) -> None:
        self._emit(Charged(usage, what, guessed))

    async def _more(self, reached: Reached) -> bool:
        """Whether there is more money, in the way that was declared for questions."""
        more = reached.budget.caps.money or 0.0
        on_ask = self._questions.on_ask
        if on_ask == "fail":
            raise AnswerNeeded(f"{reached.message}, and nobody is here to give more", reached.hint)
        if on_ask == "deny" or (on_ask == "allow" and self._granted):
            return False
        async with self._granting:
            if (reached.budget.caps.money or 0.0) > more:
                return True  # somebody who asked meanwhile was given it
            if on_ask == "person" and not await self._asked(reached, more):
                return False
            self._granted = True
            reached.budget.grant(more)
            self._emit(Granted(more))
            return True

    async def _asked(self, reached: Reached, more: float) -> bool:
        yes = f"Yes, ${more:g} more"
        question = f"{reached.message[:1].upper()}{reached.message[1:]}. Go on?"
        answered = await self._questions.ask(question, (yes, "No, stop here"), multiple=False)
        return yes in answered.chosen


def _limits(level: str, caps: Caps, spent: Spent | None = None) -> list[Limit]:
    return [
        Limit(
            level,
            name_of(kind),
            amount_of(kind, cap),
            "" if spent is None else _used(kind, spent),
        )
        for kind in KINDS
        if (cap := caps.of(kind)) is not None
    ]


def _used(kind: Kind, spent: Spent) -> str:
    if kind == "money" and spent.unpriced:
        return f"over {amount_of(kind, spent.money)}" if spent.money else "unknown"
    return amount_of(kind, spent.of(kind))


async def _in_time(work: Coroutine[Any, Any, T], budget: Budget) -> T:
    doing = asyncio.create_task(work)
    waiting = asyncio.create_task(_time_up(budget))
    try:
        await asyncio.wait({doing, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise waiting.result()
    finally:
        doing.cancel()
        waiting.cancel()
        await asyncio.gather(doing, waiting, return_exceptions=True)


async def _time_up(budget: Budget) -> Reached:
    """Wait until a limit on time is reached, and say which."""
    while True:
        try:
            budget.check(kinds=TIMES)
        except Reached as reached:
            return reached
        left = (budget.left(kind) for kind in TIMES)
        await asyncio.sleep(max(0.01, min(each for each in left if each is not None)))
