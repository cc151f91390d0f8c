"""One task, once: solved in a sandbox of its own, then judged in fresh ones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from pathlib import Path

from msgspec.structs import replace

from agent.app import Options, Pace, Share, open_session
from agent.config import Settings
from agent.core.errors import GloveboxError, SandboxError
from agent.core.events import Problem, problem_of
from agent.host import files
from agent.loop.brakes import Budget
from agent.session.session import Session
from benchmarks.agents import Given, answering, keep_work, trial_folder
from benchmarks.collect import collect, left_behind
from benchmarks.conversation import Seen, turn
from benchmarks.grading import Place, environment_of, grade, settings_of
from benchmarks.leaks import search, texts_of
from benchmarks.repository import git, lay
from benchmarks.results import Outcome, Result, Try, Verdict
from benchmarks.tasks import Content, Protocol, Task, Work
from benchmarks.texts import text

_AGAIN_CHARS = 12_000
# What differs from one run to the next and says nothing about the work.
_PASSING = re.compile(r"\b(in )?\d+(\.\d+)? ?(s|ms|sec|seconds)\b|/tmp/(report|check)-[0-9a-f]+")
RUN_BUDGET = "run_budget"
_OF_THE_RUN = "of this tree"  # how a limit that trials share calls itself


@dataclass(frozen=True, slots=True)
class How:
    """How tasks are solved: by whom, by which protocol, with what settings and money.

    `given` gives the work where no model does. `expected` are the names of each task's tests.
    `budget` is what all trials of the run may spend together, and `pace` how fast they ask.
    """

    settings: Settings
    agent: str = "glovebox"
    protocol: Protocol = "blind"
    tries: int = 1
    given: Given | None = None
    expected: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    budget: Budget | None = None
    pace: Pace = field(default_factory=Pace)


async def run_trial(task: Task, trial: int, how: How, place: Place) -> Result:
    """Solve and judge. What of ours prevented a verdict is in the result, not raised."""
    folder = trial_folder(place.folder, task.id, trial)
    blank = Result(
        task=task.id,
        version=task.version,
        language=task.language,
        trial=trial,
        model=task.model if how.given is None else how.agent,
        protocol=how.protocol,
        outcome="invalid",
        folder=str(folder.relative_to(place.folder)),
    )
    try:
        files.make_private_dir(folder)
        if how.given is not None:
            work = await how.given(task, trial, place)
            return await _given(task, work, how, place, blank)
        return await _solved(task, how, place, blank)
    except SandboxError as error:
        return _invalid(blank, "sandbox_error", problem_of(error))
    except GloveboxError as error:
        return _invalid(blank, "setup_error", problem_of(error))


async def _given(task: Task, work: Work, how: How, place: Place, blank: Result) -> Result:
    folder = place.folder / blank.folder
    keep_work(folder, work)
    verdict = await _verdict(task, work, how, place, folder, 1)
    return _judged(blank, verdict, [_try(verdict, 0.0, "")], "")


async def _solved(task: Task, how: How, place: Place, blank: Result) -> Result:
    repository = place.folder / blank.folder / "work" / task.id.rpartition("/")[2]
    shown = task.shown if how.protocol == "agentic" else dict[str, Content]()
    await lay(with_fields(task.start, files={**task.start.files, **shown}), repository)
    settings, llm = answering(task, _settings(task, how))
    share = Share(how.pace)
    options = Options(
        repository,
        settings,
        state=place.state,
        tree=how.budget,
        pace=share,
        environment=await environment_of(task),
    )
    session, seen = await open_session(options, llm=llm), Seen()
    try:
        result = await _conversed(task, session, how, place, blank, share, seen)
    finally:
        await (session.close() if place.keep else session.discard())
    names = (await git(["ls-files", "-z"], repository)).split("\0")
    places = (place.folder, task.folder)
    leaks = await asyncio.to_thread(search, task, seen.heard, places, repository, names)
    return replace(result, leaks=leaks)


def _settings(task: Task, how: How) -> Settings:
    return settings_of(task, replace(how.settings, model=task.model))


async def _conversed(
    task: Task, session: Session, how: How, place: Place, blank: Result, share: Share, seen: Seen
) -> Result:
    """The tries of one conversation, each judged before the next."""
    folder, tries = place.folder / blank.folder, list[Try]()
    words, verdict = task.instruction, Verdict()
    sandbox = (await session.enter()).sandbox
    assert session.state.seeded is not None
    base = session.state.seeded.tip
    for number in range(1, how.tries + 1):
        took = await turn(session, words, task.limits.agent, seen, lambda: share.waited)
        known = replace(_known(blank, session, seen, tries), waited=round(share.waited, 3))
        if seen.problem is not None and _OF_THE_RUN in seen.problem.message:
            return _invalid(known, RUN_BUDGET, seen.problem)
        if seen.fault:
            return _invalid(known, seen.fault, seen.problem)
        work = await collect(task, sandbox, base)
        outside, tampered = await left_behind(task, sandbox, base)
        known = replace(known, outside=outside, tampered=tampered)
        keep_work(folder, work)
        seen.heard.graded(work)
        if last := bool(seen.limit) or number == how.tries:
            await session.close()  # what it left running would take the tests' time
        verdict = await _verdict(task, work, how, place, folder, number)
        tries.append(_try(verdict, took, seen.limit))
        seen.heard.made += [*texts_of(work), verdict.output]
        if verdict.passed or verdict.problem or last:
            return _judged(known, verdict, tries, seen.limit)
        words = _again(task, verdict)
    raise AssertionError("a trial has at least one try")


def _known(blank: Result, session: Session, seen: Seen, tries: Sequence[Try]) -> Result:
    return replace(
        blank,
        tries=tuple(tries),
        seconds=round(seen.seconds, 3),
        steps=seen.steps,
        calls=seen.calls,
        usage=session.state.usage,
        session=session.id,
        branch=seen.branch,
        commit=seen.commit,
        problem=seen.problem,
    )


async def _verdict(
    task: Task, work: Work, how: How, place: Place, folder: Path, number: int
) -> Verdict:
    """What the tests say; what they printed is kept, so that it can be looked at later."""
    if task.grader is None:
        return Verdict(reason="no_tests_here")
    name = task.id.rpartition("/")[2]
    expected = how.expected.get(task.id, task.expected or None)
    verdict = await grade(task, work, expected, place, folder / f"graded-{number}" / name)
    files.remove_tree(folder / f"graded-{number}")
    files.write_whole(folder / f"tests-{number}.txt", verdict.output.encode())
    return verdict


def _judged(known: Result, verdict: Verdict, tries: Sequence[Try], limit: str) -> Result:
    if verdict.problem is not None:
        return _invalid(known, verdict.reason, verdict.problem)
    outcome: Outcome = "passed" if verdict.passed else "failed"
    if verdict.reason == "no_tests_here":
        outcome = "ungraded"
    reason = "" if verdict.passed else limit or verdict.reason
    return replace(known, outcome=outcome, reason=reason, tries=tuple(tries))


def _try(verdict: Verdict, seconds: float, limit: str) -> Try:
    return Try(
        passed=verdict.passed,
        reason="" if verdict.passed else limit or verdict.reason,
        tests=verdict.tests,
        exit_code=verdict.exit_code,
        agent_seconds=seconds,
        test_seconds=verdict.seconds,
        failed=verdict.failed,
        again=verdict.again,
    )


def _invalid(known: Result, reason: str, problem: Problem | None) -> Result:
    return replace(known, outcome="invalid", reason=reason, problem=problem)


def _again(task: Task, verdict: Verdict) -> str:
    """What is said before the second try; a compiler may print hundreds of kilobytes."""
    output = _PASSING.sub("…", verdict.output).strip()
    if verdict.reason == "test_timeout":
        output = f"{output}\n\nThe tests did not end in time."
    if len(output) > _AGAIN_CHARS:
        half, cut = _AGAIN_CHARS // 2, len(output) - _AGAIN_CHARS
        output = f"{output[:half]}\n\n[{cut} characters left out]\n\n{output[-half:]}"
    names = " ".join(f"`{name}`" for name in task.solution if "*" not in name)
    return text("again.md").format(files=names or "the code", output=output)
