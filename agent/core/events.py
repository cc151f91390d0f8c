"""Everything a front end can learn, as one tagged union.

Events come in nested pairs; every started has its finished, also on failure and interrupt:

    TurnStarted
      StepStarted
        TextDelta* ReasoningDelta*   MessageFinished
        CallStarted  CallOutput*  CallFinished      (calls of one step may overlap)
      StepFinished
    TurnFinished
    SyncStarted  SyncFinished

`SandboxState`, `Notice` and the pair `EgressAsked`, `EgressAnswered` may come at any time; the pair
`UserAsked`, `UserAnswered` lies within a call. Journal and `--json` carry `Record`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from agent.core.messages import AssistantMessage, ToolCall, ToolResult, Usage, UserMessage

RECORD_VERSION = 1

Level = Literal["info", "warning", "error"]
Outcome = Literal["done", "interrupted", "failed", "limit"]
Setting = Literal["effort", "weak_model", "editor_model"]


class Problem(msgspec.Struct, frozen=True):
    """An error as data: `kind` is the exception's class name."""

    kind: str
    message: str
    hint: str = ""


class Event(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of every event; the JSON tag `type` is the class name."""


class SessionStarted(Event, frozen=True, tag=True):
    """First record of a journal: which session, which repository, which model.

    `base` is the commit it begins at when that is not what the user had.
    """

    id: str
    number: int
    project: str
    model: str
    sandbox: str
    network: str
    base: str = ""


class Forked(Event, frozen=True, tag=True):
    """What is before this is another session's, up to its turn `turn`; what follows is this one's.

    `tip` is the commit its files were at, "" when it had none; `ref` its sandbox, where that is to
    be copied with what runs in it. `session` is "" for a conversation that was read from a file.
    """

    session: str
    number: int
    turn: int
    tip: str = ""
    ref: str = ""


class Adopted(Event, frozen=True, tag=True):
    """The session belongs to another clone of its repository now, with this number there."""

    project: str
    number: int


class Renamed(Event, frozen=True, tag=True):
    """A person gave the session a name; "" takes it away."""

    name: str


class TurnStarted(Event, frozen=True, tag=True):
    """A user message was accepted; the agent is busy until `TurnFinished`.

    `by` is who wrote it: a person, or glovebox about a check that failed.
    """

    message: UserMessage
    by: Literal["person", "check"] = "person"


class TurnFinished(Event, frozen=True, tag=True):
    """The agent is idle again. `problem` is set when `outcome` is failed or limit.

    `seconds` and `sandbox_seconds` are what the session has used since that was told last.
    """

    outcome: Outcome
    usage: Usage
    steps: int
    problem: Problem | None = None
    seconds: float = 0.0
    sandbox_seconds: float = 0.0


class StepStarted(Event, frozen=True, tag=True):
    """A model request is about to be sent."""

    step: int


class StepFinished(Event, frozen=True, tag=True):
    """The reply arrived and all its calls have results."""

    step: int
    usage: Usage


class TextDelta(Event, frozen=True, tag=True):
    """A piece of the reply, as it streams."""

    text: str


class ReasoningDelta(Event, frozen=True, tag=True):
    """A piece of the model's reasoning, where the provider shows it."""

    text: str


class MessageFinished(Event, frozen=True, tag=True):
    """The whole reply. Also sent for a reply that was cut, with what had arrived."""

    message: AssistantMessage


class CallStarted(Event, frozen=True, tag=True):
    """A tool call begins; `title` is one line for people."""

    call: ToolCall
    title: str


class CallOutput(Event, frozen=True, tag=True):
    """Live output of a running call. Not part of the journal: the result has what counts."""

    call_id: str
    text: str


class CallFinished(Event, frozen=True, tag=True):
    """The one result of a call, and how long it took."""

    result: ToolResult
    seconds: float


class SandboxState(Event, frozen=True, tag=True):
    """The sandbox is being made, can be used, or is gone. `ref` finds it again.

    `network` is the policy that holds when it had to become another than the session's.
    """

    state: Literal["creating", "ready", "lost", "closed"]
    backend: str
    ref: str = ""
    detail: str = ""
    network: str = ""


class Seeded(Event, frozen=True, tag=True):
    """The repository is inside. Ids are commits; `left_out` names what was not carried and why.

    `included` are ignored files that were carried because `.gloveboxinclude` names them.
    """

    base: str
    tip: str
    left_out: tuple[str, ...] = ()
    included: tuple[str, ...] = ()


class SyncStarted(Event, frozen=True, tag=True):
    """The agent is idle; its work is being committed inside and carried out."""


class SyncFinished(Event, frozen=True, tag=True):
    """`commit` is the verified tip of `branch`, or `problem` says why it did not move.

    `branch` is "" as long as there was nothing to bring home. `notes` is what a person should know:
    a branch that had to take another name, files that stayed inside. `held` are new files that stay
    there until somebody has git ignore them or takes them along.
    """

    branch: str
    commit: str = ""
    files: int = 0
    added: int = 0
    removed: int = 0
    problem: Problem | None = None
    notes: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


class Entered(Event, frozen=True, tag=True):
    """A person's own program runs in the sandbox: until the next sync its work is inside only."""

    command: str


class Ran(Event, frozen=True, tag=True):
    """A person's own command, begun by `Entered` in a conversation, has ended.

    The model is told `text` with the next message. `exit_code` is None when it was interrupted.
    """

    command: str
    text: str
    exit_code: int | None = None
    seconds: float = 0.0


class Undone(Event, frozen=True, tag=True):
    """The last turns were taken back: their messages, and their changes, whose old tip is `was`."""

    was: str
    commit: str
    notes: tuple[str, ...] = ()
    turns: int = 1


class Redone(Event, frozen=True, tag=True):
    """What was undone last is back. `was` is the tip of what was inside meanwhile."""

    was: str
    commit: str
    notes: tuple[str, ...] = ()


class Mapped(Event, frozen=True, tag=True):
    """The model was given a map of the repository, with what was sent next; `files` are in it."""

    text: str
    files: tuple[str, ...] = ()


class Noted(Event, frozen=True, tag=True):
    """The model was given the repository's notes in `files`, with what was sent next."""

    text: str
    files: tuple[str, ...] = ()


class Attached(Event, frozen=True, tag=True):
    """What the user's message mentions was added to it; `details` are those of reading it."""

    text: str
    files: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    details: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class Pruned(Event, frozen=True, tag=True):
    """Old results are left out of what the model is sent: by call, what stands in their place.

    So are the images of the user's messages at the places `images` of the conversation. The
    transcript keeps it all. `before` and `after` are tokens of the next request, estimated.
    """

    texts: dict[str, str]
    before: int = 0
    after: int = 0
    images: tuple[int, ...] = ()


class Compacted(Event, frozen=True, tag=True):
    """`text` stands for all but the last `kept` messages in what the model is sent.

    The transcript keeps them. `files` are those that were open, with the hash of what was seen;
    `model` has written the summary in it, which took `usage`.
    """

    text: str
    kept: int
    files: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    model: str = ""
    usage: Usage = Usage()
    before: int = 0
    after: int = 0


class ModelChanged(Event, frozen=True, tag=True):
    """From the next turn on `model` answers."""

    model: str


class Chosen(Event, frozen=True, tag=True):
    """From the next turn on a setting has this value in the session; "" is for none."""

    setting: Setting
    value: str


class HostAllowed(Event, frozen=True, tag=True):
    """A person allowed `entry`, as it would stand in `allow_hosts`, for the whole session."""

    entry: str


class Steered(Event, frozen=True, tag=True):
    """A person said something while the turn was under way; the next request has it."""

    message: UserMessage


class Told(Event, frozen=True, tag=True):
    """Glovebox itself said something to the model, where the user would speak, and goes on.

    After a reply that was cut or empty, or when something has to be mended before the turn ends.
    """

    text: str


class Pulled(Event, frozen=True, tag=True):
    """Commits of the user's are inside: merged, or with `conflicts` as `branch`, to be merged.

    `commit` is "" when inside had them all; `left_out` names what was not carried and why.
    """

    commit: str
    branch: str = ""
    conflicts: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class Worded(Event, frozen=True, tag=True):
    """The weak model has worded a commit; `usage` is what that took."""

    message: str
    usage: Usage


class ChildStarted(Event, frozen=True, tag=True):
    """A child works on the `task` of a call; it lies within that call.

    `records` names its journal: one in the session's folder, or that of `session ID`, a fork.
    """

    call_id: str
    task: str
    records: str


class ChildFinished(Event, frozen=True, tag=True):
    """It has ended. `usage` was charged, by `Charged`, while it worked."""

    call_id: str
    outcome: Outcome
    usage: Usage
    steps: int
    problem: Problem | None = None


class Charged(Event, frozen=True, tag=True):
    """Something was spent that no other record tells of; `what` names the budget, such as `task`.

    `guessed`: nobody has said what it took, so the most it can have been counts for the budget.
    """

    usage: Usage
    what: str = ""
    guessed: bool = False
    seconds: float = 0.0
    sandbox_seconds: float = 0.0


class Granted(Event, frozen=True, tag=True):
    """A limit on money was reached, and so many US dollars more were allowed."""

    money: float


class Checking(Event, frozen=True, tag=True):
    """A check has begun; `Checked` follows, or one without a `command` when it was ended."""

    kind: Literal["lint", "test", "until"]
    command: str


class Checked(Event, frozen=True, tag=True):
    """A command that is to succeed was run in the sandbox after a turn; `output` is its end.

    `exit_code` is None when it was ended at its deadline. This was run number `attempt`; a failure
    is told to the model, whose next turn begins then, as long as some are `left`.
    """

    kind: Literal["lint", "test", "until"]
    command: str
    exit_code: int | None
    output: str
    attempt: int
    left: int
    seconds: float = 0.0


class Notice(Event, frozen=True, tag=True):
    """Something a person should know; `hint` is the next step.

    With `until` something waits, and goes on by itself at that time, in seconds since the epoch.
    """

    level: Level
    text: str
    hint: str = ""
    until: float = 0.0


class EgressAsked(Event, frozen=True, tag=True):
    """Something inside wants to reach `host` (its canonical name) at `port`, and is waiting.

    A front end that can ask a person answers by `Session.answer_egress`; `EgressAnswered` follows
    in every case, also when nobody answers in time.
    """

    id: str
    host: str
    port: int


class EgressAnswered(Event, frozen=True, tag=True):
    """What was decided; with `remember` it holds for the whole session."""

    id: str
    host: str
    port: int
    allowed: bool
    remember: bool = False


class UserAsked(Event, frozen=True, tag=True):
    """The model wants to know something of the user, and its call waits for the answer.

    `options` are what can be chosen, several of them with `multiple`; words of one's own are an
    answer always. A front end that can ask a person answers by `Session.answer_user`;
    `UserAnswered` follows in every case.
    """

    id: str
    question: str
    options: tuple[str, ...] = ()
    multiple: bool = False


class UserAnswered(Event, frozen=True, tag=True):
    """How a question ended: `chosen` are options, `text` is in the person's own words.

    `policy`: nobody was there, and what had been declared for that case holds; `late`: nobody
    answered in time; `interrupted`: the call was ended.
    """

    id: str
    how: Literal["answered", "declined", "policy", "late", "interrupted"]
    chosen: tuple[str, ...] = ()
    text: str = ""


class Result(Event, frozen=True, tag=True):
    """The last record of a headless run, in every case: how it ended and where the work is."""

    exit_code: int
    text: str
    session: str = ""
    number: int = 0
    branch: str = ""
    commit: str = ""
    usage: Usage = Usage()
    problem: Problem | None = None


AnyEvent = (
    SessionStarted
    | Forked
    | Adopted
    | Renamed
    | TurnStarted
    | TurnFinished
    | StepStarted
    | StepFinished
    | TextDelta
    | ReasoningDelta
    | MessageFinished
    | CallStarted
    | CallOutput
    | CallFinished
    | SandboxState
    | Seeded
    | SyncStarted
    | SyncFinished
    | Entered
    | Ran
    | Undone
    | Redone
    | Mapped
    | Noted
    | Attached
    | Pruned
    | Compacted
    | ModelChanged
    | Chosen
    | HostAllowed
    | Steered
    | Told
    | Pulled
    | Worded
    | ChildStarted
    | ChildFinished
    | Charged
    | Granted
    | Checking
    | Checked
    | Notice
    | EgressAsked
    | EgressAnswered
    | UserAsked
    | UserAnswered
    | Result
)

PASSING = (TextDelta, ReasoningDelta, CallOutput)
"""Events that are shown and not journalled: a later event repeats what they carry."""


class Record(msgspec.Struct, frozen=True):
    """One line of a journal or of `--json`.

    `v` is the format version, `seq` counts journalled records from 0 without gaps (a passing event
    repeats the number before it), `at` is seconds since the epoch,
    `turn` counts user messages from 1 (0 before the first).
    """

    v: int
    seq: int
    at: float
    turn: int
    event: AnyEvent


def problem_of(error: BaseException) -> Problem:
    """The given exception as data, with its hint when it is one of ours."""
    return Problem(
        kind=type(error).__name__,
        message=getattr(error, "message", None) or str(error) or type(error).__name__,
        hint=getattr(error, "hint", ""),
    )
