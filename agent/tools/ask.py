"""Ask the user a question and wait for the answer, or for what was declared in its place."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.events import UserAnswered
from agent.core.limits import ASK_OPTIONS_MAX, ASK_SECONDS, CALL_GRACE_SECONDS
from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import wording
from agent.tools.base import Tool, ToolContext, always


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    question: Annotated[str, msgspec.Meta(min_length=1)]
    options: Annotated[
        list[str],
        msgspec.Meta(max_length=ASK_OPTIONS_MAX, description="Short answers, the best first."),
    ] = msgspec.field(default_factory=list[str])
    multiple: Annotated[bool, msgspec.Meta(description="Several may be chosen.")] = False


def tool(description: str) -> Tool:
    """The `ask` tool."""
    return Tool(
        "ask",
        description,
        Ask,
        _run,
        reads_only=False,
        title=_title,
        seconds=_seconds,
        looks=always,
    )


def _title(arguments: Ask) -> str:
    return one_line(f"ask: {arguments.question}")


def _seconds(_: Ask) -> float:
    return ASK_SECONDS + CALL_GRACE_SECONDS


async def _run(arguments: Ask, ctx: ToolContext) -> ToolResult:
    options = tuple(dict.fromkeys(one_line(option, 200) for option in arguments.options))
    answered = await ctx.ask_user(arguments.question, options, multiple=arguments.multiple)
    details = {"how": answered.how, "chosen": list(answered.chosen), "words": answered.text}
    ok = answered.how == "answered"
    return ToolResult(ctx.call_id, ok=ok, text=_said(answered), details=details)


def _said(answered: UserAnswered) -> str:
    match answered:
        case UserAnswered(how="answered", chosen=chosen, text=text):
            lines = [wording.CHOSEN.format(chosen=option) for option in chosen]
            return "\n".join([*lines, *([wording.OWN_WORDS.format(text=text)] if text else [])])
        case UserAnswered(how="policy", chosen=(first, *_)):
            return wording.FIRST_TAKEN.format(chosen=first)
        case UserAnswered(how="policy"):
            return wording.NOBODY
        case UserAnswered(how="declined"):
            return wording.DECLINED
        case _:
            return wording.NO_ANSWER.format(minutes=ASK_SECONDS / 60)
