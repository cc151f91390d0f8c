"""What the text protocol itself says to a model. Held by a snapshot test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agent.llm.blocks import RESULT_MARK, Problem


def result(number: int, tool: str, text: str, *, ok: bool) -> str:
    state = "ok" if ok else "failed"
    return f"{RESULT_MARK}{number}, {tool}: {state}]\n{text.strip() or '(nothing)'}"


def results(parts: Sequence[str]) -> str:
    return "\n\n".join(parts)


def block_unread(tool: str, problem: Problem) -> str:
    form = "a fence named `bash` with the command in it"
    if tool == "edit":
        form = (
            "the path on a line by itself, then a fence with `<<<<<<< SEARCH`, the lines to find,"
            " `=======`, the lines to put there and `>>>>>>> REPLACE`, each mark on its own line"
        )
    return f"This block could not be read, and nothing was done: {problem}. Its form is {form}."


def command(text: str) -> str:
    return _fenced(f"bash\n{text}", text)


def change(path: str, old: str, new: str) -> str:
    body = f"<<<<<<< SEARCH\n{_lines(old)}=======\n{_lines(new)}>>>>>>> REPLACE"
    return f"{path}\n{_fenced(chr(10) + body, body)}"


def other(name: str, arguments: Mapping[str, Any] | str) -> str:
    shown = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return _fenced(f"text\n{name} {shown}", shown)


def _lines(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _fenced(head: str, body: str) -> str:
    """`head` in a fence that is longer than those in `body`."""
    fence = "```"
    while fence in body:
        fence += "`"
    return f"{fence}{head}\n{fence}"
