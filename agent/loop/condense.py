"""A conversation as text for whoever sums it up: all that was said, of outputs what fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.core.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agent.core.text import model_safe
from agent.loop import wording
from agent.loop.history import Aside
from agent.loop.tokens import BYTES

_OUTPUT_CHARS = (2_000, 600, 150, 0)
"""Of each output and each call's arguments, the first of these with which all of it fits."""


def condensed(messages: Sequence[Message | Aside], *, summary: str = "", tokens: int) -> str:
    """`messages` in about `tokens` tokens; what they went on from is in `summary`.

    When nothing else helps, the middle is left out.
    """
    room = tokens * BYTES
    text = ""
    for most in _OUTPUT_CHARS:
        text = "\n\n".join(_said(messages, summary, most))
        if len(text.encode("utf-8", "surrogatepass")) <= room:
            return text
    return cut(text, max(1_000, room))


def cut(text: str, most: int) -> str:
    """`text` with its middle left out when it has more than `most` characters."""
    if len(text) <= most:
        return text
    tail = most // 2
    head = most - tail
    return f"{text[:head]}\n{wording.words_cut(len(text) - most)}\n{text[-tail:] if tail else ''}"


def _said(messages: Sequence[Message | Aside], summary: str, most: int) -> Iterator[str]:
    if summary:
        yield f"## Earlier\n{summary}"
    for message in messages:
        match message:
            case UserMessage():
                yield f"## User\n{model_safe(message.text)}"
            case AssistantMessage():
                calls = (_call(call, most) for call in message.calls)
                yield "\n".join(["## Agent", *([message.text] if message.text else []), *calls])
            case Aside():
                yield f"## The user ran `{model_safe(message.files[0])}`\n{cut(message.text, most)}"
            case ToolMessage():
                for result in message.results:
                    how = "Result" if result.ok else "Failed"
                    yield f"## {how}\n{cut(result.text, most)}".rstrip()


def _call(call: ToolCall, most: int) -> str:
    arguments = call.arguments or {"arguments": call.raw}
    given = "\n".join(f"{name}: {cut(str(value), most)}" for name, value in arguments.items())
    return f"Call of {call.name}\n{given}"
