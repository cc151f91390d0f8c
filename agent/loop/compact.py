"""A summary in the place of a conversation, and beside it, word for word, what it must not lose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from msgspec.structs import replace

from agent.core.errors import LlmContextError, LlmDownError, LlmError
from agent.core.messages import AssistantMessage, Message, ToolMessage, Usage, UserMessage
from agent.llm.protocol import Llm, OnDelta, Request
from agent.loop import wording
from agent.loop.condense import condensed, cut
from agent.loop.history import Aside, History
from agent.loop.tokens import BYTES, of_message, of_request
from agent.tools.base import MARKS, Item

SUMMARY_MAX_CHARS = 24_000
FILES_MAX = 30
_SHARES = (0.6, 0.3)
"""Of the writer's window, for the transcript in the first and in the second try."""
_SHORT_CHARS = 200


@dataclass(frozen=True, slots=True)
class Writer:
    """A model that writes summaries."""

    llm: Llm
    model: str


@dataclass(frozen=True, slots=True)
class Pins:
    """What a summary must not lose: the list of what is to do, the open files with their hashes.

    The files are in the order in which they were last seen.
    """

    todo: tuple[Item, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written, by which model, and what all the tries took."""

    text: str
    model: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Summing:
    """Who writes summaries, and what they are told; `weak` is tried first."""

    prompt: str
    window: Callable[[str], Awaitable[int]]
    weak: Writer | None = None

    async def write(
        self,
        main: Writer,
        messages: Sequence[Message | Aside],
        *,
        earlier: str,
        focus: str,
        on_delta: OnDelta,
    ) -> Summary:
        """A summary of `messages`, which went on from the summary `earlier`; two tries.

        Raises `LlmError`: that of the second try, or of the first when another would be the same.
        """
        usage = Usage()
        writers = (self.weak or main, main)
        instead = ""
        for number in count():
            writer, share = writers[number], _SHARES[number]
            window = min([await self.window(one) for one in (writer.model, instead) if one])
            transcript = condensed(messages, summary=earlier, tokens=int(window * share))
            asked = UserMessage(wording.summary_question(transcript, focus))
            request = Request(writer.model, self.prompt, (asked,))
            try:
                reply = await writer.llm.ask(replace(request, size=of_request(request)), on_delta)
                usage += reply.usage
                return Summary(_text_of(reply, writer.model), writer.model, usage)
            except LlmError as error:
                if isinstance(error, LlmContextError):
                    instead = error.model
                again = self.weak is not None or isinstance(error, (LlmContextError, _Empty))
                if number + 1 == len(writers) or not again:
                    raise
        raise AssertionError("count() does not end")


class _Empty(LlmDownError):
    """An answer without a summary in it."""


def _text_of(reply: AssistantMessage, model: str) -> str:
    text = reply.text.strip()
    if not text:
        raise _Empty(f"`{model}` wrote no summary of the conversation", "try again, or `/undo`")
    return cut(text, SUMMARY_MAX_CHARS)


def kept_from(history: History, tokens: int) -> int:
    """Where to begin with what is kept whole: the last step, and before it what `tokens` hold.

    A place in all that was said, never one of results alone.
    """
    sent = history.messages[bool(history.summary) :]
    start = len(sent)
    size = 0
    for place in range(len(sent) - 1, -1, -1):
        size += of_message(sent[place])
        if isinstance(sent[place], ToolMessage):
            continue
        if start < len(sent) and size > tokens:
            break
        start = place
    return history.first + start


def composed(history: History, start: int, summary: str, pins: Pins, tokens: int) -> str:
    """What stands for the messages before `start`; each list of it has at most `tokens`."""
    room = tokens * BYTES
    return wording.compacted(
        summary=summary,
        said=_words(history.said(start), room),
        notes=_first([a.text for a in history.asides(0, start) if a.kind == "notes"], room),
        todo=[f"{MARKS[item.state]} {' '.join(item.text.split())}" for item in pins.todo],
        files=open_files(pins),
    )


def open_files(pins: Pins) -> list[str]:
    """The files last seen, the newest first."""
    return list(pins.files)[::-1][:FILES_MAX]


def _words(said: Sequence[str], room: int) -> list[str]:
    """The user's messages: the newest whole, of older ones as many as there is room for.

    Those that find none are cut short, and the oldest left out when there are too many of them.
    """
    words: list[str] = []
    for text in reversed(said):
        if words and len(text) > room:
            text = cut(text, _SHORT_CHARS)
        room -= len(text)
        if words and room < -SUMMARY_MAX_CHARS:
            break
        words.insert(0, text)
    return words


def _first(texts: Sequence[str], room: int) -> list[str]:
    """The first of `texts`, and of those after it as many as there is room for."""
    kept: list[str] = []
    for text in texts:
        room -= len(text)
        if kept and room < 0:
            break
        kept.append(text)
    return kept
