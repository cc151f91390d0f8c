"""A loop without a sandbox: tools that are plain functions, a history folded from the events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from agent.core.events import AnyEvent, TextDelta, TurnStarted
from agent.core.messages import AssistantMessage, Message, ToolCall, ToolResult, UserMessage
from agent.llm.protocol import Llm, OnDelta, Request
from agent.loop.history import History
from agent.loop.turn import Turn
from agent.testing.model import Line, Scripted
from agent.tools.base import Seen, Tool, ToolContext, Toolset


class Words(msgspec.Struct, forbid_unknown_fields=True):
    """Arguments of the test tools."""

    text: str = ""
    times: int = 1


async def _echo(arguments: Words, context: ToolContext) -> ToolResult:
    return ToolResult(context.call_id, ok=True, text=arguments.text * arguments.times)


async def _broken(arguments: Words, context: ToolContext) -> ToolResult:
    raise ZeroDivisionError("division by zero")


class Hanging:
    """A tool that says something and then waits until it is cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = False

    async def run(self, arguments: Words, context: ToolContext) -> ToolResult:
        context.on_output("half of it\n")
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise AssertionError


class Meeting:
    """A tool whose runs wait for each other: it only ends when `size` of them run at once."""

    def __init__(self, size: int) -> None:
        self._barrier = asyncio.Barrier(size)

    async def run(self, arguments: Words, context: ToolContext) -> ToolResult:
        await self._barrier.wait()
        return ToolResult(context.call_id, ok=True, text="met")


class Stalling:
    """Says something, then never ends."""

    def __init__(self) -> None:
        self.stalled = asyncio.Event()

    async def ask(self, request: Request, on_delta: OnDelta) -> AssistantMessage:
        on_delta(TextDelta("I was saying"))
        self.stalled.set()
        await asyncio.Event().wait()
        raise AssertionError


def tool(name: str, run: Callable[..., Any], *, reads_only: bool = False) -> Tool:
    return Tool(name, f"The {name} tool.", Words, run, reads_only, lambda a: f"{name} {a.text}")


ECHO = tool("echo", _echo)
LOOK = tool("look", _echo, reads_only=True)
BROKEN = tool("broken", _broken)


def call(name: str, identity: str = "", **arguments: Any) -> ToolCall:
    return ToolCall(identity or f"id-{name}", name, arguments)


def reply(text: str, *calls: ToolCall) -> AssistantMessage:
    return AssistantMessage(text=text, calls=calls, stop="calls" if calls else "done")


class Rig:
    """One turn and what came of it."""

    def __init__(
        self, lines: Sequence[Line], *tools: Tool, llm: Llm | None = None, steps: int = 20
    ) -> None:
        self.model = Scripted(lines)
        self.events: list[AnyEvent] = []
        self.history = History()
        self.turn = Turn(
            llm=llm or self.model,
            model="scripted",
            system="You are a test.",
            schemas=(),
            tools=Toolset(tools or (ECHO, LOOK, BROKEN)),
            context=self._context,
            history=self._messages,
            emit=self.emit,
            steps_max=steps,
        )
        self.emit(TurnStarted(UserMessage("go")))

    def emit(self, event: AnyEvent) -> None:
        self.events.append(event)
        self.history.apply(event)

    async def _messages(self) -> tuple[Message, ...]:
        return self.history.messages

    async def _context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        nothing = cast("Any", None)
        return ToolContext(nothing, call.id, on_output, Seen())

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]
