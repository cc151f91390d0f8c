"""What the next request to the model consists of, as a table."""

from __future__ import annotations

from agent.cli.styled import Line, marked
from agent.core.text import terminal_safe
from agent.session.fitting import Weight

_LARGEST = 5


def context_lines(weight: Weight) -> list[Line]:
    """The whole, each kind of part from the largest on, and the largest parts one by one."""
    total = sum(part.tokens for part in weight.parts)
    guess = "" if weight.known else ", a guess: set `window` in your configuration"
    share = f"{100 * total / weight.window:.0f} % of {weight.window:,}{guess}"
    lines = marked(f"· about {total:,} tokens, {share}")
    kinds: dict[str, list[int]] = {}
    for part in weight.parts:
        kinds.setdefault(part.kind, []).append(part.tokens)
    for kind, sizes in sorted(kinds.items(), key=lambda one: -sum(one[1])):
        count = f"  ({len(sizes)})" if len(sizes) > 1 else ""
        lines.append((("", f"  {sum(sizes):>9,}  {kind}"), ("dim", count)))
    named = [part for part in weight.parts if part.what and part.kind != "tools"]
    largest = sorted(named, key=lambda part: -part.tokens)[:_LARGEST]
    if largest:
        lines += marked("· the largest of them")
    for part in largest:
        what = terminal_safe(f"{part.kind}: {part.what}")
        lines.append((("dim", f"  {part.tokens:>9,}  {what}"),))
    lines += marked(f"· from {weight.mark:,} on old output is left out, then all but the newest")
    return lines
