"""What a session is, as the sum of its records. Reading a journal and living it are one code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from agent.core.events import (
    Adopted,
    AnyEvent,
    Attached,
    CallFinished,
    CallStarted,
    Charged,
    Chosen,
    Compacted,
    EgressAnswered,
    EgressAsked,
    Entered,
    Forked,
    HostAllowed,
    MessageFinished,
    ModelChanged,
    Pulled,
    Record,
    Redone,
    Renamed,
    SandboxState,
    Seeded,
    SessionStarted,
    Setting,
    StepFinished,
    StepStarted,
    SyncFinished,
    SyncStarted,
    TurnFinished,
    TurnStarted,
    Undone,
    UserAnswered,
    UserAsked,
    Worded,
)
from agent.core.messages import Usage
from agent.loop.history import History
from agent.session.ledger import Ledger
from agent.tools.base import Item, Seen, Todo

SyncState = Literal["none", "synced", "ahead", "failed"]


@dataclass(frozen=True, slots=True)
class Taken:
    """Turns that were undone, for a redo: the tip they had led to, and what was before each."""

    was: str
    tips: list[str]
    todo_before: list[tuple[Item, ...]]
    todo: tuple[Item, ...]


class State:
    """Folded from records by `apply`; holds no resource."""

    def __init__(self) -> None:
        self.started: SessionStarted | None = None
        self.name = ""
        self.model = ""
        self.chosen: dict[Setting, str] = {}
        self.forked: Forked | None = None
        self.history = History()
        self.seen = Seen()
        self.todo = Todo()
        self.todo_before: list[tuple[Item, ...]] = []
        self.turn = 0
        # What is open: a turn, a step of it by number, calls of that step, a sync.
        self.open = False
        self.step = 0
        self.running: set[str] = set()
        self.syncing = False
        self.usage = Usage()
        self.inherited = Usage()  # of the sessions that this one was forked from
        self.spent = Usage()
        self.ledger = Ledger()
        self.steps = 0
        self.sandbox_ref = ""
        self.sandbox: str = "none"
        self.network = ""
        self.seeded: Seeded | None = None
        self.planted = False  # a fork knows where its work began before it has a sandbox
        self.branch = ""
        self.branch_value = ""
        self.tips: list[str] = []
        self.undone: list[Taken] = []
        self.asked: dict[str, EgressAsked] = {}
        self.allowed_hosts: list[str] = []
        self.questions: dict[str, UserAsked] = {}
        self.sync: SyncState = "none"
        self.problem = ""

    def apply(self, record: Record) -> None:
        self.turn = record.turn
        self.history.apply(record.event)
        self.ledger.apply(record.event)
        self._apply(record.event)

    def _apply(self, event: AnyEvent) -> None:
        match event:
            case SessionStarted(model=model):
                self.started = event
                self.model = model
            case ModelChanged(model=model):
                self.model = model
            case Chosen(setting=setting, value=value):
                self.chosen[setting] = value
            case HostAllowed(entry=entry):
                self.allowed_hosts.append(entry)
            case TurnStarted():
                self.undone.clear()
                self.open = True
                self.spent, self.steps = Usage(), 0
                self.tips.append(self.last)
                self.todo_before.append(self.todo.items)
            case MessageFinished(message=message):
                self.spent += message.usage
            case StepStarted(step=step):
                self.step = step
            case StepFinished():
                self.step = 0
                self.steps += 1
            case CallStarted(call=call):
                self.running.add(call.id)
            case TurnFinished(usage=usage):
                self.open = False
                self.usage += usage
            case CallFinished(result=result):
                self.running.discard(result.call_id)
                self.seen.note(result.details)
                self.todo.note(result.details)
                self.sync = "ahead"
            case Entered():
                self.sync = "ahead"
            case Pulled(commit=commit, conflicts=conflicts):
                self.undone.clear()
                self.sync = "ahead" if commit and not conflicts else self.sync
            case Attached(details=details):
                self.seen.note(details)
            case Compacted(usage=usage) if self.open:
                self.spent += usage
            case Compacted(usage=usage):
                self.usage += usage
            case Charged(usage=usage, guessed=False) if self.open:
                self.spent += usage
            case Worded(usage=usage) | Charged(usage=usage, guessed=False):
                self.usage += usage
            case SandboxState(state=state, ref=ref):
                self.sandbox = state
                self.sandbox_ref = ref or self.sandbox_ref
                self.network = event.network if state == "ready" else self.network
            case Seeded():
                self.seeded, self.planted = event, True
            case Forked():
                self._fork(event)
            case Adopted(project=project, number=number) if self.started is not None:
                self.started = replace(self.started, project=project, number=number)
                # Where the work was put there says nothing about here; the next sync puts it anew.
                self.branch = ""
                self.sync = "ahead" if self.seeded is not None else self.sync
            case Renamed(name=name):
                self.name = name
            case SyncStarted():
                self.sync, self.syncing = "ahead", True
            case SyncFinished(branch=branch, commit=commit, problem=problem):
                self.syncing = False
                self.sync = "failed" if problem else "synced"
                self.problem = problem.message if problem else ""
                if commit and not problem:
                    self.branch, self.branch_value = branch, commit
            case EgressAsked(id=identity):
                self.asked[identity] = event
            case EgressAnswered(id=identity, host=host, port=port):
                self.asked.pop(identity, None)
                if event.allowed and event.remember:
                    self.allowed_hosts.append(f"{host}:{port}")
            case Undone(was=was, commit=commit, turns=turns):
                self.branch_value = commit
                self.sync = "synced" if commit else "none"
                taken = Taken(was, self.tips[-turns:], self.todo_before[-turns:], self.todo.items)
                self.undone.append(taken)
                del self.tips[-turns:], self.todo_before[-turns:]
                if taken.todo_before:
                    self.todo.items = taken.todo_before[0]
            case Redone(commit=commit) if self.undone:
                back = self.undone.pop()
                self.branch_value = commit
                self.sync = "synced" if commit else "none"
                self.tips += back.tips
                self.todo_before += back.todo_before
                self.todo.items = back.todo
            case UserAsked(id=identity):
                self.questions[identity] = event
            case UserAnswered(id=identity):
                self.questions.pop(identity, None)
            case _:
                pass

    def _fork(self, event: Forked) -> None:
        """Keep the conversation and where the work began; all the rest was the other's."""
        self.forked, self.name, self.planted = event, "", False
        self.inherited, self.usage = self.inherited + self.usage, Usage()
        self.sandbox, self.sandbox_ref, self.network = "none", "", ""
        self.branch, self.branch_value = "", ""
        self.sync, self.problem = "none", ""
        self.undone.clear()
        self.allowed_hosts.clear()

    @property
    def behind(self) -> bool:
        """Whether the sandbox may hold work that has not reached the branch."""
        return self.seeded is not None and self.sync in ("ahead", "failed")

    @property
    def used(self) -> Usage:
        """What it took until now, the running turn included."""
        return self.usage + self.spent if self.open else self.usage

    @property
    def mirror(self) -> str:
        """The branch that has the work, or will have it."""
        assert self.started is not None
        return self.branch or f"glovebox/{self.started.number}"

    @property
    def last(self) -> str:
        """The newest commit known at both ends: the last mirrored one, else what was seeded."""
        return self.branch_value or (self.seeded.tip if self.seeded else "")
