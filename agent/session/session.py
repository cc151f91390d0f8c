"""A session: takes messages, runs turns, records everything, brings the work home on idle.

Front ends read records from `send` and may interrupt; they learn everything else from events. An
event is recorded first and shown second. Delivery promise: what `send` yields is complete and in
order; events between turns (the sandbox comes up) are delivered at the start of the next `send`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from agent.core.channel import Channel
from agent.core.errors import BudgetError, GloveboxError, SandboxLost, SyncError, UserError
from agent.core.events import (
    PASSING,
    AnyEvent,
    Chosen,
    Entered,
    HostAllowed,
    ModelChanged,
    Notice,
    Outcome,
    Problem,
    Record,
    Setting,
    Steered,
    SyncStarted,
    TurnFinished,
    TurnStarted,
)
from agent.core.limits import CLOSE_SECONDS, MAP_TOKENS
from agent.core.messages import Message, ToolCall, UserMessage
from agent.core.text import one_line
from agent.llm.protocol import Llm, Request, ToolSchema
from agent.loop.brakes import name_of
from agent.loop.context import Context
from agent.loop.history import last_text
from agent.loop.naming import Namer
from agent.loop.turn import Turn, run_turn
from agent.loop.wording import looks_only
from agent.session.additions import Additions
from agent.session.bounds import bounded
from agent.session.byhand import run_by_hand
from agent.session.checks import By, Checks, Commands
from agent.session.children import conversations
from agent.session.fitting import Fitting, Weight, weight_of
from agent.session.home import Home
from agent.session.journal import Journal, read
from agent.session.mend import mending
from agent.session.place import Chart, Workplace
from agent.session.purse import Allowed, Limit, Purse
from agent.session.questions import OnAsk, Questions
from agent.session.running import Running
from agent.session.search import Hit, Mask, passages
from agent.session.state import State
from agent.session.status import Status, status_of
from agent.session.unasked import answered
from agent.tools.base import Done, Task, ToolContext, Toolset, run_nowhere


@dataclass(frozen=True, slots=True)
class Parts:
    """What the composition root puts into a session. `system` is asked once a turn.

    `on_ask` says what becomes of the model's questions: a person answers, or what was declared.
    `namer` words the commits; without one they say what was asked. `map_tokens` is how long a map
    of the repository may be that the model is given; 0 is none. `notes` are those that the
    repository keeps; `fitting` is how a conversation is kept within what the model takes.
    `allowed` is what may be spent, `checks` what is to succeed after a turn; `models` gives who
    answers when another model is chosen, `tuned` the parts for a model with settings that were
    chosen in the session; `run_task` has a child do a piece of the work.
    """

    llm: Llm
    model: str
    system: Callable[[], str]
    schemas: tuple[ToolSchema, ...]
    tools: Toolset
    steps_max: int
    on_ask: OnAsk = "deny"
    namer: Namer | None = None
    map_tokens: int = 0
    notes: bool = False
    fitting: Fitting = field(default_factory=Fitting)
    allowed: Allowed = field(default_factory=Allowed)
    checks: Commands = field(default_factory=Commands)
    models: Callable[[str], Llm] | None = None
    tuned: Callable[[str, Mapping[str, str]], Parts] | None = None
    run_task: Callable[[Session, Task], Awaitable[Done]] | None = None


class Session:
    """One conversation, one sandbox, one branch. One turn runs at a time."""

    def __init__(self, journal: Journal, state: State) -> None:
        started = state.started
        assert started is not None
        self.id = started.id
        self.number = started.number
        self.state = state
        self._started = started
        self._journal = journal
        self._events: Channel[Record] = Channel()
        self._parts: Parts | None = None
        self._place: Workplace | None = None
        self._turn: asyncio.Task[None] | None = None
        self._running = Running()
        self._questions = Questions(self.emit)
        self.purse = Purse(Allowed(), state.ledger, self._questions, self.emit)
        self._steering: list[str] = []
        self._at_close: list[Callable[[], None]] = []
        self._used = False
        self.listeners: list[Callable[[Record], None]] = []
        """Told of every record, passing ones too, after it was written; they must not block."""

    def equip(self, parts: Parts, place: Workplace) -> None:
        """Put in what turns need; the workplace reports through `emit`, so it comes second."""
        self._place = place
        self._questions.on_ask = parts.on_ask
        for event in mending(self.state):
            self.emit(event)
        self.purse = Purse(parts.allowed, self.state.ledger, self._questions, self.emit)
        self._take(parts)
        self._additions = Additions(self.state, place, self.emit, parts)
        self._checks = Checks(parts.checks, place, self.emit, self._held)
        self._used = self.state.behind

    def _take(self, parts: Parts) -> None:
        self._parts = parts
        namer = parts.namer and replace(parts.namer, llm=self.purse.metered(parts.namer.llm))
        self._home = Home(self.state, self._equipped[1], self.emit, namer)

    def emit(self, event: AnyEvent) -> None:
        """Record an event, then show it."""
        record = self._journal.append(self.state.turn, event, passing=isinstance(event, PASSING))
        self.state.apply(record)
        self._events.send(record)
        for tell in tuple(self.listeners):
            tell(record)
        self.purse.hear(event)
        answered(event, self._questions.on_ask, self.answer_egress, self.interrupt)

    @property
    def branch(self) -> str:
        return self.state.mirror

    async def snapshot(self, about: str = "Work before a fork") -> str:
        """Bring home what is inside at this moment, also while a turn runs; its commit.

        Raises `SandboxError`, `SyncError`.
        """
        _, place = self._equipped
        await place.ready()
        finished = await place.sync(self.state, about)
        if not self.busy:  # the sync after the turn tells of it otherwise
            self.emit(SyncStarted())
            self.emit(finished)
        if finished.problem is not None:
            raise SyncError(finished.problem.message, finished.problem.hint)
        return finished.commit

    @property
    def busy(self) -> bool:
        return self._turn is not None and not self._turn.done()

    @property
    def last_text(self) -> str:
        """What the model said last in the newest turn."""
        return last_text(self.state.history.messages)

    def status(self) -> Status:
        return status_of(self.state)

    async def standing(self) -> str:
        """Where the work is: `synced`, `ahead N`, `failed (why)`; asks inside when it is up."""
        return await self._equipped[1].standing() if self.state.seeded else "nothing to sync"

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

    def sync(self, about: str = "Work of an interrupted turn") -> AsyncGenerator[Record]:
        """Bring home what is only inside, and yield the records of it."""
        return self._run(lambda: self._sync(about))

    async def between(self) -> AsyncGenerator[Record]:
        """Yield what happens while no turn runs; leave the iteration before the next `send`."""
        with self._journal.resting():
            async for record in self._events:
                yield record

    async def enter(self) -> ToolContext:
        """The sandbox, ready, for a front end's own programs (a benchmark's check, a shell).

        What is run there is no part of the conversation and does not cause a sync. Raises
        `SandboxError` and `SyncError`, as a turn would.
        """
        return await self._equipped[1].context(ToolCall("front-end", "", None), lambda _: None)

    async def visit(self, command: str) -> ToolContext:
        """The sandbox, ready, for a person's own program, whose work `sync` brings home.

        It is brought home later if this process dies before.
        """
        context = await self.enter()
        self.emit(Entered(command))
        self._used = True
        return context

    def run(self, command: str, script: str = "") -> AsyncGenerator[Record]:
        """Run a person's `command` inside and bring home what it changed; the model hears of it.

        `script` is what the shell is given where that is more.
        """
        return self._run(lambda: self._by_hand(command, script or command))

    def undo(self, turns: int = 1) -> AsyncGenerator[Record]:
        """Take the newest turns back: their messages, file changes and commits on the branch.

        What they had led to is kept for `redo`. Raises `UserError` when there are not so many.
        """
        if not 1 <= turns <= len(self.state.tips):
            count = len(self.state.tips)
            words = f"there are only {count} turns to undo" if count else "there is no turn to undo"
            raise UserError(words)
        return self._run(lambda: self._home.undo(turns))

    def redo(self) -> AsyncGenerator[Record]:
        """Take the newest undo back. Raises `UserError` when something was done since."""
        if not self.state.undone:
            raise UserError("there is nothing to redo")
        return self._run(self._home.redo)

    def settle(self, *, take: bool) -> AsyncGenerator[Record]:
        """What the last sync held back: take it along, or have git inside ignore it from now on."""
        return self._run(lambda: self._home.settle(take=take))

    def pull(self, name: str = "", *, dirty: bool = False) -> AsyncGenerator[Record]:
        """Merge the user's newer commits into the work inside: those of `name`, "" for HEAD.

        With `dirty` their uncommitted work comes along. What conflicts is left as a branch inside.
        """
        return self._run(lambda: self._home.pull(name, dirty=dirty))

    def answer_egress(self, identity: str, *, allow: bool, remember: bool = False) -> bool:
        """Answer an `EgressAsked`, for this once or for the session; False when it is over."""
        return self._equipped[1].answer_egress(identity, allow=allow, remember=remember)

    def allow_host(self, entry: str) -> None:
        """Have a host be reachable in this session: a person's word, never a model's.

        Raises `UserError` where that cannot be.
        """
        self._equipped[1].allow_host(entry)
        self.emit(HostAllowed(entry.strip()))

    def answer_user(self, identity: str, *, chosen: Sequence[str] = (), text: str = "") -> bool:
        """Answer a `UserAsked`; without options and words it is declined. False when it is over."""
        return self._questions.answer(identity, chosen, text)

    async def diff(self) -> str:
        """All changes since the start of the session, as a unified diff; empty before the first."""
        return await self._equipped[1].diff(self.state) if self.state.seeded else ""

    async def map(self, words: str = "", *, tokens: int = MAP_TOKENS) -> Chart:
        """What in the repository matters for these words, or for what was touched so far.

        Raises `SandboxError`, `ToolboxError`.
        """
        touched = () if words else tuple(self.state.seen.hashes)
        return await self._equipped[1].map(words, tokens=tokens, touched=touched, hidden=())

    def compact(self, focus: str = "") -> AsyncGenerator[Record]:
        """Have a summary take the place of all but the newest steps, with an eye on `focus`.

        The transcript is kept. Raises `UserError` when there is nothing to sum up.
        """

        async def summed() -> None:
            if not await self._running.summary(self._fitted().compact(focus)):
                raise UserError("there is nothing to sum up yet")

        return self._run(summed)

    def limits(self) -> list[Limit]:
        """What may be spent and done, level by level, and what of it was."""
        parts, _ = self._equipped
        turns, had = parts.allowed.turns, str(self.state.turn)
        steps = Limit("turn", name_of("steps"), str(parts.steps_max))
        counted = [] if turns is None else [Limit("session", "turns", str(turns), had)]
        return [*self.purse.limits(), *counted, steps]

    async def weigh(self) -> Weight:
        """What the model is sent next, part by part."""
        return await weight_of(self._fitted())

    def search(self, words: str, mask: Mask) -> list[Hit]:
        """Where all the words are in the transcript: all of it, what was undone included.

        What is shown of them went through `mask`.
        """
        records = read(self._journal.path)[0]
        children = conversations(self._journal.path, records)
        return passages(records, words.split(), children, mask)

    async def paths(self) -> Sequence[str]:
        """The files inside. Raises `SandboxError`, `ToolboxError`."""
        return await self._equipped[1].paths()

    @property
    def interruptible(self) -> bool:
        """Whether something runs that `interrupt` would end."""
        return self._running.active

    def change_model(self, model: str) -> None:
        """Have `model` answer from the next turn on. Raises `UserError` while one is running."""
        parts = self._idle()
        llm = parts.models(model) if parts.models else parts.llm
        self._parts = replace(parts, model=model, llm=llm)
        self.emit(ModelChanged(model))

    def choose(self, setting: Setting, value: str) -> None:
        """Have a setting of the models be another from the next turn on, in this session.

        Raises `UserError` while one is running.
        """
        parts = self._idle()
        chosen: dict[str, str] = {**self.state.chosen, setting: value}
        tuned = parts.tuned(parts.model, chosen) if parts.tuned else parts
        fitting = replace(tuned.fitting, learned=parts.fitting.learned)
        self._take(replace(tuned, allowed=parts.allowed, fitting=fitting))
        self.emit(Chosen(setting, value))

    def _idle(self) -> Parts:
        if self.busy:
            raise UserError("the agent is still busy", "wait, or interrupt it first")
        return self._equipped[0]

    def interrupt(self, why: GloveboxError | None = None) -> None:
        """End the running turn; what it did is kept and its history completed.

        With a reason the turn counts as failed by that.
        """
        self._running.interrupt(why)

    async def rest(self) -> bool:
        """Stop the sandbox until it is needed again; False where something still runs in it."""
        return not self.busy and await self._equipped[1].rest()

    def at_close(self, end: Callable[[], None]) -> None:
        """Have `end` called when the session is closed: for what lives beside it."""
        self._at_close.append(end)

    async def close(self) -> None:
        """Interrupt, stop the sandbox, close the journal. Files are kept. Safe to call twice."""
        if self._journal.closed:
            return
        self.interrupt()
        while self._at_close:
            self._at_close.pop()()
        if self._turn is not None:
            await asyncio.wait({self._turn})
        try:
            if self._place is not None:
                self._additions.end()
                await bounded(self._place.close(), CLOSE_SECONDS)
        except TimeoutError:
            text = f"the sandbox did not stop within {CLOSE_SECONDS:g} s"
            self.emit(Notice("warning", text, "what is in it is kept; `glovebox reap` clears up"))
        finally:
            self._journal.flush()
            self._journal.close()

    async def discard(self) -> None:
        """Close, and free everything the sandbox had; its work is on the branch or nowhere."""
        await self.close()
        await self._equipped[1].discard()

    @property
    def _equipped(self) -> tuple[Parts, Workplace]:
        assert self._parts is not None, "equip() comes first"
        assert self._place is not None
        return self._parts, self._place

    async def _run(self, job: Callable[[], Awaitable[None]]) -> AsyncGenerator[Record]:
        if self.busy:
            raise UserError("the agent is still busy", "wait, or interrupt it first")
        events = self._events
        self._turn = asyncio.create_task(self._work(job))
        try:
            async for record in events:
                yield record
        finally:
            self.interrupt()
            await self._turn

    async def _work(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            try:
                await job()
            finally:
                # A disk may take its time, and other sessions share this loop.
                await asyncio.to_thread(self._journal.flush)
        finally:
            self._events, events = Channel(), self._events
            events.close()

    async def _rounds(self, text: str) -> None:
        """A turn, what has to succeed after it, and the turns that this adds."""

        async def sync() -> bool:
            used = self._used
            if used:
                await self._sync(text)
            return used

        turns = self._turns_left
        with self.purse.opened("run"):
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

    async def _held(self, work: Callable[[], Coroutine[Any, Any, str]]) -> str:
        """Run a check so that it can be interrupted, and as long as there is time."""
        return await self._running.check(self.purse.within(work))

    async def _take_turn(self, text: str, by: By, *, looks: bool = False) -> bool:
        self.state.turn += 1
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

    async def _context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        context = await self._equipped[1].context(call, on_output)
        self._used = True
        state, run_task = self.state, self._equipped[0].run_task
        doing = partial(run_task, self) if run_task else run_nowhere
        own = replace(context, seen=state.seen, todo=state.todo, run_task=doing)
        return replace(own, ask_user=self._questions.ask)

    async def _by_hand(self, command: str, script: str) -> None:
        parts, place = self._equipped
        work = run_by_hand(
            command, script, tools=parts.tools, context=self._context, emit=self.emit
        )
        try:
            await self._running.alone(work)
        except SandboxLost:
            await place.lost()
            raise
        finally:
            if self.state.behind:
                await self._sync(f"Run {one_line(command)}")

    def lend(self) -> tuple[Parts, Workplace, Path]:
        """What a child of this session works with, and the folder for its records."""
        return (*self._equipped, self._journal.path.parent)

    async def _sync(self, about: str) -> None:
        self._used = not await self._home.sync(about) and self._used
