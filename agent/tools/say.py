"""From a refusal to words, and lines to numbered lines. The sentences are in `wording`."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.messages import ToolResult
from agent.tools import wording
from agent.tools.answers import Near, Refusal
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


def refused(ctx: ToolContext, path: str, refusal: Refusal, *, changes: bool) -> ToolResult:
    """The result of a call that was not done. `changes` tools also say that nothing happened."""
    text = (wording.UNCHANGED if changes else "") + _sentence(path, refusal)
    details = {"path": refusal.path or path, "reason": refusal.reason}
    return ToolResult(ctx.call_id, ok=False, text=text, details=details)


def _sentence(path: str, refusal: Refusal) -> str:
    names = [name for name in refusal.nearest if isinstance(name, str)]
    near = [place for place in refusal.nearest if isinstance(place, Near)]
    template = wording.REFUSALS.get(refusal.reason, wording.UNKNOWN_REFUSAL)
    if refusal.reason == "absent" and names:
        template = wording.ABSENT_NEAR
    said = template.format(
        path=path,
        reason=refusal.reason,
        nearest=", ".join(names),
        kind=refusal.kind,
        size=refusal.size,
        total=refusal.total,
        count=refusal.count,
        lines=listed(refusal.lines),
        why=refusal.why,
    )
    return "\n".join([said, *_places(near)]) if refusal.reason == "not_found" else said


def _places(near: Sequence[Near]) -> list[str]:
    if not near:
        return [wording.NO_NEAR_NEXT]
    shown = [
        wording.NEAR.format(first=place.first, last=place.last, why=place.why)
        + "\n"
        + numbered(place.text, place.first)
        for place in near
    ]
    return [*shown, wording.NEAR_NEXT]
