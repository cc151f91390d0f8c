"""From a refusal to words, and lines to numbered lines. The sentences are in `wording`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.core.messages import ToolResult
from agent.tools import wording
from agent.tools.answers import Refusal
from agent.tools.base import ToolContext

LINES_SHOWN = 20


def numbered(text: str, first: int) -> str:
    """`text` with the number of each line before it, the first being `first`."""
    return "\n".join(
        wording.NUMBERED.format(number=n, line=line)
        for n, line in enumerate(text.split("\n"), start=first)
    )


def listed(numbers: Sequence[int]) -> str:
    """Line numbers in words, the first few of many."""
    shown = ", ".join(map(str, numbers[:LINES_SHOWN]))
    return shown + (", …" if len(numbers) > LINES_SHOWN else "")


def short(ctx: ToolContext, path: str) -> str:
    """A path as short as the model may write it."""
    inside = ctx.sandbox.workdir.rstrip("/") + "/"
    return path[len(inside) :] if path.startswith(inside) else path


def refused(ctx: ToolContext, path: str, refusal: Refusal) -> ToolResult:
    """The result of a call that was not done."""
    details = {"path": refusal.path or path, "reason": refusal.reason}
    nearest = [short(ctx, name) for name in refusal.nearest]
    refusal = msgspec.structs.replace(refusal, nearest=nearest)
    return ToolResult(ctx.call_id, ok=False, text=sentence(path, refusal), details=details)


def sentence(path: str, refusal: Refusal) -> str:
    """Why not, and what to do next."""
    template = wording.REFUSALS.get(refusal.reason, wording.UNKNOWN_REFUSAL)
    if refusal.reason == "absent" and refusal.nearest:
        template = wording.ABSENT_NEAR
    return template.format(
        path=path,
        reason=refusal.reason,
        nearest=", ".join(refusal.nearest),
        kind=refusal.kind,
        size=refusal.size,
        total=refusal.total,
        why=refusal.why,
    )
