"""What may be spent: money, tokens, steps, time. Checked before a request, charged after it.

Budgets are nested, a turn's in its session's in that of a tree of sessions; a sub-agent's draws on
that of the turn it works for. What is spent at one level is spent at all above it. Before a request
the most that it can take is held back at every level, so that several at once cannot break together
what each of them alone would keep.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agent.core.errors import BudgetError
from agent.core.messages import Usage

Kind = Literal["money", "tokens", "steps", "seconds", "sandbox_seconds"]
Time = Literal["seconds", "sandbox_seconds"]
KINDS: tuple[Kind, ...] = ("money", "tokens", "steps", "seconds", "sandbox_seconds")
TIMES: tuple[Time, ...] = ("seconds", "sandbox_seconds")


Tell = Callable[[Usage, str, bool], None]
"""Called with what was taken, the name of the level, and whether that is a guess."""


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that may be spent; None is no limit. Money is US dollars."""

    money: float | None = None
    tokens: int | None = None
    steps: int | None = None
    seconds: float | None = None
    sandbox_seconds: float | None = None

    def of(self, kind: Kind) -> float | None:
        return _OF[kind](self)


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent. `unpriced` counts requests whose price nobody knows."""

    money: float = 0.0
    tokens: int = 0
    steps: int = 0
    seconds: float = 0.0
    sandbox_seconds: float = 0.0
    unpriced: int = 0

    # In so many words: each request does this some dozen times, and there may be many sessions.

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.money + other.money,
            self.tokens + other.tokens,
            self.steps + other.steps,
            self.seconds + other.seconds,
            self.sandbox_seconds + other.sandbox_seconds,
            self.unpriced + other.unpriced,
        )

    def __sub__(self, other: Spent) -> Spent:
        return Spent(
            self.money - other.money,
            self.tokens - other.tokens,
            self.steps - other.steps,
            self.seconds - other.seconds,
            self.sandbox_seconds - other.sandbox_seconds,
            self.unpriced - other.unpriced,
        )

    def of(self, kind: Kind) -> float:
        return _OF[kind](self) or 0.0


_OF: dict[Kind, Callable[[Caps | Spent], float | None]] = {
    "money": lambda record: record.money,
    "tokens": lambda record: record.tokens,
    "steps": lambda record: record.steps,
    "seconds": lambda record: record.seconds,
    "sandbox_seconds": lambda record: record.sandbox_seconds,
}


def spent_by(usage: Usage) -> Spent:
    """What a request with this usage has spent. It is a step."""
    unpriced = int(usage.cost is None)
    return Spent(usage.cost or 0.0, usage.prompt + usage.completion, 1, unpriced=unpriced)


def _with_cost(usage: Usage, cost: float | None) -> Usage:
    return Usage(usage.prompt, usage.cached, usage.completion, cost)


def _timed(kind: Time, amount: float) -> Spent:
    return Spent(seconds=amount) if kind == "seconds" else Spent(sandbox_seconds=amount)


class Budget:
    """One level. `name` says whose it is: `turn`, `session`, `tree`, `task`.

    `tell` hears what every request here and below has taken and for which level, but for those of
    a level that is `recorded`: there somebody puts it on record anyway. A session journals by it
    what its sub-agents spend. Times of what goes on side by side add up.
    """

    def __init__(
        self,
        name: str,
        caps: Caps = Caps(),
        *,
        over: Budget | None = None,
        spent: Spent = Spent(),
        recorded: bool = False,
        tell: Tell | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.caps = caps
        self.recorded = recorded
        self._levels: tuple[Budget, ...] = (self, *(over._levels if over else ()))
        self._spent = spent
        self._held = Spent()
        self._tell = tell
        self._clock = clock
        self._running: list[tuple[Time, float]] = []

    def child(self, name: str, caps: Caps = Caps(), *, recorded: bool = False) -> Budget:
        """A budget that draws on this one: what it spends is spent here too."""
        return Budget(name, caps, over=self, recorded=recorded, clock=self._clock)

    @property
    def spent(self) -> Spent:
        """What was charged, and the time that is running."""
        now, total = self._clock(), self._spent
        for kind, since in self._running:
            total += _timed(kind, now - since)
        return total

    def left(self, kind: Kind) -> float | None:
        """How much the tightest level still allows of `kind` beside what is held; None: any."""
        rooms = [
            cap - (level.spent + level._held).of(kind)
            for level in self._levels
            if (cap := level.caps.of(kind)) is not None
        ]
        return max(0.0, min(rooms)) if rooms else None

    def limits(self, *kinds: Kind) -> bool:
        """Whether some level has a limit of one of these kinds."""
        return any(b.caps.of(kind) is not None for b in self._levels for kind in kinds)

    def check(self, most: Spent = Spent(), *, kinds: Sequence[Kind] = KINDS) -> None:
        """Raises `Reached` when `most` does not fit into what some level has left."""
        for level in self._levels:
            before = level.spent + level._held
            for kind in kinds:
                cap, had, more = level.caps.of(kind), before.of(kind), most.of(kind)
                # Nothing more is asked of what is used up: time, or a lower limit than before.
                if cap is not None and (had + more > cap or (had >= cap and kind in TIMES)):
                    raise Reached(kind, level, cap, had, more)

    def hold(self, most: Spent) -> Hold:
        """Hold back what a request can take at most. Raises `Reached`; then nothing is held."""
        self.check(most)
        for level in self._levels:
            level._held += most
        return Hold(self, most)

    def charge(self, spent: Spent) -> None:
        """Count something as spent here and above, whether it fits or not."""
        for level in self._levels:
            level._spent += spent

    def end(self, hold: Hold, usage: Usage | None, guess: Usage | None) -> None:
        """Give back what `hold` has, and charge what was used of it. Called by the hold."""
        for level in self._levels:
            level._held -= hold.most
        if usage is None:
            return
        took = usage if guess is None else _with_cost(usage + guess, guess.cost)
        self.charge(spent_by(took))
        untold = guess if self.recorded else took
        for level in self._levels:
            if level._tell is not None and untold is not None:
                level._tell(untold, self.name, guess is not None)

    @contextlib.contextmanager
    def running(self, kind: Time) -> Generator[None]:
        """Count the time meanwhile, here and above."""
        clock = (kind, self._clock())
        for level in self._levels:
            level._running.append(clock)
        try:
            yield
        finally:
            for level in self._levels:
                level._running.remove(clock)
            self.charge(_timed(kind, self._clock() - clock[1]))

    def grant(self, money: float) -> None:
        """Allow so much more money at every level that limits it."""
        for level in self._levels:
            if level.caps.money is not None:
                level.caps = replace(level.caps, money=level.caps.money + money)


class Hold:
    """What is held back for one request, until it is settled or let go; the first time counts."""

    def __init__(self, budget: Budget, most: Spent) -> None:
        self.most = most
        self._budget: Budget | None = budget

    def settle(self, usage: Usage, guess: Usage | None = None) -> None:
        """Charge what the request took; with a `guess` of what the provider does not say of it."""
        budget, self._budget = self._budget, None
        if budget is not None:
            budget.end(self, usage, guess)

    def let_go(self) -> None:
        """The request took nothing."""
        budget, self._budget = self._budget, None
        if budget is not None:
            budget.end(self, None, None)


class Reached(BudgetError):
    """A limit of `budget` would be broken; `kind` says which."""

    def __init__(self, kind: Kind, budget: Budget, cap: float, had: float, more: float) -> None:
        what = f"the {name_of(kind)} of this {budget.name}"
        verb = "is" if kind == "money" else "are"
        took = f"{amount_of(kind, had)} of {amount_of(kind, cap)} {verb} used"
        next_one = f", and the next request may take {amount_of(kind, more)}" if more else ""
        super().__init__(f"the limit on {what} was reached: {took}{next_one}", _HINTS[kind])
        self.kind = kind
        self.budget = budget


def name_of(kind: Kind) -> str:
    """What is spent, in the words of a person."""
    return _NAMES[kind]


def amount_of(kind: Kind, amount: float) -> str:
    """So much of it, with its unit."""
    return _UNITS[kind].format(amount)


_NAMES: dict[Kind, str] = {
    "money": "money",
    "tokens": "tokens",
    "steps": "model requests",
    "seconds": "time",
    "sandbox_seconds": "sandbox time",
}
_UNITS: dict[Kind, str] = {
    "money": "${:.4f}",
    "tokens": "{:,.0f}",
    "steps": "{:.0f}",
    "seconds": "{:.0f} s",
    "sandbox_seconds": "{:.0f} s",
}
_HINTS: dict[Kind, str] = {
    "money": "give more with `--max-cost`",
    "tokens": "give more with `--max-tokens`",
    "steps": "say `go on` to continue, or raise `steps` in the configuration",
    "seconds": "give more with `--deadline`",
    "sandbox_seconds": "raise `sandbox_seconds` under `budgets` in the configuration",
}
