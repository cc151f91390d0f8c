"""What a run comes to, as numbers with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from agent.core.messages import Usage
from benchmarks.manifest import Manifest
from benchmarks.results import Result, judged
from benchmarks.stats import bootstrap, pass_at, wilson

INVALID_MAX = 0.02
"""A run with a larger share of trials without a verdict is not complete."""


class Rate(msgspec.Struct, frozen=True):
    """Passes of so many with a verdict, and the 95 % interval of their share."""

    passed: int
    judged: int
    share: float
    low: float
    high: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run. `pass_try` is the share that passed within so many tries of one conversation,
    `pass_at` the chance that one of so many independent trials passes; they are never mixed.
    """

    schema: int = 1
    suite: str
    agent: str
    models: tuple[str, ...]
    protocol: str
    tries: int
    trials: int
    planned: int
    complete: bool
    rate: Rate
    pass_try: dict[str, float]
    pass_at: dict[str, float]
    languages: dict[str, Rate]
    outcomes: dict[str, int]
    reasons: dict[str, int]
    quarantine: dict[str, str]
    tampered: tuple[str, ...]
    again: tuple[str, ...]
    leaks: dict[str, tuple[str, ...]]
    tokens: int
    cost: float | None
    agent_seconds: float
    waited_seconds: float
    test_seconds: float
    code: str
    commit: str
    started: str


def summarise(manifest: Manifest, results: Sequence[Result]) -> Summary:
    """The numbers of a run as far as it got."""
    wanted, valid = manifest.wanted, judged(results)
    usage = sum((result.usage for result in results), Usage())
    planned = len(manifest.tasks) * wanted.trials
    invalid = sum(result.outcome == "invalid" for result in results)
    return Summary(
        suite=wanted.suite,
        agent=wanted.agent,
        models=tuple(sorted({result.model for result in results})),
        protocol=wanted.protocol,
        tries=wanted.tries,
        trials=wanted.trials,
        planned=planned,
        complete=len(results) >= planned and invalid <= INVALID_MAX * planned,
        rate=rate_of(valid),
        pass_try={
            str(k): _share([_passed_within(result, k) for result in valid])
            for k in range(1, wanted.tries + 1)
        },
        pass_at=_pass_at(valid, wanted.trials),
        languages={
            language: rate_of([result for result in valid if result.language == language])
            for language in sorted({result.language for result in results if result.language})
        },
        outcomes=dict(sorted(Counter(result.outcome for result in results).items())),
        reasons=dict(Counter(r.reason for r in results if r.reason).most_common()),
        quarantine=manifest.quarantine,
        tampered=tuple(sorted(result.task for result in results if result.tampered)),
        leaks={f"{r.task}#{r.trial}": r.leaks for r in results if r.leaks},
        again=tuple(sorted(result.task for result in results if result.again)),
        tokens=usage.prompt + usage.completion,
        cost=usage.cost,
        agent_seconds=round(sum(result.seconds for result in results), 1),
        waited_seconds=round(sum(result.waited for result in results), 1),
        test_seconds=round(sum(result.test_seconds for result in results), 1),
        code=manifest.code,
        commit=manifest.commit,
        started=manifest.started,
    )


def rate_of(valid: Sequence[Result]) -> Rate:
    """The pass rate. Of several trials each, tasks are what is resampled: trials of one hang
    together."""
    passed, shares = sum(result.outcome == "passed" for result in valid), shares_of(valid)
    if len(shares) == len(valid):
        low, high = wilson(passed, len(valid))
    else:
        low, high = bootstrap(list(shares.values()))
    mean = sum(shares.values()) / len(shares) if shares else 0.0
    return Rate(passed, len(valid), round(mean, 6), round(low, 6), round(high, 6))


def shares_of(valid: Sequence[Result]) -> dict[str, float]:
    """The share of each task's trials that passed."""
    return {
        task: sum(result.outcome == "passed" for result in of) / len(of)
        for task, of in by_task(valid).items()
    }


def by_task(results: Sequence[Result]) -> Mapping[str, list[Result]]:
    """The trials of each task."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.task, []).append(result)
    return found


def _passed_within(result: Result, tries: int) -> bool:
    return any(each.passed for each in result.tries[:tries])


def _pass_at(valid: Sequence[Result], trials: int) -> dict[str, float]:
    """Over the tasks that have all their verdicts."""
    whole = [of for of in by_task(valid).values() if len(of) == trials]
    passed = [sum(result.outcome == "passed" for result in of) for of in whole]
    return {
        str(k): round(sum(pass_at(k, trials, each) for each in passed) / len(passed), 4)
        for k in range(1, trials + 1)
        if passed
    }


def _share(flags: Sequence[bool]) -> float:
    return round(sum(flags) / len(flags), 4) if flags else 0.0
