"""What a strict provider checks before it answers. Returns the first thing that is wrong."""

from __future__ import annotations

import json
import re
from typing import Any

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ROLES = {"system", "user", "assistant", "tool"}


def history_problem(request: dict[str, Any]) -> str:
    """Why the request is not legal, or ""."""
    messages = request.get("messages") or []
    if not messages:
        return "no messages"
    known: set[str] = set()
    expected: list[str] = []
    before = ""
    for at, message in enumerate(messages):
        role = message.get("role")
        if role not in _ROLES:
            return f"message {at} has the role {role!r}"
        if role == "tool":
            if not expected or message.get("tool_call_id") != expected.pop(0):
                return f"message {at} answers a call that was not made, or out of order"
            if not isinstance(message.get("content"), str) or not message["content"].strip():
                return f"message {at}: a tool's content must be text"
            before = role
            continue
        if expected:
            return f"call {expected[0]} has no result before message {at}"
        if role == "system" and at:
            return f"message {at}: a system message that is not the first"
        if role == before or (role == "assistant" and before not in ("user", "tool")):
            return f"message {at} ({role}) comes after one of {before or 'nobody'}"
        before = role
        if role == "assistant":
            if problem := _calls_problem(message, known):
                return f"message {at}: {problem}"
            expected = [c["id"] for c in message.get("tool_calls") or []]
        elif _blank(message.get("content")):
            return f"message {at} ({role}) is empty"
    if expected:
        return f"call {expected[0]} has no result"
    return _tools_problem(request.get("tools"))


def _blank(content: Any) -> bool:
    """Whether there is nothing to read, or a part of it is nothing."""
    if isinstance(content, list):
        texts = [part.get("text", "x") for part in content]
        return not texts or not all(text.strip() for text in texts)
    return not (content or "").strip()


def _calls_problem(message: dict[str, Any], known: set[str]) -> str:
    calls = message.get("tool_calls")
    if calls is None:
        blank = _blank(message.get("content"))
        return "an assistant message with neither text nor calls" if blank else ""
    if not calls:
        return "an empty list of tool calls"
    for call in calls:
        if not call.get("id") or call["id"] in known:
            return f"the call id {call.get('id')!r} is empty or used twice"
        known.add(call["id"])
        if not _NAME.fullmatch(call.get("function", {}).get("name") or ""):
            return "a call without a name, or with one that is not allowed"
        try:
            arguments = json.loads(call["function"].get("arguments"))
        except (TypeError, ValueError):
            return f"the arguments of {call['id']} are not JSON"
        if not isinstance(arguments, dict):
            return f"the arguments of {call['id']} are not an object"
    return ""


def _tools_problem(tools: Any) -> str:
    if tools is None:
        return ""
    if not tools:
        return "an empty list of tools"
    names = [tool.get("function", {}).get("name") for tool in tools]
    if not all(_NAME.fullmatch(name or "") for name in names) or len(set(names)) < len(names):
        return "tools without a proper name, or of the same name"
    return ""
