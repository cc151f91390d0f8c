from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest

from agent.core.errors import UserError
from benchmarks.agents import given_by
from benchmarks.publish import predictions
from benchmarks.results import Tests
from benchmarks.suites.swebench import load
from benchmarks.tasks import Task
from benchmarks.trial import How, run_trial
from tests.benchmarks.exercises import TOKEN
from tests.benchmarks.places import a_place
from tests.benchmarks.test_harness import bash

_EVAL = """#!/bin/bash
set -uxo pipefail
source /opt/miniconda3/bin/activate
cd /testbed
git checkout {base} tests/check.sh
git apply -v - <<'END'
--- a/tests/check.sh
+++ b/tests/check.sh
@@ -1 +1,2 @@
 grep -q one words.txt && echo PASSED tests/check.sh::one || echo FAILED tests/check.sh::one
+grep -q two words.txt && echo PASSED tests/check.sh::two || echo FAILED tests/check.sh::two
END
: '>>>>> Start Test Output'
bash tests/check.sh
: '>>>>> End Test Output'
git checkout {base} tests/check.sh
"""
_GOLD = "--- a/words.txt\n+++ b/words.txt\n@@ -1 +1,2 @@\n one\n+two\n"
NAMES = ("tests/check.sh::two", "tests/check.sh::one")


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def upstream(home: Path) -> str:
    """A clone with a commit to start at, and a later one that gives it away."""
    place = home / "repos/some__project"
    (place / "tests").mkdir(parents=True)
    git(place, "init", "-q")
    (place / "words.txt").write_text("one\n")
    line = _EVAL.split("@@\n ")[1].split("\n")[0]
    (place / "tests/check.sh").write_text(f"{line}\n")
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "start")
    base = git(place, "rev-parse", "HEAD")
    (place / "words.txt").write_text(f"one\ntwo\n{TOKEN}\n")
    git(place, "commit", "-q", "-am", TOKEN)
    return base


def in_folder(home: Path) -> Task:
    base, folder = upstream(home), home / "tasks/some__project-1"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(f"repo: some/project\nbase_commit: {base}\nversion: '1'\n")
    (folder / "tests.json").write_text(
        json.dumps({"FAIL_TO_PASS": NAMES[:1], "PASS_TO_PASS": NAMES[1:]})
    )
    (folder / "problem_statement.md").write_text("There is no two.\n")
    (folder / "hints.md").write_text(TOKEN)
    (folder / "gold.patch").write_text(_GOLD)
    (folder / "eval.sh").write_text(_EVAL.format(base=base))
    (task,) = load(home)
    return task


def lines(home: Path, **more: object) -> Path:
    instance = {
        "instance_id": "some__project-1",
        "repo": "some/project",
        "base_commit": upstream(home),
        "problem_statement": "There is no two.",
        "hints_text": TOKEN,
        "test_patch": TOKEN,
        "FAIL_TO_PASS": json.dumps(NAMES[:1]),
        "PASS_TO_PASS": json.dumps(NAMES[1:]),
    }
    path = home / "instances.jsonl"
    path.write_text(json.dumps(instance | more) + "\n")
    return path


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    one = in_folder(tmp_path / "a")
    (other,) = load(lines(tmp_path / "b", patch=_GOLD))

    assert one.id == other.id == "swebench/some__project-1"
    assert one.instruction == other.instruction
    assert one.instruction.startswith("There is no two.\n\n")
    assert one.expected == other.expected == NAMES
    assert one.reference == other.reference
    assert TOKEN not in one.instruction
    assert (one.grader is None, other.grader is None) == (False, True)


def test_a_clone_that_is_missing_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    path = lines(tmp_path)
    (tmp_path / "repos/some__project").rename(tmp_path / "elsewhere")

    with pytest.raises(UserError, match="some/project") as caught:
        load(path)
    assert "git clone --bare https://github.com/some/project" in caught.value.hint


@pytest.mark.slow
@pytest.mark.sandbox
async def test_the_reference_passes_nothing_does_not_and_an_agents_patch_may(
    tmp_path: Path,
) -> None:
    task, script = in_folder(tmp_path), tmp_path / "replies.toml"
    look = f"if grep -rqs {TOKEN} . || git log --all -p | grep -q {TOKEN}; then exit; fi"
    made = "echo two >> words.txt\necho >> tests/check.sh\nprintf '\\0' > a.bin\ngit add -A"
    script.write_text(bash(f"{look}\n{made}"))
    with a_place() as place:
        how = How(place.settings, expected={task.id: NAMES})
        oracle, nothing = [
            await run_trial(
                task, trial, dataclasses.replace(how, given=given_by(name, None)), place
            )
            for trial, name in ((2, "oracle"), (3, "nop"))
        ]
        scripted = dataclasses.replace(task, model=f"script:{script}")
        found = await run_trial(scripted, 1, how, place)
        said = predictions(place.folder, [found, oracle])

    assert (oracle.outcome, oracle.tries[0].tests) == ("passed", Tests(2))
    assert (nothing.outcome, nothing.reason) == ("failed", "tests_failed")
    assert nothing.tries[0].tests == Tests(1, 1)
    assert (found.outcome, found.tries[0].tests) == ("passed", Tests(2)), found
    (row,) = [json.loads(line) for line in said.splitlines()]
    assert row["instance_id"] == "some__project-1"
    assert "+two\n" in row["model_patch"]
    assert row["model_patch"].endswith("\n")
    assert "a.bin" not in row["model_patch"]
