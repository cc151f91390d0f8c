"""A run's results in the forms of other programs: JUnit's XML, and a table of commas."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from html import escape

from benchmarks.manifest import Manifest
from benchmarks.report import why
from benchmarks.results import Result

_ELEMENTS = {"failed": "failure", "invalid": "error", "ungraded": "skipped"}


def junit(manifest: Manifest, results: Sequence[Result]) -> str:
    """A test case for each trial: `failure` for the agent's, `error` for what has no verdict."""
    counts = [sum(r.outcome == name for r in results) for name in _ELEMENTS]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name={_quoted(manifest.wanted.suite)} tests="{len(results)}"'
        f' failures="{counts[0]}" errors="{counts[1]}" skipped="{counts[2]}"'
        f' time="{sum(r.seconds + r.test_seconds for r in results):.3f}">',
        *(_case(result) for result in sorted(results, key=lambda r: r.key)),
        "</testsuite>",
    ]
    return "\n".join(lines) + "\n"


def _case(result: Result) -> str:
    group, _, name = result.task.rpartition("/")
    head = (
        f"  <testcase classname={_quoted(group)} name={_quoted(f'{name}#{result.trial}')}"
        f' time="{result.seconds + result.test_seconds:.3f}"'
    )
    element = _ELEMENTS.get(result.outcome)
    if element is None:
        return f"{head}/>"
    failed = [name for each in result.tries[-1:] for name in each.failed]
    message = ", ".join([why(result), *failed])
    return f"{head}><{element} message={_quoted(message)}/></testcase>"


def _quoted(text: str) -> str:
    """An attribute; what XML has no way to say becomes a question mark."""
    return f'"{escape("".join(c if c.isprintable() else "?" for c in text))}"'


_COLUMNS = (
    *("task", "trial", "language", "model", "protocol", "outcome", "reason", "tries"),
    *("agent_seconds", "test_seconds", "steps", "calls", "prompt_tokens", "cached_tokens"),
    *("completion_tokens", "dollars", "tampered", "leaks", "tests_again", "folder"),
)


def table_csv(manifest: Manifest, results: Sequence[Result]) -> str:
    """A line for each trial; what is not known is left empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for result in sorted(results, key=lambda r: r.key):
        usage = result.usage
        writer.writerow(
            [
                *(result.task, result.trial, result.language, result.model, result.protocol),
                *(result.outcome, result.reason, len(result.tries), result.seconds),
                *(result.test_seconds, result.steps, result.calls, usage.prompt, usage.cached),
                *(
                    usage.completion,
                    usage.cost,
                    result.tampered,
                    "; ".join(result.leaks),
                    result.again,
                    result.folder,
                ),
            ]
        )
    return out.getvalue()
