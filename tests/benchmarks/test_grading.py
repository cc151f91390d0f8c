"""Verdicts: of reports alone, and of made-up exercises in real sandboxes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import ItemsView
from pathlib import Path

import pytest

from benchmarks.expectations import Expectations
from benchmarks.grading import Turns, grade, judge
from benchmarks.results import Tests
from benchmarks.suites.local import load
from benchmarks.tasks import Content, Work
from benchmarks.validation import validate
from tests.benchmarks.exercises import EXERCISES
from tests.benchmarks.places import a_place, a_task, require, toolchains
from tests.benchmarks.test_tasks import make

TWO = ("a", "b")


def test_all_that_is_expected_must_have_passed() -> None:
    verdict = judge({"a": "passed", "b": "passed"}, TWO, 0)
    assert (verdict.passed, verdict.reason, verdict.tests) == (True, "", Tests(2))
    assert verdict.names == TWO


def test_fewer_tests_than_expected_are_no_pass_whatever_the_exit_code_says() -> None:
    none = judge({}, TWO, 0)
    fewer = judge({"a": "passed"}, TWO, 0)
    skipped = judge({"a": "passed", "b": "skipped"}, TWO, 0)
    assert (none.passed, none.reason, none.tests.missing) == (False, "tests_missing", 2)
    assert (fewer.passed, fewer.reason, fewer.tests.missing) == (False, "tests_missing", 1)
    assert (skipped.passed, skipped.reason) == (False, "tests_missing")


def test_a_failed_test_or_another_exit_code_is_no_pass() -> None:
    assert judge({"a": "passed", "b": "failed"}, TWO, 1).reason == "tests_failed"
    assert judge({"a": "passed", "b": "passed", "c": "failed"}, TWO, 0).reason == "tests_failed"
    assert judge({"a": "passed", "b": "passed"}, TWO, 1).reason == "exit_code"


def test_an_empty_report_passes_nothing_where_nothing_is_expected() -> None:
    assert judge({}, None, 0).reason == "tests_missing"
    assert judge({}, (), 0).reason == "tests_missing"
    assert judge({"a": "passed"}, None, 0).passed


def test_what_else_there_is_does_not_count_where_only_the_expected_does() -> None:
    found = judge({"a": "passed", "b": "passed", "c": "failed"}, TWO, 1, exact=True)
    assert (found.passed, found.tests) == (True, Tests(2))


async def test_who_is_alone_waits_for_the_others_and_keeps_them_out() -> None:
    turns, running, seen = Turns(2), set[str](), list[tuple[str, set[str]]]()
    begun, go = asyncio.Barrier(3), asyncio.Event()

    async def beside(name: str) -> None:
        async with turns.one():
            running.add(name)
            if name in "ab":
                await begun.wait()
                await go.wait()
            seen.append((name, set(running)))
            await asyncio.sleep(0)
            running.remove(name)

    async def alone(name: str) -> None:
        async with turns.alone():
            running.add(name)
            await asyncio.sleep(0)
            seen.append((name, set(running)))
            running.remove(name)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for name in "ab":
            group.create_task(beside(name))
        await begun.wait()
        for work, name in ((alone, "X"), (alone, "Y"), (beside, "c")):
            group.create_task(work(name))
        await asyncio.sleep(0)
        go.set()

    assert {name: with_it for name, with_it in seen if name in "XY"} == {"X": {"X"}, "Y": {"Y"}}
    assert sorted(name for name, _ in seen) == ["X", "Y", "a", "b", "c"]


class Slow(dict[str, Content]):
    """Files of a check that says the first time that it must wait."""

    def items(self) -> ItemsView[str, Content]:
        found = dict(self)
        self["wait"] = b"0"
        return found.items()


@pytest.mark.slow
@pytest.mark.sandbox
async def test_tests_that_ran_out_of_time_run_once_more_and_the_verdict_says_so(
    tmp_path: Path,
) -> None:
    check = {"check.sh": 'sleep "$(cat "$CHECK/wait")"\n', "task.toml": "check_seconds = 2\n"}
    (task,) = load(make(tmp_path / "task", **check))
    once = dataclasses.replace(task, hidden=Slow(wait=b"300"))
    ever = dataclasses.replace(task, hidden={"wait": b"300"})
    with a_place() as place:
        passed, late = [
            await grade(each, Work(), ("check",), place, place.folder / "graded")
            for each in (once, ever)
        ]

    assert (passed.passed, passed.reason, passed.again) == (True, "", True), passed
    assert (late.passed, late.reason, late.again) == (False, "test_timeout", True)


@pytest.mark.slow
@pytest.mark.sandbox
async def test_validation_tells_tasks_that_say_something_from_those_that_say_nothing(
    tmp_path: Path,
) -> None:
    wants = {"check.sh": '[ "$(cat a.txt)" = b ]\n'}
    for name, more in {
        "good": {**wants, "solution/a.txt": "b\n"},
        "wrong": {**wants, "solution/a.txt": "c\n"},
        "idle": {"solution/a.txt": "b\n"},
        "none": wants,
    }.items():
        make(tmp_path / "tasks" / name, **more)
    known, told = Expectations(tmp_path / "expected.json"), list[str]()
    with a_place() as place:
        unclear = await validate(
            load(tmp_path / "tasks"), known, place, repeat=1, at_once=2,
            tell=lambda task, found, verdict: told.append(task.id),
        )  # fmt: skip

    assert unclear == ["local/none: `local/none` has no reference"]
    assert sorted(told) == ["local/good", "local/idle", "local/wrong"]
    read = Expectations(tmp_path / "expected.json").tasks
    assert {name: (found.tests, found.quarantine) for name, found in read.items()} == {
        "local/good": (("check",), ""),
        "local/idle": (("check",), "it passes untouched"),
        "local/wrong": ((), "its reference does not pass: tests_failed"),
    }


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.parametrize("language", sorted(EXERCISES))
async def test_the_reference_passes_and_neither_nothing_nor_a_way_out_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    toolchains(monkeypatch)
    task, made = a_task(tmp_path, language), EXERCISES[language]
    prefix = "leap-year/" if language == "cpp" else ""
    left = {prefix + name: text.encode() for name, text in made.leaves.items()}
    assert task.reference is not None

    with a_place() as place:
        await require(task, place)
        oracle, nothing, leaving = [
            await grade(task, work, made.names, place, place.folder / name / "leap-year")
            for name, work in (("a", task.reference), ("b", Work()), ("c", Work(left)))
        ]

    assert oracle.problem is None
    assert (oracle.passed, oracle.tests) == (True, Tests(len(made.names))), oracle.output
    assert sorted(oracle.names) == sorted(made.names)
    assert not nothing.passed
    assert nothing.reason in ("tests_failed", "tests_missing")
    assert (leaving.passed, leaving.reason) == (False, "tests_missing"), leaving.output
