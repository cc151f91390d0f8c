"""Children of a session: a turn of their own, with a context of their own, in the same sandbox.

A child is a session in all but its place. Its records are a journal of their own in the folder of
its parent's, which names it; what it takes is charged to the parent's turn as it is spent. It has
neither `task` nor `ask`: it makes no children, and nobody is there to ask. A child in a fork is a
session of its own, with a sandbox, a number and a branch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from agent.core.errors import GloveboxError, UserError
from agent.core.events import (
    CallStarted,
    Charged,
    ChildFinished,
    ChildStarted,
    Compacted,
    MessageFinished,
    Outcome,
    Problem,
    Pulled,
    Record,
    SyncFinished,
    TurnFinished,
    Undone,
    problem_of,
)
from agent.core.limits import TASK_STEPS_MAX
from agent.core.messages import ToolCall, Usage
from agent.loop import wording
from agent.loop.brakes import Budget
from agent.session.checks import Commands
from agent.session.journal import Journal
from agent.session.parts import Parts
from agent.session.place import Chart, Note, Workplace
from agent.session.purse import Allowed
from agent.session.session import Session
from agent.session.state import State
from agent.tools.base import Done, Task, ToolContext, run_nowhere

FOLDER = "tasks"
NOT_FOR_CHILDREN = ("task", "ask")

Fork = Callable[[Session, Budget], Awaitable[Session]]
"""A new session with the files of one that is in the middle of a turn, drawing on a budget."""


async def run_task(parent: Session, task: Task, *, model: str, fork: Fork) -> Done:
    """Have a child do `task` and say what it said last. Cancelling ends the child.

    With a `model` it is that which is asked. Raises what keeps the child from being made.
    """
    budget = parent.purse.budget.child("task", recorded=True)
    child = await (fork(parent, budget) if task.fork else _beside(parent, model, budget))
    told = _Told(parent, task)
    name = f"session {child.id}" if task.fork else child.id
    parent.emit(ChildStarted(task.call_id, task.text, name))
    child.listeners.append(told.hear)
    try:
        async with contextlib.aclosing(child.send(wording.task(task.text))) as records:
            async for _ in records:
                pass  # `told` hears them
    except GloveboxError as error:
        told.outcome, told.problem = "failed", problem_of(error)
    finally:
        await child.close()
        outcome, usage = told.outcome, told.usage
        parent.emit(ChildFinished(task.call_id, outcome, usage, told.steps, told.problem))
    why = told.problem.message if told.problem else ""
    branch = child.state.branch if task.fork else ""
    return Done(outcome, child.last_text, told.steps, branch, why)


async def _beside(parent: Session, model: str, budget: Budget) -> Session:
    """A child in the same sandbox."""
    parts, place, folder = parent.lend()
    started = parent.state.started
    assert started is not None
    journal = _new_journal(folder / FOLDER)
    state = State()
    name = f"{FOLDER}/{journal.path.stem}"
    own = msgspec.structs.replace(started, id=name, model=model or parts.model)
    state.apply(journal.append(0, own))
    child = Session(journal, state)
    child.equip(_parts(parts, model, budget), _Shared(place))
    return child


def _new_journal(folder: Path) -> Journal:
    number = 1
    while True:
        with contextlib.suppress(GloveboxError):  # another child has that number
            journal = Journal(folder / f"{number}.jsonl")
            if not journal.records:
                return journal
            journal.close()
        number += 1


def _parts(parts: Parts, model: str, budget: Budget) -> Parts:
    other = bool(model) and model != parts.model
    return replace(
        parts,
        llm=parts.models(model) if other and parts.models else parts.llm,
        model=model or parts.model,
        schemas=tuple(one for one in parts.schemas if one.name not in NOT_FOR_CHILDREN),
        tools=parts.tools.without(*NOT_FOR_CHILDREN),
        steps_max=min(parts.steps_max, TASK_STEPS_MAX),
        on_ask="deny",
        namer=None,
        allowed=Allowed(tree=budget, price_of=parts.allowed.price_of),
        checks=Commands(),
        run_task=run_nowhere,
    )


class _Told:
    """What a parent is told of its child while it works."""

    def __init__(self, parent: Session, task: Task) -> None:
        self.outcome: Outcome = "interrupted"
        self.problem: Problem | None = None
        self.usage = Usage()
        self.steps = 0
        self._parent = parent
        self._task = task

    def hear(self, record: Record) -> None:
        match record.event:
            case MessageFinished(message=message):
                self._charge(message.usage)
            case Compacted(usage=usage):
                self._charge(usage)
            case CallStarted(title=title):
                self._task.on_output(f"→ {title}\n")
            case TurnFinished(outcome=outcome, steps=steps, problem=problem):
                self.outcome, self.steps, self.problem = outcome, steps, problem
            case _:
                pass

    def _charge(self, usage: Usage) -> None:
        self.usage += usage
        if usage != Usage(cost=None):
            self._parent.emit(Charged(usage, "task"))


class _Shared(Workplace):
    """The parent's place, of which the child neither ends nor brings home anything."""

    def __init__(self, place: Workplace) -> None:
        self._place = place

    async def ready(self) -> None:
        await self._place.ready()

    async def context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        return await self._place.context(call, on_output)

    async def sync(self, state: State, message: str) -> SyncFinished:
        return SyncFinished("")

    async def standing(self) -> str:
        return "nothing to sync"

    async def undo(self, state: State, to: str) -> Undone:
        raise NotImplementedError

    async def pull(self, state: State, name: str, *, dirty: bool) -> Pulled:
        raise NotImplementedError

    async def map(
        self, words: str, *, tokens: int, touched: Sequence[str], hidden: Sequence[str]
    ) -> Chart:
        return await self._place.map(words, tokens=tokens, touched=touched, hidden=hidden)

    async def notes(
        self, files: Sequence[str], *, known: Sequence[str], most: int
    ) -> Sequence[Note]:
        return await self._place.notes(files, known=known, most=most)

    async def paths(self) -> Sequence[str]:
        return await self._place.paths()

    async def settle(self, *, take: bool) -> int:
        return 0

    async def changes(self, state: State) -> str:
        return ""

    async def diff(self, state: State) -> str:
        return ""

    def answer_egress(self, identity: str, *, allow: bool, remember: bool) -> bool:
        return False

    def allow_host(self, entry: str) -> None:
        raise UserError("a child allows nothing")

    async def lost(self) -> None:
        await self._place.lost()

    async def rest(self) -> bool:
        return False

    async def close(self) -> None:
        """The sandbox goes on: it is the parent's."""

    async def discard(self) -> None:
        """As `close`."""
