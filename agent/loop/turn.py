"""The loop. Ask the model, run the calls it wants, until it wants none.

What it needs comes in one frozen record; what it does goes out as events, and the history it asks
with is what those events add up to. Every started event has its finished one, also when the turn
fails or is cancelled, and every call its one result, so the history is well formed at any moment
at which this code does not run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count

from agent.core.errors import BudgetError, LlmError
from agent.core.events import (
    AnyEvent,
    MessageFinished,
    StepFinished,
    StepStarted,
    TextDelta,
    Told,
)
from agent.core.messages import AssistantMessage, Message, StopReason, ToolCall, Usage
from agent.llm.protocol import Delta, Llm, Request, ToolSchema
from agent.loop.calls import run_calls
from agent.loop.repeats import Repeats
from agent.loop.replies import Patience
from agent.tools.base import ToolContext, Toolset


@dataclass(frozen=True, slots=True)
class Turn:
    """Everything one turn needs.

    `context` waits for the sandbox and gives a call what it may touch; `history` is the
    conversation so far, the new user message included, made to fit and asked before each request;
    `emit` must not block.
    """

    llm: Llm
    model: str
    system: str
    schemas: tuple[ToolSchema, ...]
    tools: Toolset
    context: Callable[[ToolCall, Callable[[str], None]], Awaitable[ToolContext]]
    history: Callable[[], Awaitable[tuple[Message, ...]]]
    emit: Callable[[AnyEvent], None]
    steps_max: int


async def run_turn(turn: Turn) -> int:
    """Run until the model is done and return the number of steps.

    Raises `LlmError`, `SandboxError` and `BudgetError` after closing what was open; a cancelled
    turn is left well formed.
    """
    repeats = Repeats(turn.emit)
    turn = replace(turn, emit=repeats.hear)
    patience = Patience()
    for step in count(1):
        if step > turn.steps_max:
            raise BudgetError(
                f"the turn stopped after {turn.steps_max} steps",
                "say `go on` to continue, or raise `steps` in the configuration",
            )
        if not await _step(turn, step, patience):
            return step
        repeats.judge()
    raise AssertionError("count() does not end")


async def _step(turn: Turn, step: int, patience: Patience) -> bool:
    turn.emit(StepStarted(step))
    usage = Usage(cost=None)
    try:
        reply = await _ask(turn)
        usage = reply.usage
        if reply.calls:
            cut = reply.stop == "length"
            await run_calls(turn.tools, turn.context, turn.emit, reply.calls, cut=cut)
        said = patience.after(reply)
        if said is not None:
            turn.emit(said)
        return bool(reply.calls) or isinstance(said, Told)
    finally:
        turn.emit(StepFinished(step, usage))


async def _ask(turn: Turn) -> AssistantMessage:
    heard: list[str] = []

    def on_delta(delta: Delta) -> None:
        if isinstance(delta, TextDelta):
            heard.append(delta.text)
        turn.emit(delta)

    def keep(text: str, stop: StopReason) -> None:
        if text:
            unknown = Usage(cost=None)
            cut = AssistantMessage(text=text, stop=stop, usage=unknown, model=turn.model)
            turn.emit(MessageFinished(cut))

    answered = False
    try:
        request = Request(turn.model, turn.system, await turn.history(), turn.schemas)
        reply = await turn.llm.ask(request, on_delta)
        answered = True
    except LlmError as error:
        answered = True
        keep(error.partial or "".join(heard), "cut")
        raise
    finally:
        if not answered:
            keep("".join(heard), "interrupted")
    turn.emit(MessageFinished(reply))
    return reply
