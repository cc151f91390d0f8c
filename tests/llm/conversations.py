"""Well-formed conversations, and streams cut anywhere, for hypothesis."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from agent.core.messages import (
    AssistantMessage,
    Message,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)

# Lone surrogates included: a model can write them as escapes, a file name can hold them.
texts = st.text(st.characters(), max_size=12)
names = st.sampled_from(["bash", "read", "functions.bash", "", "a" * 90, "läs"])
objects = st.dictionaries(texts, st.one_of(texts, st.integers(), st.none()), max_size=3)


@st.composite
def calls(draw: st.DrawFn, at: int) -> ToolCall:
    if draw(st.booleans()):
        return ToolCall(f"call_{at}", draw(names), None, draw(texts))
    arguments = draw(objects)
    raw = draw(st.sampled_from(["", json.dumps(arguments), json.dumps(arguments, indent=1)]))
    return ToolCall(f"call_{at}", draw(names), arguments, raw)


images = st.sampled_from([(), (), ("data:image/png;base64,AA==",)])


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """A history as the loop keeps it: every call has its result."""
    messages: list[Message] = []
    made = 0
    for _ in range(draw(st.integers(1, 4))):
        messages.append(UserMessage(draw(texts), draw(images)))
        for _ in range(draw(st.integers(0, 3))):
            own = tuple(draw(calls(made + n)) for n in range(draw(st.integers(0, 3))))
            made += len(own)
            messages.append(AssistantMessage(draw(texts), calls=own))
            if own:
                results = [
                    ToolResult(c.id, draw(st.booleans()), draw(texts), images=draw(images))
                    for c in own
                ]
                messages.append(ToolMessage(tuple(results)))
    return tuple(messages)


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """`text` cut anywhere, empty pieces included."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def streams(draw: st.DrawFn, text: str, reasoning: str, arguments: tuple[str, ...]) -> list[Any]:
    """Chunks that carry a reply with one call per text of arguments, cut anywhere."""
    deltas: list[dict[str, Any]] = [{"reasoning_content": p} for p in draw(pieces(reasoning))]
    deltas += [{"content": p} for p in draw(pieces(text))]
    for index, raw in enumerate(arguments):
        head = {"index": index, "id": f"c{index}", "function": {"name": "bash", "arguments": ""}}
        deltas.append({"tool_calls": [head]})
        for piece in draw(pieces(raw)):
            fragment: dict[str, Any] = {"index": index, "function": {"arguments": piece}}
            # Some servers repeat the id and the name in every fragment.
            if draw(st.booleans()):
                fragment["id"] = f"c{index}"
                fragment["function"]["name"] = "bash"
            deltas.append({"tool_calls": [fragment]})
    return [{"choices": [{"delta": delta, "finish_reason": None}]} for delta in deltas]
