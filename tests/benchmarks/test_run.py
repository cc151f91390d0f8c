from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from agent.core.events import Problem
from agent.core.messages import Usage
from agent.loop.brakes import Budget, Caps, Spent
from benchmarks.conversation import Seen
from benchmarks.manifest import in_order
from benchmarks.results import Result, Results, read_results
from benchmarks.run import Forecast, Job, Stop, jobs_of, new_folder, run_jobs
from benchmarks.tasks import Task, Tree
from benchmarks.trial import RUN_BUDGET


def task(name: str) -> Task:
    tree = Tree()
    return Task(
        id=name, suite="s", version="1", instruction="do", start=tree, pristine=tree, grader=None
    )


def passed(job: Job) -> Result:
    return Result(task=job[0].id, trial=job[1], model="m", outcome="passed")


def test_every_task_is_tried_before_one_is_tried_again() -> None:
    jobs = jobs_of([task("a"), task("b")], 2)
    assert [(job[0].id, job[1]) for job in jobs] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_the_order_hangs_on_the_seed_alone_and_not_on_which_other_tasks_there_are() -> None:
    tasks = [task(str(number)) for number in range(50)]

    one, again = in_order(tasks, 1), in_order(tasks[::-1], 1)
    fewer = in_order(tasks[:25], 1)

    assert one == again != in_order(tasks, 2)
    assert fewer == [each for each in one if each in tasks[:25]]


async def test_so_many_run_at_once_and_no_more(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)
    running: set[str] = set()
    most = 0

    async def run(job: Job) -> Result:
        nonlocal most
        running.add(job[0].id)
        most = max(most, len(running))
        async with asyncio.timeout(30):
            await both.wait()
        running.remove(job[0].id)
        return passed(job)

    jobs = jobs_of([task(name) for name in "abcd"], 1)
    results, heard = Results(tmp_path / "results.jsonl"), list[str]()
    await run_jobs(
        jobs,
        run,
        results,
        at_once=2,
        on_result=lambda r: heard.append(r.task),
        stop=Stop(),
        forecast=Forecast(None, []),
    )
    results.close()

    assert most == 2
    lines = (tmp_path / "results.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Result).task for line in lines] == heard
    assert sorted(heard) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("why", ["asked", "money"])
async def test_no_more_are_started_when_it_was_asked_or_the_money_is_gone(
    tmp_path: Path, why: str
) -> None:
    stop, results, heard = Stop(), Results(tmp_path / "results.jsonl"), list[str]()

    async def run(job: Job) -> Result:
        if job[0].id == "b" and why == "asked":
            stop.ask()
        spent = job[0].id == "b" and why == "money"
        return replace(passed(job), reason=RUN_BUDGET if spent else "")

    jobs = jobs_of([task(name) for name in "abcd"], 1)
    await run_jobs(
        jobs,
        run,
        results,
        at_once=1,
        on_result=lambda r: heard.append(r.task),
        stop=stop,
        forecast=Forecast(None, []),
    )
    results.close()

    assert heard == ["a", "b"]


async def test_no_trial_is_started_that_would_likely_cost_more_than_there_is(
    tmp_path: Path,
) -> None:
    """Three cost 2 dollars each; with one of the two that still run, a fourth would break 9."""
    budget = Budget("tree", Caps(money=9.0))
    results, begun, more = Results(tmp_path / "results.jsonl"), list[str](), asyncio.Event()
    forecast = Forecast(budget, [])

    async def run(job: Job) -> Result:
        name = job[0].id
        begun.append(name)
        if name == "d":
            await more.wait()
        budget.charge(Spent(money=2.0))
        return replace(passed(job), usage=Usage(cost=2.0))

    def told(result: Result) -> None:
        if result.task == "c":
            more.set()

    jobs = jobs_of([task(name) for name in "abdcef"], 1)
    why = await run_jobs(
        jobs, run, results, at_once=2, on_result=told, stop=Stop(), forecast=forecast
    )
    results.close()

    assert sorted(begun) == ["a", "b", "c", "d"]
    assert why == (
        "another trial would likely bring the run to $10.0000 of $9.0000: they take $2.0000 each"
    )
    done = read_results(tmp_path / "results.jsonl")
    assert Forecast(Budget("tree", Caps(money=1.0)), done).refusal(0)
    assert not Forecast(Budget("tree", Caps(money=2.0)), done).refusal(0)
    assert Forecast(Budget("tree", Caps(money=2.0)), done).refusal(1)


def test_a_last_line_that_a_kill_left_half_written_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    results = Results(path)
    results.add(passed((task("a"), 1)))
    results.close()
    with path.open("ab") as file:
        file.write(b'{"v":2,"task":"b","tri')

    assert [result.task for result in read_results(path)] == ["a"]
    again = Results(path)
    again.add(replace(passed((task("a"), 1)), outcome="failed"))
    again.close()

    assert [(r.task, r.outcome) for r in read_results(path)] == [("a", "failed")]
    assert path.read_bytes().count(b"\n") == 2


def test_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = {new_folder(tmp_path / "runs") for _ in range(3)}
    assert len(folders) == 3


@pytest.mark.parametrize(
    ("kind", "limit", "fault"),
    [
        ("Reached", "cost_limit", ""),
        ("BudgetError", "turn_limit", ""),
        ("LlmContextError", "context_exhausted", ""),
        ("LlmAuthError", "", "auth_error"),
        ("LlmDownError", "", "model_error"),
        ("SandboxLost", "", "sandbox_error"),
        ("SyncError", "", "harness_error"),
    ],
)
def test_what_an_agent_ran_into_is_judged_and_what_failed_it_is_not(
    kind: str, limit: str, fault: str
) -> None:
    seen = Seen(problem=Problem(kind, ""))
    assert (seen.limit, seen.fault) == (limit, fault)
    late = Seen(problem=Problem(kind, ""), late=True)
    assert (late.limit, late.fault) == ("agent_timeout", "")
