"""A page of the web as Markdown, fetched from inside through the session's own network policy."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.limits import (
    CALL_GRACE_SECONDS,
    FETCH_MAX_CHARS,
    FETCH_SECONDS,
    TOOLBOX_ANSWER_SECONDS,
)
from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import wording
from agent.tools.answers import Refusal, ask
from agent.tools.base import Tool, ToolContext


class Fetch(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    start: Annotated[int, msgspec.Meta(description="First character, to go on.")] = 0


class Page(msgspec.Struct, frozen=True):
    """Characters `start` to `end` of the `total` that the page at `url` says."""

    url: str
    title: str
    text: str
    start: int
    end: int
    total: int
    cut: bool = False


def tool(description: str) -> Tool:
    """The `fetch` tool."""
    return Tool("fetch", description, Fetch, _run, reads_only=True, title=_title, seconds=_bound)


def _title(arguments: Fetch) -> str:
    return one_line(f"fetch {arguments.url}")


def _bound(_: Fetch) -> float:
    return FETCH_SECONDS + TOOLBOX_ANSWER_SECONDS + CALL_GRACE_SECONDS


async def _run(arguments: Fetch, ctx: ToolContext) -> ToolResult:
    answer = await ask(
        ctx,
        Page,
        "fetch",
        url=arguments.url,
        start=max(0, arguments.start),
        limit=FETCH_MAX_CHARS,
        seconds=FETCH_SECONDS,
    )
    if isinstance(answer, Refusal):
        return _missed(arguments, answer, ctx)
    details = {"fetched": answer.url, "characters": answer.total}
    return ToolResult(ctx.call_id, ok=True, text=_said(answer), details=details)


def _said(page: Page) -> str:
    """The page behind a line that says whose words these are; after it comes nothing of ours."""
    place = {"start": page.start, "end": page.end, "total": page.total}
    more = wording.PAGE_MORE.format(**place) if page.end < page.total else ""
    cut = wording.PAGE_CUT if page.cut else ""
    head = wording.PAGE.format(url=one_line(page.url, 500), more=more, cut=cut)
    title = f"{one_line(page.title, 300)}\n\n" if page.title and not page.start else ""
    nothing = wording.PAGE_PAST.format(total=page.total) if page.total else wording.PAGE_EMPTY
    return f"{head}\n{title}{page.text or nothing}"


def _missed(arguments: Fetch, missed: Refusal, ctx: ToolContext) -> ToolResult:
    template = wording.MISSED.get(missed.reason, wording.MISSED_UNKNOWN)
    text = template.format(
        url=one_line(arguments.url, 300),
        why=one_line(missed.why, 300),
        status=missed.status,
        kind=one_line(missed.kind),
        size=missed.size,
        seconds=FETCH_SECONDS,
        reason=missed.reason,
    )
    return ToolResult(ctx.call_id, ok=False, text=text, details={"reason": missed.reason})
