"""Results as a table that a person reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agent.core.messages import Usage
from agent.core.text import one_line
from benchmarks.results import Result, judged
from benchmarks.summary import Rate, rate_of

_HEAD = ("task", "result", "time", "steps", "tokens", "cost", "branch")
_RIGHT = {"time", "steps", "tokens", "cost"}
_WORDS = {"invalid": "without a verdict", "ungraded": "not graded"}


def table(results: Sequence[Result]) -> str:
    """One row for each result, sorted by task, and the totals."""
    several = any(result.trial > 1 for result in results)
    ordered = sorted(results, key=lambda r: (r.task, r.trial))
    rows = [_HEAD, *(_row(result, several=several) for result in ordered)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEAD))]
    lines = ["  ".join(_cell(text, at, widths[at]) for at, text in enumerate(row)) for row in rows]
    return "\n".join([*(line.rstrip() for line in lines), "", totals(results)])


def row_text(result: Result) -> str:
    """One result on a line of its own, while others still run."""
    text = f"{result.outcome:<7}  {result.task}#{result.trial}  {result.seconds:.1f} s"
    return f"{text}  {why(result)}".rstrip()


def totals(results: Sequence[Result]) -> str:
    """Counts, the pass rate over those with a verdict, and what it took."""
    counts = Counter(result.outcome for result in results)
    shown = ["passed", "failed", "invalid", *(["ungraded"] if counts["ungraded"] else [])]
    words = ", ".join(f"{counts[name]} {_WORDS.get(name, name)}" for name in shown)
    usage, rate = sum((r.usage for r in results), Usage()), said(rate_of(judged(results)))
    return f"{words} · pass rate {rate} · {tokens(usage)} tokens · cost {cost(usage.cost)}"


def said(rate: Rate) -> str:
    """A pass rate over those with a verdict, and how far it may be off."""
    if not rate.judged:
        return "no verdict"
    between = f"95 %: {100 * rate.low:.1f} to {100 * rate.high:.1f}"
    return f"{100 * rate.share:.1f} % of {rate.judged} ({between})"


def _row(result: Result, *, several: bool) -> tuple[str, ...]:
    return (
        f"{result.task}#{result.trial}" if several else result.task,
        f"{result.outcome}: {why(result)}".rstrip(": "),
        f"{result.seconds:.1f} s",
        str(result.steps),
        tokens(result.usage),
        cost(result.usage.cost),
        result.branch or "-",
    )


def why(result: Result) -> str:
    """The reason on one line, with the cause where there is no verdict."""
    if result.outcome == "invalid" and result.problem is not None:
        return one_line(f"{result.reason}: {result.problem.message}", 60)
    return f"{result.reason} (tests run twice)".strip() if result.again else result.reason


def _cell(text: str, at: int, width: int) -> str:
    return text.rjust(width) if _HEAD[at] in _RIGHT else text.ljust(width)


def tokens(usage: Usage) -> str:
    return f"{usage.prompt + usage.completion:,}"


def cost(dollars: float | None) -> str:
    return "unknown" if dollars is None else f"${dollars:.4f}"
