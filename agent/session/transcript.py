"""A conversation as one document: taken from a journal, and made a session's beginning again.

What is read from a file is somebody else's: it has to be well formed, and of it nothing is taken
but words, calls with their results, and the ids of commits.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from agent.core.errors import UserError
from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallStarted,
    ChildStarted,
    Forked,
    MessageFinished,
    Ran,
    Record,
    Redone,
    Seeded,
    SessionStarted,
    Steered,
    StepFinished,
    StepStarted,
    Told,
    TurnFinished,
    TurnStarted,
    Undone,
)
from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)
from agent.core.text import one_line
from agent.loop.history import History
from agent.session.children import Conversations
from agent.session.fork import folded, record_of
from agent.tools.base import Item

TRANSCRIPT_MAX_BYTES = 200_000_000
MESSAGES_MAX = 100_000
_NAME_CHARS = 200
_SPOKEN = (TurnStarted, Steered, Told, MessageFinished, CallFinished, Ran, Undone, Redone)
_NONE: Conversations = {}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]*={0,2}")
_HASH = re.compile(r"[0-9a-f]{64}")


VERSION = 2
"""Of the document; 1 had no children."""


class Child(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The conversation of a child that worked on `task` within the call `call_id`.

    `number` is that of the session it was, when it had a sandbox of its own; else 0.
    """

    call_id: str
    task: str
    messages: tuple[Message, ...]
    model: str = ""
    number: int = 0


