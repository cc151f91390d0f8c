"""One way to ask, for all tests of the room: the reply and what came up on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.core.events import Notice, ReasoningDelta, TextDelta
from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from agent.llm.client import LitellmClient, close
from agent.llm.protocol import Delta, Llm, Request, ToolSchema
from agent.llm.retry import Retry

MODEL = "openai/test-model"
BASH = ToolSchema("bash", "Run a command.", {"type": "object", "properties": {}})


@dataclass
class Heard:
    """What came up before the reply was whole."""

    deltas: list[Delta] = field(default_factory=list)

    def __call__(self, delta: Delta) -> None:
        self.deltas.append(delta)

    @property
    def text(self) -> str:
        return "".join(d.text for d in self.deltas if isinstance(d, TextDelta))

    @property
    def reasoning(self) -> str:
        return "".join(d.text for d in self.deltas if isinstance(d, ReasoningDelta))

    @property
    def notices(self) -> list[str]:
        return [d.text for d in self.deltas if isinstance(d, Notice)]


@dataclass
class Naps:
    """A sleep that keeps a record instead of the time."""

    seconds: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def question(
    *messages: Message, model: str = MODEL, tools: Sequence[ToolSchema] = (BASH,)
) -> Request:
    """A request; by default with one user message."""
    return Request(model, "You are a test.", messages or (UserMessage("hi"),), tuple(tools))


def answered(reply: AssistantMessage, *, ok: bool = True) -> ToolMessage:
    """Results for all calls of `reply`."""
    return ToolMessage(tuple(ToolResult(c.id, ok, f"out of {c.id}") for c in reply.calls))


def calling(*ids: str, name: str = "bash") -> AssistantMessage:
    """An assistant message with one call per id."""
    return AssistantMessage("", calls=tuple(ToolCall(id, name, {"command": id}) for id in ids))


def without_waiting(naps: Naps | None = None) -> Retry:
    """The real policy without its pauses and its chance."""
    return Retry(sleep=naps or Naps(), jitter=lambda: 0.0)


async def ask(llm: Llm, request: Request | None = None) -> tuple[AssistantMessage, Heard]:
    """The reply and what was heard."""
    heard = Heard()
    return await llm.ask(request or question(), heard), heard


async def ask_provider(
    request: Request | None = None, **options: object
) -> tuple[AssistantMessage, Heard]:
    """Ask through a client of its own; nothing of it is left afterwards."""
    try:
        return await ask(LitellmClient(**({"retry": without_waiting()} | options)), request)
    finally:
        await close()
