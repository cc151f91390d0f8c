"""What a run is going to do: its tasks in order, its settings, its limits."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as with_fields
from pathlib import Path

from msgspec.structs import replace

from agent import config
from agent.app import tree_of
from agent.config import Brake, Settings, require_model
from agent.core.errors import UserError
from benchmarks import manifest
from benchmarks.agents import given_by
from benchmarks.expectations import Expectations, default_place, hashed, require
from benchmarks.manifest import Manifest, Wanted
from benchmarks.results import Result
from benchmarks.suites import load_suite
from benchmarks.tasks import Limits, Task
from benchmarks.trial import How

_CHECKED_BY_NATURE = ("oracle", "nop")


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that can start: what it is, what it does, and what is known already."""

    manifest: Manifest
    tasks: list[Task]
    settings: Settings
    known: Expectations


def prepare(wanted: Wanted, money: float | None, tokens: int | None) -> Plan:
    """Read tasks and settings, and refuse what could not be believed. Raises `UserError`."""
    settings = config.load(Path(), {})
    if wanted.task_cost is not None:
        settings = replace(settings, max_cost=wanted.task_cost)
    tasks = chosen(load_suite(wanted.suite, Path(wanted.path)), wanted)
    known = Expectations(Path(wanted.expected) if wanted.expected else default_place(wanted.suite))
    if wanted.agent not in _CHECKED_BY_NATURE:
        require(tasks, known, wanted.suite)
    if wanted.agent == "glovebox":
        tasks = [_answered(task, wanted, settings) for task in tasks]
    quarantine = {
        task.id: why
        for task in tasks
        if (why := task.unfit or ((found := known.of(task)) is not None and found.quarantine))
    }
    tasks = [task for task in tasks if task.id not in quarantine]
    tasks = tasks[: wanted.limit] if wanted.limit else tasks
    return Plan(
        Manifest(
            wanted=wanted,
            tasks={task.id: task.version for task in tasks},
            quarantine=quarantine,
            expected=hashed(tasks, known),
            settings=manifest.settled(settings),
            code=manifest.hash_of_code(),
            started=time.strftime("%Y-%m-%d %H:%M:%S"),
            max_cost=money,
            max_tokens=tokens,
        ),
        tasks,
        settings,
        known,
    )


def _answered(task: Task, wanted: Wanted, settings: Settings) -> Task:
    """The task with its model: `--model`, else the task's own, else the configured one."""
    model = wanted.model or task.model or settings.model
    return with_fields(task, model=require_model(replace(settings, model=model)))


def chosen(tasks: Sequence[Task], wanted: Wanted) -> list[Task]:
    """The tasks that were asked for, in the order of the run, with the limits of the run."""
    patterns = wanted.only.split(",") if wanted.only else ["*"]
    found = [
        with_fields(
            task,
            limits=Limits(
                wanted.seconds or task.limits.agent, wanted.test_seconds or task.limits.tests
            ),
        )
        for task in tasks
        if any(fnmatch.fnmatchcase(task.id, pattern) for pattern in patterns)
    ]
    if not found:
        raise UserError(f"no task is named like `{wanted.only}`", f"there is `{tasks[0].id}`")
    return manifest.in_order(found, wanted.seed)


def how_of(plan: Plan, done: Sequence[Result]) -> How:
    """How tasks are solved in this run; what was spent before counts."""
    wanted, whole = plan.manifest.wanted, plan.manifest
    spent = [result.usage for result in done]
    money, tokens = whole.max_cost, whole.max_tokens
    cap = Brake(
        cost=None if money is None else max(0.0, money - sum(u.cost or 0.0 for u in spent)),
        tokens=None
        if tokens is None
        else max(0, tokens - sum(u.prompt + u.completion for u in spent)),
    )
    settings = plan.settings
    settings = replace(settings, budgets=replace(settings.budgets, tree=cap))
    found = {task.id: plan.known.of(task) for task in plan.tasks}
    return How(
        settings=plan.settings,
        agent=wanted.agent,
        protocol=wanted.protocol,
        tries=wanted.tries,
        given=given_by(wanted.agent, Path(wanted.source) if wanted.source else None),
        expected={name: each.tests for name, each in found.items() if each is not None},
        budget=tree_of(settings) if (money, tokens) != (None, None) else None,
    )
