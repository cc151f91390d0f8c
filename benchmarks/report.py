"""Results as a table that a person reads."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.messages import Usage
from agent.core.text import one_line
from benchmarks.results import Result

_HEAD = ("task", "result", "time", "steps", "tokens", "cost", "branch")
_RIGHT = {"time", "steps", "tokens", "cost"}


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
    text = f"{result.outcome:<6}  {result.task}#{result.trial}  {result.seconds:.1f} s"
    return f"{text}  {_why(result)}" if result.reason else text


def totals(results: Sequence[Result]) -> str:
    """Counts, the pass rate over those with a verdict, and what it took."""
    counts = {
        name: sum(r.outcome == name for r in results) for name in ("passed", "failed", "error")
    }
    judged = counts["passed"] + counts["failed"]
    rate = f"{100 * counts['passed'] / judged:.1f} % of {judged}" if judged else "no verdict"
    usage = sum((r.usage for r in results), Usage())
    return (
        f"{counts['passed']} passed, {counts['failed']} failed, {counts['error']} without a verdict"
        f" · pass rate {rate} · {_tokens(usage)} tokens · cost {_cost(usage)}"
    )


def _row(result: Result, *, several: bool) -> tuple[str, ...]:
    return (
        f"{result.task}#{result.trial}" if several else result.task,
        f"{result.outcome}: {_why(result)}" if result.reason else result.outcome,
        f"{result.seconds:.1f} s",
        str(result.steps),
        _tokens(result.usage),
        _cost(result.usage),
        result.branch or "-",
    )


def _why(result: Result) -> str:
    if result.outcome == "error" and result.problem is not None:
        return one_line(f"{result.reason}: {result.problem.message}", 60)
    return result.reason


def _cell(text: str, at: int, width: int) -> str:
    return text.rjust(width) if _HEAD[at] in _RIGHT else text.ljust(width)


def _tokens(usage: Usage) -> str:
    return f"{usage.prompt + usage.completion:,}"


def _cost(usage: Usage) -> str:
    return "unknown" if usage.cost is None else f"${usage.cost:.4f}"
