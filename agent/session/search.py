"""Words found in what was said and done: the whole of a session, what was taken back included.

What its children said counts as said in the turn in which they worked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallStarted,
    Entered,
    Event,
    MessageFinished,
    Ran,
    Record,
    Renamed,
    Steered,
    TurnStarted,
    Worded,
)
from agent.core.text import one_line
from agent.session.children import Conversations

HITS_MAX = 3
_BEFORE, _CHARS = 30, 100


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where one of the words is; `text` is one line around it, `who` said it."""

    turn: int
    text: str
    who: str = ""


_NONE: Conversations = {}
Mask = Callable[[Any], Any]
"""Takes what opens doors out of a text, or out of all texts of a structure."""


def _as_it_is(value: Any) -> Any:
    return value


def search(
    records: Sequence[Record],
    words: Sequence[str],
    children: Conversations = _NONE,
    mask: Mask = _as_it_is,
) -> list[Hit] | None:
    """Where the words are, those with the most of them first; None unless each is somewhere.

    Case does not count. What is shown of a place went through `mask`.
    """
    wanted = [word.casefold() for word in words if word]
    missing = set(wanted)
    hits: list[tuple[int, Hit]] = []
    for turn, _, event in _told(records, children):
        folded = _text(event).casefold()
        there = [word for word in wanted if word in folded]
        if there:
            missing -= set(there)
            hits.append((len(there), Hit(turn, _around(_text(event, mask), there[0]))))
    if missing:
        return None
    hits.sort(key=lambda one: -one[0])
    return [hit for _, hit in hits[:HITS_MAX]]


def passages(
    records: Sequence[Record],
    words: Sequence[str],
    children: Conversations = _NONE,
    mask: Mask = _as_it_is,
) -> list[Hit]:
    """Every place that has all the words in it, oldest first. Case does not count.

    What is shown of it went through `mask`.
    """
    wanted = [word.casefold() for word in words if word]
    hits: list[Hit] = []
    for turn, who, event in _told(records, children):
        folded = _text(event).casefold()
        if wanted and all(word in folded for word in wanted):
            hits.append(Hit(turn, _around(_text(event, mask), wanted[0]), who))
    return hits


def _told(
    records: Sequence[Record], children: Conversations
) -> Iterator[tuple[int, str, AnyEvent]]:
    """In which turn who said what; a child's words come where it began."""
    for at, record in enumerate(records):
        yield record.turn, _WHO.get(type(record.event), ""), record.event
        for one in children.get(at, ()):
            yield record.turn, "child", one.event


_WHO: dict[type[Event], str] = {
    TurnStarted: "you",
    Steered: "you",
    MessageFinished: "model",
    CallStarted: "call",
    CallFinished: "result",
    Entered: "your shell",
    Ran: "your shell",
}


def _text(event: AnyEvent, mask: Mask = _as_it_is) -> str:
    if isinstance(event, CallStarted) and event.call.arguments is not None:
        # Before they are written as JSON, where no form of a key looks like itself.
        return msgspec.json.encode(mask(event.call.arguments)).decode()
    return mask(_words(event))


def _words(event: AnyEvent) -> str:
    match event:
        case TurnStarted(message=message) | Steered(message=message):
            return message.text
        case MessageFinished(message=message):
            return f"{message.text}\n{message.reasoning}" if message.reasoning else message.text
        case CallStarted(call=call):
            return call.raw
        case CallFinished(result=result):
            return result.text
        case Ran(text=text):
            return text
        case Entered(command=command):
            return command
        case Worded(message=message):
            return message
        case Renamed(name=name):
            return name
        case _:
            return ""


def _around(text: str, word: str) -> str:
    # Folding may change how long a text is; then the place is near and not exact. A word that is
    # not there any more was in what is masked.
    at = text.casefold().find(word)
    start = max(0, min(at, len(text)) - _BEFORE)
    return ("…" if start else "") + one_line(text[start : start + 2 * _CHARS], _CHARS)
