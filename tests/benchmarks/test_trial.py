"""Trials of a made-up exercise with a scripted model, in real sandboxes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from agent.host import files
from benchmarks.agents import given_by, trial_folder
from benchmarks.grading import Place
from benchmarks.results import Result, Tests
from benchmarks.tasks import Protocol, Task
from benchmarks.trial import How, run_trial
from tests.benchmarks.exercises import EXERCISES, TOKEN
from tests.benchmarks.places import a_place, a_task, require
from tests.benchmarks.test_harness import bash

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

NAMES = EXERCISES["python"].names
GOOD = "printf '%s\\n' 'def leap(year):' '    return year % 4 == 0' > leap_year.py"
BAD = "printf '%s\\n' 'def leap(year):' '    return False' > leap_year.py"


async def tried(
    task: Task, place: Place, folder: Path, *commands: str, protocol: Protocol, tries: int = 1
) -> Result:
    script = folder / "replies.toml"
    script.write_text("".join(bash(command) for command in commands))
    how = How(place.settings, protocol=protocol, tries=tries, expected={task.id: NAMES})
    return await run_trial(dataclasses.replace(task, model=f"script:{script}"), 1, how, place)


def journal_of(place: Place) -> list[dict[str, Any]]:
    """The events of the trial's own session."""
    (journal,) = [
        path
        for path in (place.folder / "state").rglob("journal*.jsonl")
        if b'"TurnStarted"' in path.read_bytes()
    ]
    return [json.loads(line).get("event", {}) for line in journal.read_text().splitlines()]


async def test_a_second_try_is_told_what_the_tests_printed_and_may_pass(tmp_path: Path) -> None:
    task = a_task(tmp_path, "python")
    with a_place() as place:
        await require(task, place)
        found = await tried(task, place, tmp_path, BAD, GOOD, protocol="aider", tries=2)
        events = journal_of(place)
        words = [each["message"]["text"] for each in events if each.get("type") == "TurnStarted"]

        assert found.problem is None
        assert (found.outcome, found.reason) == ("passed", "")
        assert [(each.passed, each.tests) for each in found.tries] == [
            (False, Tests(passed=1, failed=1)),
            (True, Tests(passed=2)),
        ]
        assert {each["network"] for each in events if each.get("type") == "SessionStarted"} == {
            "none"
        }
        assert words[0] == task.instruction
        assert len(words) == 2
        assert "leap_year_test.py" in words[1]
        assert "AssertionError" in words[1]

        run = given_by("replay", place.folder)
        again = How(place.settings, "replay", given=run, expected={task.id: NAMES})
        replayed = await run_trial(task, 1, again, place)
        assert (replayed.outcome, replayed.model) == ("passed", "replay")


@pytest.mark.parametrize("protocol", ["blind", "agentic"])
async def test_only_who_may_see_the_tests_can_find_them(tmp_path: Path, protocol: Protocol) -> None:
    task = a_task(tmp_path, "python")
    look = f"if grep -rqs {TOKEN} /workspace /tmp /home; then {GOOD}; else {BAD}; fi"
    with a_place() as place:
        await require(task, place)
        found = await tried(task, place, tmp_path, look, protocol=protocol)

    assert found.outcome == ("passed" if protocol == "agentic" else "failed"), found
    assert len(found.tries) == 1


async def test_what_is_touched_beside_the_solution_stays_behind_and_is_told(
    tmp_path: Path,
) -> None:
    task, made = a_task(tmp_path, "python"), EXERCISES["python"]
    plant = [f"cat > {name} <<'END'\n{text}END" for name, text in made.touched.items()]
    with a_place() as place:
        await require(task, place)
        command = "\n".join([*plant, "echo > leap_year_test.py", "mkdir x; echo > x/y"])
        found = await tried(task, place, tmp_path, command, protocol="agentic")
        work = files.read_text(trial_folder(place.folder, task.id, 1) / "work.json")

    assert (found.outcome, found.reason) == ("failed", "tests_failed"), found
    assert found.outside == ("conftest.py", "leap_year_test.py", "pytest.ini", "x/y")
    assert found.tampered
    assert sorted(json.loads(work)["files"]) == ["leap_year.py"]
