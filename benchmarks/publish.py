"""A run's summary in the forms that people and other programs read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agent.host import files
from benchmarks.agents import WORK, trial_folder
from benchmarks.manifest import Manifest
from benchmarks.report import cost, said, table
from benchmarks.results import Result, judged
from benchmarks.summary import Summary, summarise
from benchmarks.tasks import FILE_MAX_BYTES, Work

SUMMARY, NUMBERS, AIDER, PREDICTIONS = (
    "summary.md", "summary.json", "aider.yaml", "predictions.jsonl",
)  # fmt: skip


def publish(folder: Path, manifest: Manifest, results: Sequence[Result]) -> list[str]:
    """Write what there is to say of a run into its folder; the names of the files."""
    summary = summarise(manifest, results)
    numbers = msgspec.json.format(msgspec.json.encode(summary), indent=1)
    texts = {
        SUMMARY: markdown(summary, results).encode(),
        NUMBERS: numbers + b"\n",
        AIDER: aider_yaml(folder.name, manifest, results).encode(),
    }
    if manifest.wanted.suite == "swebench":
        texts[PREDICTIONS] = predictions(folder, results).encode()
    for name, data in texts.items():
        files.write_whole(folder / name, data)
    return list(texts)


def markdown(summary: Summary, results: Sequence[Result]) -> str:
    """The summary for a person."""
    who = ", ".join(summary.models) or summary.agent
    counts = ", ".join(f"{count} {name}" for name, count in summary.outcomes.items())
    lines = [
        f"# {summary.suite}, {summary.protocol}: {who}",
        "",
        f"**passed: {said(summary.rate)}**"
        + ("" if summary.complete else " — the run is not complete"),
        "",
        f"- {len(results)} of {summary.planned} trials: {counts or 'none'}",
        *(f"- passed within {k} tries: {100 * share:.1f} %" for k, share in _several(summary)),
        *(
            f"- one of {k} independent trials passes: {100 * share:.1f} %"
            for k, share in summary.pass_at.items()
            if summary.trials > 1
        ),
        f"- {summary.tokens:,} tokens, cost {cost(summary.cost)},"
        f" agents {_time(summary.agent_seconds)}, tests {_time(summary.test_seconds)}"
        + (f", waited {_time(summary.waited_seconds)}" if summary.waited_seconds else ""),
        f"- glovebox {summary.commit or 'of no commit'}, {summary.started}",
        "",
        *_section("Languages", {name: said(rate) for name, rate in summary.languages.items()}),
        *_section("Reasons", {name: str(count) for name, count in summary.reasons.items()}),
        *_section("Tampered with", dict.fromkeys(summary.tampered, "it stayed behind")),
        *_section("Leaks", {name: "; ".join(found) for name, found in summary.leaks.items()}),
        *_section("Tests run twice", dict.fromkeys(summary.again, "they ran out of time at first")),
        *_section("Left out", summary.quarantine),
        "## Trials",
        "",
        "```",
        table(results),
        "```",
        "",
    ]
    return "\n".join(lines)


def _several(summary: Summary) -> list[tuple[str, float]]:
    return list(summary.pass_try.items()) if summary.tries > 1 else []


def _time(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


def _section(title: str, rows: Mapping[str, str]) -> list[str]:
    if not rows:
        return []
    return [f"## {title}", "", *(f"- {name}: {said}" for name, said in rows.items()), ""]


def aider_yaml(name: str, manifest: Manifest, results: Sequence[Result]) -> str:
    """The run as an item of Aider's list of results. What is not counted here is null there."""
    valid = [result for result in judged(results) if result.trial == 1]
    usages = [result.usage for result in valid]
    tries = [each for result in valid for each in result.tries]
    numbers = range(1, manifest.wanted.tries + 1)
    passed = [sum(any(t.passed for t in r.tries[:k]) for r in valid) for k in numbers]
    costs = [usage.cost for usage in usages]
    values: dict[str, object] = {
        "dirname": name,
        "test_cases": len(valid),
        "model": ", ".join(sorted({result.model for result in valid})),
        "edit_format": "tools",
        "commit_hash": manifest.commit,
        **{f"pass_rate_{k}": _percent(n, len(valid)) for k, n in zip(numbers, passed, strict=True)},
        **{f"pass_num_{k}": n for k, n in zip(numbers, passed, strict=True)},
        **dict.fromkeys(("percent_cases_well_formed", "error_outputs", "num_malformed_responses")),
        **dict.fromkeys(("num_with_malformed_responses", "user_asks", "lazy_comments")),
        **dict.fromkeys(("syntax_errors", "indentation_errors")),
        "exhausted_context_windows": sum(r.reason == "context_exhausted" for r in valid),
        "prompt_tokens": sum(usage.prompt for usage in usages),
        "completion_tokens": sum(usage.completion for usage in usages),
        "test_timeouts": sum(each.reason == "test_timeout" for each in tries),
        "total_tests": len(manifest.tasks),
        "command": f"glovebox benchmarks, protocol {manifest.wanted.protocol}",
        "date": manifest.started.partition(" ")[0],
        "versions": manifest.code,
        "seconds_per_case": round(sum(r.seconds for r in valid) / len(valid), 1) if valid else None,
        "total_cost": None if None in costs else round(sum(c or 0.0 for c in costs), 4),
    }
    # JSON is YAML, and leaves no doubt about what is a text: hashes may be all digits.
    rows = [f"{key}: {json.dumps(value)}" for key, value in values.items()]
    return "- " + "\n  ".join(rows) + "\n"


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def predictions(folder: Path, results: Sequence[Result]) -> str:
    """What SWE-bench's evaluation reads: a line for each task, binary files left out."""
    lines: list[str] = []
    for result in sorted(results, key=lambda each: each.task):
        place = trial_folder(folder, result.task, result.trial) / WORK
        if result.trial != 1 or not files.exists(place):
            continue
        data = files.read_bytes(place, limit=2 * FILE_MAX_BYTES)
        work = msgspec.json.decode(data, type=Work)
        row = {
            "instance_id": result.task.rpartition("/")[2],
            "model_name_or_path": result.model,
            "model_patch": text_patch(work.patch),
        }
        lines.append(json.dumps(row) + "\n")
    return "".join(lines)


def text_patch(patch: bytes) -> str:
    """A patch without its binary files, ending in a newline where there is one."""
    parts = patch.decode("utf-8", "replace").split("\ndiff --git ")
    kept = [part for part in parts if "\nGIT binary patch\n" not in part]
    if not kept or not patch:
        return ""
    joined = "\ndiff --git ".join(kept)
    joined = joined if joined.startswith("diff --git ") else f"diff --git {joined}"
    return joined if joined.endswith("\n") else f"{joined}\n"
