"""The conversation as the sum of its events.

One fold serves the running turn and a journal that is read again, so that what is resumed is what
was. A history is well formed when every assistant message with calls is followed by all results.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.core.events import (
    AnyEvent,
    CallFinished,
    Mapped,
    MessageFinished,
    Redone,
    Told,
    TurnStarted,
    Undone,
)
from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)


class History:
    """Messages in order; `apply` takes every event and ignores what says nothing."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._turns: list[int] = []
        self._undone: list[tuple[list[int], list[Message]]] = []
        self._maps: list[tuple[int, tuple[str, ...]]] = []
        self._calls: tuple[ToolCall, ...] = ()
        self._results: dict[str, ToolResult] = {}

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages)

    @property
    def mapped(self) -> tuple[str, ...]:
        """The files in the maps that the conversation has."""
        return tuple(file for at, files in self._maps if at < len(self._messages) for file in files)

    @property
    def waiting(self) -> tuple[ToolCall, ...]:
        """Calls of the last reply that have no result yet."""
        return tuple(call for call in self._calls if call.id not in self._results)

    def apply(self, event: AnyEvent) -> None:
        match event:
            case TurnStarted(message=message):
                self._undone.clear()
                self._turns.append(len(self._messages))
                self._messages.append(message)
            case Told(text=text):
                self._messages.append(UserMessage(text))
            case MessageFinished(message=message):
                self._messages.append(message)
                self._calls, self._results = message.calls, {}
                self._close()
            case CallFinished(result=result):
                self._results[result.call_id] = result
                self._close()
            case Mapped(text=text, files=files) if self._messages and not self.waiting:
                self._maps = [(at, old) for at, old in self._maps if at < len(self._messages)]
                self._maps.append((len(self._messages) - 1, files))
                self._messages[-1] = _with(self._messages[-1], text)
            case Undone(turns=turns):
                self._undo(turns)
            case Redone() if self._undone:
                begun, messages = self._undone.pop()
                self._turns += begun
                self._messages += messages
            case _:
                pass

    def _undo(self, turns: int) -> None:
        begun = self._turns[-turns:]
        start = begun[0] if begun else 0
        self._undone.append((begun, self._messages[start:]))
        del self._turns[-turns:], self._messages[start:]

    def _close(self) -> None:
        if self._calls and not self.waiting:
            results = tuple(self._results[call.id] for call in self._calls)
            self._messages.append(ToolMessage(results))
            self._calls, self._results = (), {}


def _with(message: Message, text: str) -> Message:
    """A message that was not sent yet, with something added at its end."""
    match message:
        case UserMessage():
            return replace(message, text=f"{message.text}\n\n{text}")
        case ToolMessage(results=(*before, last)):
            longer = replace(last, text=f"{last.text}\n\n{text}")
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
