"""Whether one run is better than another: over the tasks that both have a verdict for, in pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from agent.core.errors import UserError
from benchmarks.manifest import Manifest
from benchmarks.results import Result, judged
from benchmarks.stats import bootstrap, least_split, mcnemar
from benchmarks.summary import by_task, shares_of

Verdict = Literal["better", "worse", "cannot tell"]


class Measure(msgspec.Struct, frozen=True):
    """How much more the second run took of something per task, and the 95 % interval of that."""

    name: str
    difference: float
    low: float
    high: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The second run against the first. `won` and `lost` are tasks, `p` that of McNemar's exact
    test, where each task was tried once; differences are of the share that passed."""

    common: int
    dropped: int
    won: tuple[str, ...]
    lost: tuple[str, ...]
    p: float | None
    difference: float
    low: float
    high: float
    verdict: Verdict
    measures: tuple[Measure, ...]
    warnings: tuple[str, ...]


class Run(msgspec.Struct, frozen=True):
    """A run that is compared."""

    manifest: Manifest
    results: Sequence[Result]
    folder: Path


def compare(one: Run, other: Run, *, seed: int = 0) -> Comparison:
    """Raises `UserError` for runs of another suite or protocol: their numbers mean other things."""
    for name in ("suite", "protocol", "tries"):
        was, now = (msgspec.to_builtins(run.manifest.wanted)[name] for run in (one, other))
        if was != now:
            raise UserError(
                f"the runs cannot be compared: `{name}` is {now!r} in one and {was!r} in the other",
                "compare runs of the same suite, protocol and tries",
            )
    valid = [judged(run.results) for run in (one, other)]
    before, after = (shares_of(each) for each in valid)
    versions = [run.manifest.tasks for run in (one, other)]
    common = sorted(
        task
        for task in before.keys() & after.keys()
        if versions[0].get(task) == versions[1].get(task)
    )
    if not common:
        raise UserError("the runs have no task in common", "run both on the same tasks")
    differences = [after[task] - before[task] for task in common]
    low, high = bootstrap(differences, seed=seed)
    won = tuple(task for task in common if after[task] > before[task])
    lost = tuple(task for task in common if after[task] < before[task])
    once = all(len(of) == 1 for each in valid for of in by_task(each).values())
    p = mcnemar(len(won), len(lost)) if once else None
    return Comparison(
        common=len(common),
        dropped=len(before.keys() | after.keys()) - len(common),
        won=won,
        lost=lost,
        p=p,
        difference=sum(differences) / len(common),
        low=low,
        high=high,
        verdict=_verdict(p, low, high, len(won) - len(lost)),
        measures=tuple(_measures(valid[0], valid[1], common, seed)),
        warnings=tuple(_warnings(one.manifest, other.manifest)),
    )


def _verdict(p: float | None, low: float, high: float, ahead: int) -> Verdict:
    sure = p < 0.05 if p is not None else low > 0 or high < 0
    if not sure:
        return "cannot tell"
    return "better" if (ahead if p is not None else low) > 0 else "worse"


_MEASURES: Mapping[str, Callable[[Result], float | None]] = {
    "dollars": lambda result: result.usage.cost,
    "tokens": lambda result: float(result.usage.prompt + result.usage.completion),
    "seconds": lambda result: result.seconds,
}


def _measures(
    before: Sequence[Result], after: Sequence[Result], common: Sequence[str], seed: int
) -> list[Measure]:
    """Of what is known for every task."""
    found: list[Measure] = []
    for name, of in _MEASURES.items():
        one, other = (_means(each, of) for each in (before, after))
        pairs = [(one.get(task), other.get(task)) for task in common]
        differences = [b - a for a, b in pairs if a is not None and b is not None]
        if len(differences) == len(common):
            low, high = bootstrap(differences, seed=seed)
            found.append(Measure(name, sum(differences) / len(common), low, high))
    return found


def _means(results: Sequence[Result], of: Callable[[Result], float | None]) -> dict[str, float]:
    """The mean of each task where it is known for all its trials."""
    found = {task: [of(result) for result in trials] for task, trials in by_task(results).items()}
    return {
        task: sum(value or 0.0 for value in values) / len(values)
        for task, values in found.items()
        if None not in values
    }


def _warnings(one: Manifest, other: Manifest) -> list[str]:
    found: list[str] = []
    if one.quarantine != other.quarantine:
        found.append("they leave out different tasks")
    for name in ("seconds", "test_seconds", "task_cost"):
        was, now = (msgspec.to_builtins(each.wanted)[name] for each in (one, other))
        if was != now:
            found.append(f"`{name}` was {was!r} and is {now!r}")
    if changed := [
        task for task in one.tasks if other.tasks.get(task, one.tasks[task]) != one.tasks[task]
    ]:
        found.append(f"{len(changed)} tasks are not the same in both and were dropped")
    return found


def worded(found: Comparison, one: Run, other: Run) -> str:
    """The comparison for a person."""
    flips = len(found.won) + len(found.lost)
    verdict = (
        f"The second run is {found.verdict}."
        if found.verdict != "cannot tell"
        else ("Cannot tell which is better.")
    )
    lines = [
        f"{found.common} tasks in common, {found.dropped} dropped",
        f"passed more: {100 * found.difference:+.1f} points"
        f" (95 %: {100 * found.low:+.1f} to {100 * found.high:+.1f})",
        f"won {len(found.won)}, lost {len(found.lost)}"
        + ("" if found.p is None else f", McNemar's exact p = {found.p:.4f}"),
        *(
            f"{each.name} per task: {each.difference:+,.4g}"
            f" (95 %: {each.low:+,.4g} to {each.high:+,.4g})"
            for each in found.measures
        ),
        *(f"warning: {warning}" for warning in found.warnings),
        *(_flip("won", task, one, other) for task in found.won),
        *(_flip("lost", task, one, other) for task in found.lost),
        "",
        verdict,
    ]
    if found.verdict == "cannot tell" and found.p is not None:
        needed = least_split(flips)
        lines.append(
            f"Of {flips} flips at least {needed} would have to go one way"
            if needed <= flips
            else f"{flips} flips are too few to tell anything, whichever way they go"
        )
    return "\n".join(lines)


def _flip(word: str, task: str, one: Run, other: Run) -> str:
    places = [
        str(run.folder / next(r.folder for r in run.results if r.task == task))
        for run in (one, other)
    ]
    return f"{word} {task}: {places[0]} -> {places[1]}"
