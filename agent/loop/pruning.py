"""Which old results a conversation can go on without; the same choice for the same messages.

What a model has looked at stays in its sandbox and can be looked at again; that is why it goes
first, before anything that was said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from agent.core.messages import Message, ToolMessage, ToolResult, UserMessage
from agent.loop import wording
from agent.loop.tokens import IMAGE_TOKENS, MESSAGE_TOKENS, of_result, of_text

GAIN_LEAST = 60
"""Tokens that leaving a result out has to save for it to be worth it."""
_ENDING_CHARS = 300
_FILES = 5


def old_results(messages: Sequence[Message], *, save: int, keep: int) -> tuple[dict[str, str], int]:
    """What stands in the place of which results, oldest first, until `save` tokens are saved.

    The newest results stay: those of the last step, and of the steps before up to `keep` tokens in
    all. Also answers how much is saved.
    """
    texts: dict[str, str] = {}
    saved = 0
    for result in _old(messages, keep):
        if saved >= save:
            break
        short = stub(result)
        gain = gain_of(result, short)
        if gain >= GAIN_LEAST:
            texts[result.call_id] = short
            saved += gain
    return texts, saved


def old_images(messages: Sequence[Message]) -> tuple[list[int], int]:
    """The places of the user's messages before the newest that have images; what they take."""
    asked = [at for at, message in enumerate(messages) if isinstance(message, UserMessage)]
    places: list[int] = []
    saved = 0
    for at in asked[:-1]:
        message = messages[at]
        if isinstance(message, UserMessage) and message.images:
            places.append(at)
            saved += IMAGE_TOKENS * len(message.images)
    return places, saved


def large_results(messages: Sequence[Message], *, largest: int) -> dict[str, str]:
    """What stands in the place of results, however new, that have more tokens than `largest`."""
    return {
        result.call_id: stub(result, too_large=True)
        for message in messages
        if isinstance(message, ToolMessage)
        for result in message.results
        if of_result(result) > max(largest, GAIN_LEAST)
    }


def gain_of(result: ToolResult, text: str) -> int:
    """The tokens that are saved by `text` in the place of `result`."""
    return of_result(result) - of_text(text) - MESSAGE_TOKENS


def _old(messages: Sequence[Message], keep: int) -> Iterator[ToolResult]:
    """The results that are not new, oldest first."""
    found = [message for message in messages if isinstance(message, ToolMessage)]
    room = keep
    while found:
        room -= sum(map(of_result, found.pop().results))
        if room <= 0:
            break
    for message in found:
        yield from message.results


def stub(result: ToolResult, *, too_large: bool = False) -> str:
    """What a model is told in the place of a result: how long it was and how to see it again."""
    lines = [line for line in result.text.splitlines() if line.strip()]
    paths = tuple(dict.fromkeys(_paths(result.details))) if result.ok else ()
    ending = "" if paths else "\n".join(lines[-2:])[-_ENDING_CHARS:]
    return wording.left_out(
        size=len(result.text),
        images=len(result.images),
        files=paths[:_FILES],
        ending=ending,
        too_large=too_large,
    )


def _paths(details: Mapping[str, Any]) -> Iterator[str]:
    """The files that a result is about."""
    path, files = details.get("path"), details.get("files")
    if isinstance(path, str):
        yield path
    if isinstance(files, list):
        for item in cast("list[Any]", files):
            if isinstance(item, Mapping):
                yield from _paths(cast("Mapping[str, Any]", item))
