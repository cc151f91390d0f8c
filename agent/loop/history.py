"""The conversation as the sum of its events.

One fold serves the running turn and a journal that is read again, so that what is resumed is what
was. A history is well formed when every assistant message with calls is followed by all results.

Nothing that was said is forgotten here: what was pruned or compacted is only left out of
`messages`, which is what the model is sent, and an undo of that brings it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from agent.core.events import (
    AnyEvent,
    Attached,
    CallFinished,
    Compacted,
    Mapped,
    MessageFinished,
    Noted,
    Pruned,
    Ran,
    Redone,
    Steered,
    Told,
    TurnStarted,
    Undone,
)
from agent.core.limits import RUNS_MAX_CHARS
from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)
from agent.loop import wording

Kind = Literal["map", "notes", "files", "commands"]


@dataclass(frozen=True, slots=True)
class Aside:
    """What was added to message `at` besides what that says itself.

    A person's `commands` come before their message does: until then there is none at their place.
    """

    kind: Kind
    at: int
    text: str
    files: tuple[str, ...]
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fit:
    """What was left out when there were `at` messages."""

    at: int
    how: Pruned | Compacted


@dataclass(frozen=True, slots=True)
class _Begun:
    """Where a turn began, and whether with a person's words."""

    at: int
    asked: bool


@dataclass(frozen=True, slots=True)
class _Taken:
    """Turns that were undone, as a redo needs them."""

    turns: list[_Begun]
    messages: list[Message]
    asides: list[Aside]
    kept: int
    fits: list[Fit]
    steered: list[int]


class History:
    """Messages in order; `apply` takes every event and ignores what says nothing."""

    def __init__(self) -> None:
        self._all: list[Message] = []
        self._turns: list[_Begun] = []
        self._steered: list[int] = []  # where a person spoke while a turn was under way
        self._asides: list[Aside] = []
        self._fits: list[Fit] = []
        self._undone: list[_Taken] = []
        self._calls: tuple[ToolCall, ...] = ()
        self._results: dict[str, ToolResult] = {}
        self._answered: tuple[AssistantMessage, int, tuple[Fit, ...]] | None = None
        self._sent: tuple[Message, ...] | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the model is sent: everything that was said, less what was left out."""
        if self._sent is None:
            self._sent = self._view(len(self._all), self._fits)
        return self._sent

    @property
    def everything(self) -> tuple[Message, ...]:
        """All that was said, left out or not, and nothing that was added to it."""
        return tuple(self._all)

    def told(self, begin: int, end: int) -> Iterator[Message | Aside]:
        """Those of `everything` from `begin` to before `end`, and before each what a person ran."""
        for at in range(begin, end):
            yield from (a for a in self.asides(at, at + 1) if a.kind == "commands")
            yield self._all[at]

    @property
    def first(self) -> int:
        """The place in `everything` from which on messages are sent as such."""
        return _first(self._all, self._fits)

    @property
    def summary(self) -> str:
        """What stands for the messages before `first`."""
        texts = [fit.how.text for fit in self._fits if isinstance(fit.how, Compacted)]
        return texts[-1] if texts else ""

    @property
    def answered(self) -> tuple[AssistantMessage, tuple[Message, ...]] | None:
        """The newest reply whose tokens were counted, and the messages it was asked with."""
        if self._answered is None:
            return None
        reply, end, fits = self._answered
        return reply, self._view(end, fits)

    @property
    def mapped(self) -> tuple[str, ...]:
        """The files in the maps that the conversation has."""
        first = self.first
        return tuple(f for a in self._asides if a.kind == "map" and a.at >= first for f in a.files)

    @property
    def noted(self) -> tuple[str, ...]:
        """The files whose notes the conversation has; a summary repeats them."""
        return tuple(file for a in self._asides if a.kind == "notes" for file in a.files)

    @property
    def waiting(self) -> tuple[ToolCall, ...]:
        """Calls of the last reply that have no result yet."""
        return tuple(call for call in self._calls if call.id not in self._results)

    def asides(self, begin: int = 0, end: int | None = None) -> tuple[Aside, ...]:
        """What was added to the messages from `begin` to before `end`."""
        stop = len(self._all) if end is None else end
        return tuple(a for a in self._asides if begin <= a.at < stop)

    def said(self, end: int | None = None) -> tuple[str, ...]:
        """The user's own words in the messages before `end`, with nothing added."""
        stop = len(self._all) if end is None else end
        places = sorted([*(turn.at for turn in self._turns if turn.asked), *self._steered])
        own = (self._all[at] for at in places if at < stop)
        return tuple(message.text for message in own if isinstance(message, UserMessage))

    def apply(self, event: AnyEvent) -> None:
        match event:
            case TurnStarted(message=message, by=by):
                self._turns.append(_Begun(len(self._all), by == "person"))
                self._add(message)
            case Steered(message=message):
                self._steered.append(len(self._all))
                self._add(message)
            case Told(text=text):
                self._add(UserMessage(text))
            case MessageFinished(message=message):
                if message.usage.prompt:
                    self._answered = message, len(self._all), tuple(self._fits)
                self._add(message)
                self._calls, self._results = message.calls, {}
                self._close()
            case CallFinished(result=result):
                self._results[result.call_id] = result
                self._close()
            case Mapped(text=text, files=files):
                self._put_aside("map", text, files)
            case Noted(text=text, files=files):
                self._put_aside("notes", text, files)
            case Attached(text=text, files=files, images=images):
                self._put_aside("files", text, files, images)
            case Ran(command=command, text=text):
                self._put_run(command, text)
            case Pruned() | Compacted() if self._all and not self.waiting:
                self._fits.append(Fit(len(self._all), event))
                self._sent = None
            case Undone(turns=turns):
                self._undo(turns)
            case Redone() if self._undone:
                self._redo(self._undone.pop())
            case _:
                pass

    def _add(self, message: Message) -> None:
        """Go on with `message`: what was undone before has no place any more."""
        self._undone.clear()
        self._all.append(message)
        self._sent = None

    def _put_aside(
        self, kind: Kind, text: str, files: tuple[str, ...], images: tuple[str, ...] = ()
    ) -> None:
        if self._all and not self.waiting:
            self._asides.append(Aside(kind, len(self._all) - 1, text, files, images))
            self._sent = None

    def _put_run(self, command: str, text: str) -> None:
        """Have it told with the next message; what is too much of these is named alone."""
        at, said = len(self._all), wording.ran(command, text)
        room = RUNS_MAX_CHARS - len(said)
        for place in range(len(self._asides) - 1, -1, -1):
            before = self._asides[place]
            if before.at < at:
                break
            room -= len(before.text)
            if room < 0:
                named = wording.run_left_out(before.files[0])
                self._asides[place] = Aside("commands", at, named, before.files)
        self._asides.append(Aside("commands", at, said, (command,)))

    def _undo(self, turns: int) -> None:
        begun = self._turns[-turns:]
        start = begun[0].at if begun else 0
        self._undone.append(
            _Taken(
                begun,
                self._all[start:],
                [a for a in self._asides if not _before(a, start)],
                sum(_before(a, start) for a in self._asides),
                [fit for fit in self._fits if fit.at > start],
                [at for at in self._steered if at > start],
            )
        )
        del self._turns[-turns:], self._all[start:]
        self._asides = [a for a in self._asides if _before(a, start)]
        self._fits = [fit for fit in self._fits if fit.at <= start]
        self._steered = [at for at in self._steered if at <= start]
        if self._answered is not None and self._answered[1] >= start:
            self._answered = None
        self._calls, self._results = (), {}
        self._sent = None

    def _redo(self, taken: _Taken) -> None:
        # What a person ran since has gone with the files that it was about.
        del self._asides[taken.kept :]
        self._turns += taken.turns
        self._all += taken.messages
        self._asides += taken.asides
        self._fits += taken.fits
        self._steered += taken.steered
        self._sent = None

    def _close(self) -> None:
        if self._calls and not self.waiting:
            results = tuple(self._results[call.id] for call in self._calls)
            self._add(ToolMessage(results))
            self._calls, self._results = (), {}

    def _view(self, end: int, fits: Sequence[Fit]) -> tuple[Message, ...]:
        first = _first(self._all, fits)
        head = [UserMessage(f.how.text) for f in fits if isinstance(f.how, Compacted)][-1:]
        kept = self._all[first:end]
        for at in range(min(end, max((fit.at for fit in fits), default=0)) - first):
            kept[at] = _uncounted(kept[at])
        for fit in fits:
            if isinstance(fit.how, Pruned):
                for at in range(min(fit.at, end) - first):
                    kept[at] = _less(kept[at], fit.how.texts)
        for aside in self._asides:
            if first <= aside.at < end:
                kept[aside.at - first] = _with(kept[aside.at - first], aside)
        unseen = {at for f in fits if isinstance(f.how, Pruned) for at in f.how.images}
        for at in unseen & set(range(first, end)):
            kept[at - first] = _unseen(kept[at - first])
        return (*head, *kept)


