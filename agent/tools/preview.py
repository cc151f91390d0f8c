"""Show the user what a server in the sandbox serves: wait until it answers, and give them a link.

The link is a secret and goes to people only: it stands in the details, not in the text that goes to
the provider.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.core.errors import SandboxError, SandboxLost, SandboxUnavailable
from agent.core.limits import CALL_GRACE_SECONDS, JOB_WAIT_MAX_SECONDS, JOB_WAIT_SECONDS
from agent.core.messages import ToolResult
from agent.core.text import one_line
from agent.tools import wording
from agent.tools.answers import Refusal, ask
from agent.tools.base import Tool, ToolContext


class Preview(msgspec.Struct, forbid_unknown_fields=True):
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    seconds: Annotated[float, msgspec.Meta(description="Wait so long.")] = JOB_WAIT_SECONDS


class Listener(msgspec.Struct, frozen=True):
    """A port that something listens on."""

    port: int
    program: str = ""


class PortAnswer(msgspec.Struct, frozen=True):
    """Whether a port answers, what it says to an HTTP request; else which ports there are."""

    answers: bool
    says: str = ""
    ports: list[Listener] = msgspec.field(default_factory=list[Listener])


def tool(description: str) -> Tool:
    """The `preview` tool."""
    return Tool(
        "preview", description, Preview, _run, reads_only=False, title=_title, seconds=_bound
    )


def _title(arguments: Preview) -> str:
    return f"preview of port {arguments.port}"


def _patience(arguments: Preview) -> float:
    return min(max(arguments.seconds, 0.0), JOB_WAIT_MAX_SECONDS)


def _bound(arguments: Preview) -> float:
    return _patience(arguments) + 2 * CALL_GRACE_SECONDS


async def _run(arguments: Preview, ctx: ToolContext) -> ToolResult:
    port = arguments.port
    answer = await ask(ctx, PortAnswer, "port", port=port, seconds=_patience(arguments))
    if isinstance(answer, Refusal):
        return _no(ctx, port, wording.PREVIEW_REFUSED.format(port=port), answer.reason)
    if not answer.answers:
        others = ", ".join(str(one.port) for one in answer.ports) or wording.NO_PORT
        text = wording.NOT_LISTENING.format(port=port, seconds=_patience(arguments), others=others)
        return _no(ctx, port, text)
    try:
        endpoint = await ctx.sandbox.expose(port)
    except (SandboxLost, SandboxUnavailable):
        raise
    except SandboxError as error:
        return _no(ctx, port, wording.PREVIEW_REFUSED.format(port=port), error.message)
    said = one_line(answer.says, 80) or wording.NO_HTTP
    text = wording.PREVIEW.format(port=port, said=said)
    details = {"port": port, "url": endpoint.url, "expires_at": endpoint.expires_at}
    return ToolResult(ctx.call_id, ok=True, text=text, details=details)


def _no(ctx: ToolContext, port: int, text: str, message: str = "") -> ToolResult:
    """Not shown; `message` is for people, it may name what only the host knows."""
    details = {"port": port, **({"message": message} if message else {})}
    return ToolResult(ctx.call_id, ok=False, text=text, details=details)
