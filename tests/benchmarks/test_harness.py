"""`python -m benchmarks` as a process, in real sandboxes, with scripted models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.host import env, files
from tests.benchmarks.test_tasks import make
from tests.e2e.conftest import user
from tests.e2e.rig import User
from tests.servers.openai import Fault, OpenAIServer

__all__ = ["user"]

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

ROOT = Path(__file__).parent.parent.parent
SCRIPTED = 'model = "script:replies.toml"\n'


def bash(command: str) -> str:
    return f"""
[[reply]]
[[reply.calls]]
name = "bash"
arguments = {{ command = {json.dumps(command)} }}

[[reply]]
text = "done"
"""


def argv(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks", *arguments]


def run(user: User, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    runs = str(user.home / "runs")
    return benchmarks(user, "run", "local", *arguments, "--out", runs, **environment)


def benchmarks(user: User, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(*arguments),
        cwd=ROOT,
        env=user.environment | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def results(user: User) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in (the_run(user) / "results.jsonl").read_text().splitlines()]
    return {row["task"].rpartition("/")[2]: row for row in rows}


def the_run(user: User) -> Path:
    (folder,) = (user.home / "runs").iterdir()
    return folder


def repository(user: User, row: dict[str, Any]) -> Path:
    return the_run(user) / row["folder"] / "work" / row["task"].rpartition("/")[2]


def test_three_tasks_two_at_once_of_which_one_fails(user: User) -> None:
    tasks = user.home / "tasks"
    wanted = '[ "$(cat a.txt)" = b ]\n'
    for name, command in {
        "first": "echo b > a.txt",
        "second": "true",
        "third": "echo b>a.txt",
    }.items():
        replies = {"task.toml": SCRIPTED, "replies.toml": bash(command)}
        make(tasks / name, **{"check.sh": wanted, **replies})

    done = run(user, str(tasks), "--jobs", "2")

    assert done.returncode == 0, done.stderr
    rows = [row.split("  ") for row in done.stdout.splitlines()[:4]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert [row[:2] for row in cells] == [
        ["task", "result"],
        ["local/first", "passed"],
        ["local/second", "failed: tests_failed"],
        ["local/third", "passed"],
    ]
    assert [row[3:] for row in cells[1:]] == [
        ["2", "0", "$0.0000", "glovebox/1"],
        ["2", "0", "$0.0000", "-"],
        ["2", "0", "$0.0000", "glovebox/1"],
    ]
    assert "2 passed, 1 failed, 0 without a verdict · pass rate 66.7 % of 3 (95 %:" in done.stdout


def test_the_work_is_on_a_branch_and_the_users_own_state_is_untouched(user: User) -> None:
    task = make(
        user.home / "task", **{"task.toml": SCRIPTED, "replies.toml": bash("echo b > b.txt")}
    )

    run(user, str(task))

    at = repository(user, results(user)["task"])
    assert user.git("show", "glovebox/1:b.txt", at=at) == "b"
    assert user.git("status", "--porcelain", at=at) == ""
    assert list((user.state / "glovebox").iterdir()) == []
    assert files.children(env.sandbox_dir(the_run(user) / "state")) == []


def test_the_check_is_nowhere_inside_before_the_turn_is_over(user: User) -> None:
    look = "find / -name 'zq-secret*' -not -path '/proc/*' 2>/dev/null > found.txt; cat found.txt"
    make(
        user.home / "task",
        **{
            "check.sh": 'test ! -s found.txt && test "$(cat "$CHECK/zq-secret.txt")" = 42\n',
            "check/zq-secret.txt": "42\n",
            "task.toml": SCRIPTED,
            "replies.toml": bash(look),
        },
    )

    run(user, str(user.home / "task"))

    assert results(user)["task"]["outcome"] == "passed", results(user)


def test_a_turn_that_runs_out_of_time_is_judged_by_what_it_did(user: User) -> None:
    late = {"task.toml": f"seconds = 2\n{SCRIPTED}"}
    slow = bash("echo b > b.txt; sleep 300")
    make(user.home / "tasks/good", **late, **{"replies.toml": slow, "check.sh": "test -f b.txt\n"})
    make(user.home / "tasks/bad", **late, **{"replies.toml": slow, "check.sh": "test -f c.txt\n"})

    done = run(user, str(user.home / "tasks"))

    found = {name: (row["outcome"], row["reason"]) for name, row in results(user).items()}
    assert found == {"good": ("passed", ""), "bad": ("failed", "agent_timeout")}
    assert done.returncode == 0


def test_a_check_that_does_not_end_has_failed(user: User) -> None:
    make(
        user.home / "task",
        **{
            "check.sh": "sleep 300\n",
            "task.toml": f"check_seconds = 1\n{SCRIPTED}",
            "replies.toml": bash("true"),
        },
    )

    run(user, str(user.home / "task"))

    row = results(user)["task"]
    assert (row["outcome"], row["reason"]) == ("failed", "test_timeout")
    assert row["tries"][0]["exit_code"] is None


def test_a_provider_that_refuses_is_no_verdict(user: User) -> None:
    make(user.home / "tasks/good", **{"task.toml": SCRIPTED, "replies.toml": bash("true")})
    make(user.home / "tasks/none", **{"task.toml": 'model = "openai/test-model"\n'})

    with OpenAIServer([Fault(401, "bad key")]) as server:
        done = run(user, str(user.home / "tasks"), OPENAI_BASE_URL=server.url)

    assert done.returncode == 1
    assert "invalid: auth_error" in done.stdout
    assert "1 passed, 0 failed, 1 without a verdict · pass rate 100.0 % of 1 (" in done.stdout
    assert results(user)["none"]["tries"] == []


def test_the_sample_tasks_pass_by_their_scripts_and_fail_untouched(user: User) -> None:
    done = run(user, str(ROOT / "benchmarks/tasks"))
    assert "3 passed, 0 failed, 0 without a verdict" in done.stdout, done.stdout + done.stderr

    tasks = user.home / "tasks"
    subprocess.run(["cp", "-R", str(ROOT / "benchmarks/tasks"), str(tasks)], check=True)
    for replies in tasks.glob("*/replies.toml"):
        replies.write_text('[[reply]]\ntext = "nothing to do"\n')
    subprocess.run(["rm", "-rf", str(user.home / "runs")], check=True)
    assert "0 passed, 3 failed" in run(user, str(tasks)).stdout


def test_a_folder_without_tasks_is_a_usage_error(user: User) -> None:
    done = run(user, str(user.home))
    assert done.returncode == 2
    assert "instruction.md" in done.stderr
