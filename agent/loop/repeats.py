"""A model that goes round in circles: it is told once, and then its turn is stopped.

What counts is a step as a whole, its calls and what came of them, so that waiting for something is
no circle as long as something comes of it. Circles of up to three steps are noticed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from agent.core.errors import BudgetError
from agent.core.events import AnyEvent, CallFinished, MessageFinished, Told
from agent.core.limits import REPEATS_STOP, REPEATS_TELL
from agent.core.messages import ToolCall, ToolResult
from agent.core.text import one_line
from agent.loop import wording

_LONGEST = 3
# What differs between two runs of one failure: how long it took, and where things lay in memory.
_PASSING = re.compile(r"\b\d+(\.\d+)? ?(ms|s|sec|secs|seconds?)\b|\b0x[0-9a-fA-F]+\b")


class Repeats:
    """The steps of one turn as far as they can be told apart. Events pass through `hear`."""

    def __init__(self, emit: Callable[[AnyEvent], None]) -> None:
        self._emit = emit
        self._calls: tuple[ToolCall, ...] = ()
        self._results: dict[str, ToolResult] = {}
        self._steps: list[int] = []
        self._told: set[int] = set()

    def hear(self, event: AnyEvent) -> None:
        """Take note of calls and results, and pass the event on."""
        match event:
            case MessageFinished(message=message):
                self._calls, self._results = message.calls, {}
            case CallFinished(result=result):
                self._results[result.call_id] = result
            case _:
                pass
        self._emit(event)

    def judge(self) -> None:
        """Look at a step: tell the model that it repeats itself, or raise `BudgetError`."""
        calls, self._calls = self._calls, ()
        if not calls or any(self._waited(call) for call in calls):
            self._steps.clear()
            return
        self._steps.append(hash(tuple(self._gist(call) for call in calls)))
        for length in range(1, _LONGEST + 1):
            times = self._times(length)
            circle = set(self._steps[-length:])
            if times >= REPEATS_STOP:
                raise BudgetError(
                    f"the turn stopped: the model did the same {times} times with the same result:"
                    f" {_shown(calls)}",
                    "say what it should do instead, or `go on` to let it try",
                )
            if times >= REPEATS_TELL and not circle <= self._told:
                self._told |= circle
                self._emit(Told(wording.repeating(times, length)))
                return

    def _times(self, length: int) -> int:
        """How often the last so many steps stand there, one after the other."""
        last = self._steps[-length:]
        at, times = len(self._steps), 0
        while at >= length and self._steps[at - length : at] == last:
            at, times = at - length, times + 1
        return times

    def _waited(self, call: ToolCall) -> bool:
        result = self._results.get(call.id)
        return result is not None and result.details.get("waited") is True

    def _gist(self, call: ToolCall) -> tuple[Any, ...]:
        result = self._results.get(call.id)
        arguments = msgspec.json.encode(call.arguments, order="deterministic")
        if result is None:
            return call.name, arguments
        text = result.text if result.ok else _PASSING.sub("", result.text)
        return call.name, arguments, call.raw if call.arguments is None else "", result.ok, text


def _shown(calls: tuple[ToolCall, ...]) -> str:
    named = (f"{c.name} {c.raw or msgspec.json.encode(c.arguments).decode()}" for c in calls)
    return one_line("; ".join(named), 200)