def _before(aside: Aside, start: int) -> bool:
    """Whether it was there before the message `start` was."""
    return aside.at < start or (aside.at == start and aside.kind == "commands")


def _first(messages: Sequence[Message], fits: Sequence[Fit]) -> int:
    """Where what is kept begins: with at least one message, and never with results alone."""
    first = 0
    for fit in fits:
        if isinstance(fit.how, Compacted):
            first = max(0, fit.at - max(fit.how.kept, 1))
            while first > 0 and isinstance(messages[first], ToolMessage):
                first -= 1
    return first


def _uncounted(message: Message) -> Message:
    """`message` without the count of a request that was another than the next one will be."""
    if isinstance(message, AssistantMessage) and message.usage.prompt:
        return replace(message, usage=Usage())
    return message


def _less(message: Message, texts: Mapping[str, str]) -> Message:
    """`message` with the results that were left out replaced."""
    if not isinstance(message, ToolMessage) or texts.keys().isdisjoint(
        result.call_id for result in message.results
    ):
        return message
    return ToolMessage(tuple(_stub(result, texts) for result in message.results))


def _stub(result: ToolResult, texts: Mapping[str, str]) -> ToolResult:
    text = texts.get(result.call_id)
    return result if text is None else replace(result, text=text, images=())


def _unseen(message: Message) -> Message:
    """`message` with a line in the place of its images."""
    if not isinstance(message, UserMessage) or not message.images:
        return message
    text = f"{message.text}\n\n{wording.images_left_out(len(message.images))}"
    return replace(message, text=text, images=())


def _with(message: Message, aside: Aside) -> Message:
    """`message` with something added at its end."""
    match message:
        case UserMessage():
            longer = f"{message.text}\n\n{aside.text}"
            return replace(message, text=longer, images=(*message.images, *aside.images))
        case ToolMessage(results=(*before, last)):
            longer = replace(last, text=f"{last.text}\n\n{aside.text}")
            return replace(message, results=(*before, longer))
        case _:
            return message


def last_text(messages: tuple[Message, ...]) -> str:
    """What the assistant said last in the newest turn; empty when it said nothing."""
    for message in reversed(messages):
        if isinstance(message, UserMessage):
            return ""
        if isinstance(message, AssistantMessage) and message.text:
            return message.text
    return ""
