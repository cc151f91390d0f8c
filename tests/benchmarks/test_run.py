from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent.config import Settings
from agent.core.errors import UserError
from benchmarks.results import Result, Results
from benchmarks.run import Job, jobs_of, new_folder, run_jobs
from benchmarks.tasks import Settings as TaskSettings
from benchmarks.tasks import Task


def task(name: str, model: str = "") -> Task:
    return Task(name, Path(name), "do", "true", Path(name), (), TaskSettings(model=model))


def test_the_flag_wins_over_the_task_and_the_task_over_the_configuration() -> None:
    tasks = [task("a", "task/model"), task("b")]

    configured = jobs_of(tasks, 1, Settings(model="config/model"), "")
    flagged = jobs_of(tasks, 1, Settings(model="config/model"), "flag/model")

    assert [job[2].model for job in configured] == ["task/model", "config/model"]
    assert [job[2].model for job in flagged] == ["flag/model", "flag/model"]


def test_a_task_without_a_model_is_refused_before_anything_runs() -> None:
    with pytest.raises(UserError, match="no model"):
        jobs_of([task("a", "x/y"), task("b")], 1, Settings(), "")


def test_every_task_is_tried_before_one_is_tried_again() -> None:
    jobs = jobs_of([task("a", "m"), task("b", "m")], 2, Settings(), "")
    assert [(job[0].name, job[1]) for job in jobs] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


async def test_so_many_run_at_once_and_no_more(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)
    running: set[str] = set()
    most = 0

    async def run(job: Job) -> Result:
        nonlocal most
        running.add(job[0].name)
        most = max(most, len(running))
        async with asyncio.timeout(30):
            await both.wait()
        running.remove(job[0].name)
        return Result(task=job[0].name, trial=job[1], model="m", outcome="passed")

    jobs = jobs_of([task(name, "m") for name in "abcd"], 1, Settings(), "")
    results, heard = Results(tmp_path / "results.jsonl"), list[str]()
    await run_jobs(jobs, run, results, at_once=2, on_result=lambda r: heard.append(r.task))
    results.close()

    assert most == 2
    lines = (tmp_path / "results.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Result).task for line in lines] == heard
    assert sorted(heard) == ["a", "b", "c", "d"]


def test_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = {new_folder(tmp_path / "runs") for _ in range(3)}
    assert len(folders) == 3
