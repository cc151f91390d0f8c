"""Reasoning that a provider has signed: the model must have it back as it was, to go on from it.

Claude calls tools in the middle of its thoughts, and its provider refuses a conversation in which
those that led to the last calls are missing or are another model's. Gemini signs calls instead, or
a text, and refuses a call without the signature it had. OpenRouter has one form for all of them,
the reasoning details, and wants the whole list back. DeepSeek and Kimi want the plain text.

Each is a block of `AssistantMessage.thoughts`, and known by its `type`: those of Claude as they
come, `thought_signature` with the id of its `call` ("" for the text), `reasoning_details` with the
list as `json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from agent.core.messages import AssistantMessage, ToolMessage
from agent.llm.protocol import Request

_SIGNATURE, _DETAILS = "thought_signature", "reasoning_details"
_IN_ID = "__thought__"
"""In older journals an id of Gemini's has the signature of its call in it, after this."""
_GROW = ("text", "summary")
"""What of a detail comes in pieces."""
_WANT_TEXT = ("deepseek/", "moonshot/")


class Thoughts:
    """Puts blocks together from the pieces of a stream. One without a signature is left out."""

    def __init__(self) -> None:
        self._blocks: list[dict[str, str]] = []
        self._text: list[str] = []
        self._signatures: list[str] = []
        self._details: list[dict[str, Any]] = []

    def add(self, pieces: Any) -> None:
        """Take what a chunk carries; anything that is no list of blocks carries nothing."""
        for piece in _dicts(pieces):
            self._add(piece)

    def add_signatures(self, signatures: Any) -> None:
        """Take the signatures of a chunk, of whatever is in it."""
        found = cast("list[Any]", signatures) if isinstance(signatures, list) else []
        self._signatures += [one for one in found if isinstance(one, str) and one]

    def add_details(self, details: Any) -> None:
        """Take OpenRouter's details; the pieces of one, which follow each other, become one."""
        for piece in _dicts(details):
            last = self._details[-1] if self._details else {}
            grown = [key for key in _GROW if isinstance(piece.get(key), str)]
            if not _goes_on(last, piece):
                self._details.append(dict(piece))
                continue
            text = {key: f"{last.get(key) or ''}{piece[key]}" for key in grown}
            last.update({k: v for k, v in piece.items() if v is not None} | text)

    def _add(self, piece: dict[str, Any]) -> None:
        if piece.get("type") == "redacted_thinking":
            self._text.clear()
            if data := piece.get("data"):
                self._blocks.append({"type": "redacted_thinking", "data": str(data)})
            return
        self._text.append(str(piece.get("thinking") or ""))
        if signature := piece.get("signature"):
            text = "".join(self._text)
            self._text.clear()
            self._blocks.append({"type": "thinking", "thinking": text, "signature": str(signature)})

    def blocks(self, signed: dict[str, str]) -> tuple[dict[str, str], ...]:
        """The blocks that are whole, in order; `signed` are the signatures of calls by id."""
        blocks = list(self._blocks)
        if self._details:
            told = json.dumps(self._details, ensure_ascii=False, separators=(",", ":"))
            blocks.append({"type": _DETAILS, "json": told})
        others = [one for one in self._signatures if one not in signed.values()]
        of_text = {"": others[0]} if others else {}
        for call, signature in (of_text | signed).items():
            blocks.append({"type": _SIGNATURE, "call": call, "signature": signature})
        return tuple(blocks)


def _dicts(pieces: Any) -> Iterator[dict[str, Any]]:
    for piece in cast("list[Any]", pieces) if isinstance(pieces, list) else ():
        if isinstance(piece, dict):
            yield cast("dict[str, Any]", piece)


def _goes_on(last: dict[str, Any], piece: dict[str, Any]) -> bool:
    """Whether a detail is more of the one before, which is over when it is signed."""
    same = all(last.get(key) == piece.get(key) for key in ("type", "index"))
    return same and not last.get("signature") and any(k in piece for k in (*_GROW, "signature"))


def of_model(message: AssistantMessage, model: str) -> Sequence[dict[str, str]]:
    """The blocks that `model` wrote itself: another's signature means nothing to its provider."""
    return message.thoughts if message.model == model else ()


def fields_of(message: AssistantMessage, model: str) -> dict[str, Any]:
    """What a message carries of its thoughts on the wire, when it goes to `model`."""
    blocks = of_model(message, model)
    fields: dict[str, Any] = {}
    own = [dict(one) for one in blocks if one.get("type") not in (_SIGNATURE, _DETAILS)]
    if own:
        fields["thinking_blocks"] = own
    for one in blocks:
        if one.get("type") == _DETAILS and (details := _details(one.get("json", ""))):
            fields[_DETAILS] = details
    if signature := _signature(blocks, ""):
        fields["provider_specific_fields"] = {"thought_signatures": [signature]}
    if message.calls and message.reasoning and _wants_text(message, model):
        fields["provider_specific_fields"] = {"reasoning_content": message.reasoning}
    return fields


def _details(text: str) -> list[Any]:
    """The details in a block; none where somebody else wrote it, in a file that was read."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return cast("list[Any]", found) if isinstance(found, list) else []


def _wants_text(message: AssistantMessage, model: str) -> bool:
    return message.model == model and model.startswith(_WANT_TEXT)


def fields_of_call(message: AssistantMessage, model: str, call: str) -> dict[str, Any]:
    """What the call with this id carries besides, when it goes to `model`."""
    signature = _signature(of_model(message, model), call)
    if not signature and message.model == model:
        signature = call.partition(_IN_ID)[2]
    return {"provider_specific_fields": {_SIGNATURE: signature}} if signature else {}


def plain_id(call: str) -> str:
    """The id of a call as it is sent to anybody: some take no long one."""
    return call.partition(_IN_ID)[0] or call


def _signature(blocks: Sequence[dict[str, str]], call: str) -> str:
    found = (b for b in blocks if b.get("type") == _SIGNATURE and b.get("call") == call)
    return next((b.get("signature", "") for b in found), "")


def are_missing(request: Request) -> bool:
    """Whether the calls that are being answered were made without signed thoughts of this model."""
    match request.messages:
        case (*_, AssistantMessage() as reply, ToolMessage()):
            return not of_model(reply, request.model)
        case _:
            return False
