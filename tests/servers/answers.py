"""What the scripted provider can answer, and how that looks on the wire."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

_ids = itertools.count(1)


@dataclass(frozen=True)
class Call:
    """A tool call as a model writes it: `arguments` is text and need not be JSON."""

    name: str
    arguments: str
    id: str

    def wire(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True)
class Reply:
    """An assistant message, `piece` characters per chunk when it is streamed.

    `stream=False` answers whole although a stream was asked for. `cut_after` and `stall_after`
    count server-sent events; 0 for `stall_after` means not even headers. A finish of "" leaves
    the finish reason out, `usage=None` the usage, and `done=False` the final `[DONE]`.
    `between` are lines that stand between the events, in turn: comments, or what nobody can read.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    finish: str | None = None
    usage: dict[str, Any] | None = field(
        default_factory=lambda: {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 40},
        }
    )
    piece: int = 7
    stream: bool | None = None
    cut_after: int | None = None
    stall_after: int | None = None
    done: bool = True
    between: tuple[str, ...] = ()

    def completion(self, request: dict[str, Any]) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.calls:
            message["tool_calls"] = [call.wire() for call in self.calls]
        choice = {"index": 0, "message": message, "finish_reason": self._finish()}
        usage = {} if self.usage is None else {"usage": self.usage}
        return {**_envelope(request, "chat.completion"), "choices": [choice], **usage}

    def events(self, request: dict[str, Any]) -> Iterator[str]:
        """The payloads of the server-sent events."""
        envelope = _envelope(request, "chat.completion.chunk")
        for delta in self._deltas():
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield json.dumps({**envelope, "choices": [choice]})
        if self.finish != "":
            choice = {"index": 0, "delta": {}, "finish_reason": self._finish()}
            yield json.dumps({**envelope, "choices": [choice]})
        if self.usage is not None and (request.get("stream_options") or {}).get("include_usage"):
            yield json.dumps({**envelope, "choices": [], "usage": self.usage})
        if self.done:
            yield "[DONE]"

    def _finish(self) -> str:
        return self.finish or ("tool_calls" if self.calls else "stop")

    def _deltas(self) -> Iterator[dict[str, Any]]:
        yield {"role": "assistant", "content": ""}
        for piece in _pieces(self.reasoning, self.piece):
            yield {"reasoning_content": piece}
        for piece in _pieces(self.text, self.piece):
            yield {"content": piece}
        for index, call in enumerate(self.calls):
            head = call.wire() | {"function": {"name": call.name, "arguments": ""}}
            yield {"tool_calls": [{"index": index, **head}]}
            for piece in _pieces(call.arguments, self.piece):
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


@dataclass(frozen=True)
class Fault:
    """An answer with an error status, in the provider's own JSON form."""

    status: int
    message: str = "scripted failure"
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def payload(self) -> bytes:
        error = {"message": self.message, "type": "error", "code": self.code or None}
        return json.dumps({"error": error}).encode()


@dataclass(frozen=True)
class Raw:
    """Bytes that need not be what the wire asks for."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True)
class Drop:
    """The connection is reset before anything is answered."""


Answer = Reply | Fault | Raw | Drop
Script = Callable[[dict[str, Any]], Answer] | Sequence[Answer]


def say(text: str, **options: Any) -> Reply:
    """A reply of text alone."""
    return Reply(text=text, **options)


def call(name: str, arguments: dict[str, Any] | str, *, id: str | None = None) -> Call:
    """A tool call with its arguments as an object, or as the text the model wrote."""
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Call(name, raw, f"call_{next(_ids)}" if id is None else id)


def reply(text: str = "", *calls: Call, **options: Any) -> Reply:
    """A reply of text and any number of calls."""
    return Reply(text=text, calls=calls, **options)


def _envelope(request: dict[str, Any], kind: str) -> dict[str, Any]:
    model = request.get("model", "")
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": model}


def _pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))