class Transcript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The messages of a session as it stands, what was compacted away among them.

    `base`, `start` and `tip` are the user's commit, what went inside, and what last came home; ""
    where there is none. A later version adds fields and raises `version`.
    """

    messages: tuple[Message, ...]
    format: Literal["glovebox-transcript"] = "glovebox-transcript"
    version: int = VERSION
    id: str = ""
    number: int = 0
    name: str = ""
    model: str = ""
    base: str = ""
    start: str = ""
    tip: str = ""
    usage: Usage = Usage()
    children: tuple[Child, ...] = ()


def is_image(text: str) -> bool:
    """Whether `text` is a whole picture, as messages carry it."""
    return _IMAGE.fullmatch(text) is not None


def transcript_of(records: Sequence[Record], children: Conversations = _NONE) -> Transcript:
    """What a journal tells; of calls that have no result yet nothing."""
    state = folded(records)
    messages = _messages(records)
    started, seeded = state.started, state.seeded
    called = [c.id for m in messages if isinstance(m, AssistantMessage) for c in m.calls]
    known = {one.call_id: one for one in _children(records, children)}
    return Transcript(
        messages=messages,
        id=started.id if started else "",
        number=started.number if started else 0,
        name=state.name,
        model=started.model if started else "",
        base=seeded.base if seeded else "",
        start=seeded.tip if seeded else "",
        tip=state.last,
        usage=state.inherited + state.usage,
        children=tuple(known[call] for call in called if call in known),
    )


def _messages(records: Sequence[Record]) -> tuple[Message, ...]:
    history = History()
    for record in records:
        if isinstance(record.event, _SPOKEN):
            history.apply(record.event)
    return history.messages[:-1] if history.waiting else history.messages


def _children(records: Sequence[Record], children: Conversations) -> Iterator[Child]:
    """What there is of each; of two for calls with one id the first was taken back."""
    for at, own in sorted(children.items()):
        event = records[at].event
        if isinstance(event, ChildStarted) and own:
            begun = own[0].event
            started = begun if isinstance(begun, SessionStarted) else None
            number = started.number if started and event.records.startswith("session ") else 0
            model = started.model if started else ""
            yield Child(event.call_id, event.task, _messages(own), model, number)


def decoded(data: bytes, name: str) -> Transcript:
    """The transcript in `data`. Raises `UserError` saying what of the file `name` does not fit."""
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format == "glovebox-transcript" and head.version > VERSION:
            raise _refused(name, "it was written by a newer glovebox", "update this one")
        found = msgspec.json.decode(data, type=Transcript)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _refused(name, str(error)) from error
    for commit in (found.base, found.start, found.tip):
        if commit and not _COMMIT.fullmatch(commit):
            raise _refused(name, f"`{one_line(commit, 60)}` is no commit id")
    try:
        _check(found.messages)
    except ValueError as error:
        raise _refused(name, str(error)) from error
    return found


class _Head(msgspec.Struct, frozen=True):
    format: str = ""
    version: int = 0


def _refused(name: str, why: str, hint: str = "") -> UserError:
    usual = "`glovebox export N --transcript FILE.json` writes one"
    return UserError(
        f"`{name}` is no transcript that can be read: {one_line(why, 300)}", hint or usual
    )


def _check(messages: Sequence[Message]) -> None:
    """Raise `ValueError` for a conversation that could not have been."""
    if len(messages) > MESSAGES_MAX:
        raise ValueError(f"it has more than {MESSAGES_MAX} messages")
    before: Message | None = None
    used: set[str] = set()
    for place, message in enumerate(messages, 1):
        open_calls = [c.id for c in before.calls] if isinstance(before, AssistantMessage) else []
        if isinstance(message, ToolMessage):
            if not open_calls or [result.call_id for result in message.results] != open_calls:
                raise ValueError(f"message {place} has not the results of the calls before it")
        elif open_calls:
            raise ValueError(f"the calls before message {place} have no results")
        elif isinstance(message, AssistantMessage):
            if before is None or isinstance(before, AssistantMessage):
                raise ValueError(f"message {place} answers nothing")
            _check_calls(place, message, used)
        _check_images(place, message)
        before = message
    if isinstance(before, AssistantMessage) and before.calls:
        raise ValueError("the last calls have no results")


def _check_calls(place: int, message: AssistantMessage, used: set[str]) -> None:
    for call in message.calls:
        if not 0 < len(call.id) <= _NAME_CHARS or not 0 < len(call.name) <= _NAME_CHARS:
            raise ValueError(f"a call of message {place} has no usable id or name")
    ids = {call.id for call in message.calls}
    if len(ids) != len(message.calls):
        raise ValueError(f"two calls of message {place} have one id")
    used |= ids


def _check_images(place: int, message: Message) -> None:
    images: tuple[str, ...] = ()
    if isinstance(message, UserMessage):
        images = message.images
    elif isinstance(message, ToolMessage):
        images = tuple(image for result in message.results for image in result.images)
    if not all(map(is_image, images)):
        raise ValueError(f"an image of message {place} is not in the file itself")


def records_of(found: Transcript, begins: SessionStarted, *, files: bool) -> list[Record]:
    """The journal of a session that begins with this conversation, with its `files` or without."""
    records = [record_of(0, begins)]
    if files:
        records.append(record_of(0, Seeded(found.base, found.start)))
    turn = 0
    for event in _events(found.messages):
        turn += isinstance(event, TurnStarted)
        records.append(record_of(turn, event))
    tip = found.tip if files else ""
    return [*records, record_of(turn, Forked("", found.number, turn, tip))]


def _events(messages: Sequence[Message]) -> Iterator[AnyEvent]:
    step, turning = 0, False
    for message in messages:
        match message:
            case UserMessage():
                if turning:
                    yield TurnFinished("done", Usage(), step)
                step, turning = 0, True
                yield TurnStarted(replace(message, at=message.at or round(time.time(), 3)))
            case AssistantMessage(calls=calls):
                step += 1
                yield StepStarted(step)
                yield MessageFinished(replace(message, usage=Usage()))
                if not calls:
                    yield StepFinished(step, Usage())
                for call in calls:
                    yield CallStarted(call, one_line(call.name))
            case ToolMessage(results=results):
                for result in results:
                    yield CallFinished(_harmless(result), 0.0)
                yield StepFinished(step, Usage())
    if turning:
        yield TurnFinished("done", Usage(), step)


def _harmless(result: ToolResult) -> ToolResult:
    """A result with what a session remembers of it, where that has its form, and nothing else."""
    details = result.details
    kept = _seen(details)
    several = details.get("files")
    if isinstance(several, list):
        kept["files"] = [_seen(one) for one in several if isinstance(one, dict)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if "todo" in details:
        try:
            msgspec.convert(details["todo"], tuple[Item, ...])
            kept["todo"] = details["todo"]
        except msgspec.ValidationError:
            kept.pop("todo", None)
    return replace(result, details=kept)


def _seen(details: dict[str, Any]) -> dict[str, Any]:
    path, digest = details.get("path"), details.get("hash")
    if isinstance(path, str) and isinstance(digest, str) and _HASH.fullmatch(digest):
        return {"path": path, "hash": digest}
    return {}
