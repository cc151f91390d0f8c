"""A stream's pieces become one assistant message.

Knows the chat-completions wire and nothing of the library that carries it: chunks may be objects
or dicts. However the provider cuts its stream, the message is the same. A call always has an id,
unique in the conversation, and a name; what is missing is filled in here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from agent.core.events import ReasoningDelta, TextDelta
from agent.core.messages import AssistantMessage, Message, StopReason, ToolCall, Usage
from agent.llm.protocol import ToolSchema
from agent.llm.repair import repaired
from agent.llm.thoughts import Thoughts
from agent.llm.wire import valid_text
from agent.llm.written import take_calls

_DEPTH_MAX = 100

_STOPS: dict[str, StopReason] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filtered",
    "refusal": "filtered",
}


@dataclass(slots=True)
class _Slot:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list[str])
    signature: str = ""


class Assembler:
    """Takes chunks in order, then gives the message. `taken` are call ids used before."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._thoughts = Thoughts()
        self._slots: list[_Slot] = []
        self._by_index: dict[int, _Slot] = {}
        self._finish = ""
        self.size = 0
        """How many characters have arrived."""
        self.usage: Any = None
        """The provider's last usage record as it came, or None."""

    @property
    def text(self) -> str:
        """The reply so far."""
        return valid_text("".join(self._text))

    @property
    def empty(self) -> bool:
        """Whether nothing that belongs to a reply has arrived, not even a count of tokens."""
        return not (self._text or self._reasoning or self._slots or self.usage)

    def add(self, chunk: Any) -> Iterator[TextDelta | ReasoningDelta]:
        """Take one chunk; the deltas in it are to be shown now. Must be iterated to its end."""
        self.usage = _get(chunk, "usage") or self.usage
        for choice in (_get(chunk, "choices") or ())[:1]:
            self._finish = _get(choice, "finish_reason") or self._finish
            # A whole answer carries `message` where a streamed one carries `delta`.
            delta = _get(choice, "delta") or _get(choice, "message")
            for call in _get(delta, "tool_calls") or ():
                self._add_call(call)
            self._thoughts.add(_get(delta, "thinking_blocks"))
            besides = _get(delta, "provider_specific_fields")
            self._thoughts.add_signatures(_get(besides, "thought_signatures"))
            if reasoning := _get(delta, "reasoning_content"):
                self._reasoning.append(reasoning)
                self.size += len(reasoning)
                yield ReasoningDelta(valid_text(reasoning))
            if text := _get(delta, "content"):
                self._text.append(text)
                self.size += len(text)
                yield TextDelta(valid_text(text))

    def overhear(self, chunk: Any) -> None:
        """Take the reasoning details of a chunk as the provider sent it, or of a whole answer."""
        for choice in (_get(chunk, "choices") or ())[:1]:
            delta = _get(choice, "delta") or _get(choice, "message")
            besides = _get(delta, "provider_specific_fields")
            details = _get(delta, "reasoning_details") or _get(besides, "reasoning_details")
            if details:
                self._thoughts.add_details(details)
                self.size += len(str(details))

    def message(
        self, model: str, usage: Usage, tools: Sequence[ToolSchema] = ()
    ) -> AssistantMessage:
        """All that was added, as one message. Calls of `tools` are found in the text as well."""
        cut = _STOPS.get(self._finish) == "length"
        text, slots = self.text, list(self._slots)
        if not slots and not cut:
            text, written = take_calls(text, tools)
            slots = [_Slot(name=each.name, arguments=[each.raw]) for each in written]
        calls = tuple(self._calls(slots, cut))
        return AssistantMessage(
            text=text,
            reasoning=valid_text("".join(self._reasoning)),
            calls=calls,
            stop=_STOPS.get(self._finish, "calls" if calls else "done"),
            usage=usage,
            model=model,
            thoughts=self._thoughts.blocks(
                {
                    call.id: slot.signature
                    for call, slot in zip(calls, slots, strict=True)
                    if slot.signature
                }
            ),
        )

    def _add_call(self, fragment: Any) -> None:
        function = _get(fragment, "function")
        call_id, name = _get(fragment, "id") or "", _get(function, "name") or ""
        slot = self._slot(_get(fragment, "index"), call_id, name)
        slot.id = slot.id or call_id
        slot.name = slot.name or name
        besides = _get(fragment, "provider_specific_fields")
        slot.signature = _get(besides, "thought_signature") or slot.signature
        if arguments := _get(function, "arguments"):
            slot.arguments.append(
                arguments if isinstance(arguments, str) else json.dumps(arguments)
            )
            self.size += len(slot.arguments[-1])

    def _slot(self, index: int | None, call_id: str, name: str) -> _Slot:
        """Where a fragment belongs. Some servers number every call 0, or none: then ids decide."""
        known = self._by_index.get(index) if index is not None else self._last()
        another = known is not None and bool(name and call_id and known.id) and call_id != known.id
        if known is None or another:
            known = _Slot()
            self._slots.append(known)
            if index is not None:
                self._by_index[index] = known
        return known

    def _last(self) -> _Slot | None:
        return self._slots[-1] if self._slots else None

    def _calls(self, slots: list[_Slot], cut: bool) -> Iterator[ToolCall]:
        taken = set(self._taken)
        for slot in slots:
            call_id = slot.id if slot.id and slot.id not in taken else free_id(taken)
            taken.add(call_id)
            raw = valid_text("".join(slot.arguments))
            arguments = arguments_of(raw, cut=cut and slot is slots[-1])
            yield ToolCall(id=call_id, name=slot.name or "unknown", arguments=arguments, raw=raw)


def arguments_of(raw: str, *, cut: bool = False) -> dict[str, Any] | None:
    """What `raw` says, or can only mean. A call that was `cut` before its arguments has none."""
    arguments = None if cut and not raw.strip() else decode(raw)
    if arguments is None and (mended := repaired(raw, cut=cut)) is not None:
        return decode(json.dumps(mended))
    return arguments


def call_ids(messages: Iterable[Message]) -> set[str]:
    """The ids that calls have in a conversation."""
    return {
        call.id
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.calls
    }


def decode(raw: str) -> dict[str, Any] | None:
    """The JSON object in `raw`, {} for an empty text, None when it is neither."""
    if not raw.strip():
        return {}
    try:
        value = _valid(json.loads(raw, parse_constant=_refuse), depth=0)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _valid(value: Any, *, depth: int) -> Any:
    """`value` as it can be written again: json reads more than a journal or a provider takes."""
    if depth > _DEPTH_MAX:
        raise ValueError("nested too deeply")
    match value:
        case str():
            return valid_text(value)  # \ud800 is a fine escape
        case list():
            return [_valid(each, depth=depth + 1) for each in cast("list[Any]", value)]
        case dict():
            items = cast("dict[str, Any]", value).items()
            return {valid_text(name): _valid(each, depth=depth + 1) for name, each in items}
        case float() if math.isinf(value):
            raise ValueError("too large a number")
        case _:
            return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def free_id(taken: set[str]) -> str:
    """An id for a call that is not one of `taken`."""
    return next(name for n in range(1, len(taken) + 2) if (name := f"call_{n}") not in taken)


def tokens(usage: Any, cost: float | None) -> Usage:
    """A provider's usage record as ours; counts it does not give are 0."""
    details = _get(usage, "prompt_tokens_details")
    return Usage(
        prompt=_get(usage, "prompt_tokens") or 0,
        cached=_get(details, "cached_tokens") or 0,
        completion=_get(usage, "completion_tokens") or 0,
        cost=cost,
    )


def _get(thing: Any, name: str) -> Any:
    if isinstance(thing, dict):
        return cast("dict[str, Any]", thing).get(name)
    return getattr(thing, name, None)
