"""Runs that are ended and go on, as processes."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.host import env, files
from benchmarks.manifest import in_order
from benchmarks.suites.local import load
from tests.benchmarks.test_harness import ROOT, SCRIPTED, argv, bash, benchmarks, the_run, user
from tests.benchmarks.test_tasks import make
from tests.e2e.rig import User
from tests.servers.openai import OpenAIServer, say

__all__ = ["user"]

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]


@contextmanager
def begun(user: User, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """A run in the background, one trial at a time."""
    out = ("--out", str(user.home / "runs"), "--jobs", "1")
    with subprocess.Popen(
        argv("run", "local", *arguments, *out),
        cwd=ROOT,
        env=user.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it never said `{words}`")


def until_they_work(run: Path, count: int) -> None:
    """Wait until so many agents of the run have begun with a command."""
    deadline = time.monotonic() + 100
    while (
        sum(b'"CallStarted"' in path.read_bytes() for path in run.rglob("journal*.jsonl")) < count
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def outcomes(user: User) -> list[tuple[str, str, str]]:
    lines = (the_run(user) / "results.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row["task"].removeprefix("local/"), row["outcome"], row["reason"]) for row in rows]


def tasks_of(user: User, **commands: str) -> Path:
    for name, command in commands.items():
        make(
            user.home / "tasks" / name,
            **{"task.toml": SCRIPTED, "replies.toml": bash(command), "check.sh": "test -f b\n"},
        )
    return user.home / "tasks"


def test_a_killed_run_goes_on_with_what_was_not_done_and_as_nothing_else(user: User) -> None:
    tasks = tasks_of(user, a="touch b", b="touch b", c="touch b")
    only = ("--only", "local/[ab]")
    first, last = in_order(load(tasks)[:2], 0)
    (last.folder / "replies.toml").write_text(bash("sleep 300"))
    with begun(user, str(tasks), *only) as process:
        until(process, "[1/2]")
        until_they_work(the_run(user), 2)
        process.kill()
    assert outcomes(user) == [(first.id.removeprefix("local/"), "passed", "")]
    run = str(the_run(user))

    (tasks / "a/instruction.md").write_text("Do something else.\n")
    refused = benchmarks(user, "resume", run)
    assert refused.returncode == 2
    assert "`local/a` is another one" in refused.stderr
    (tasks / "a/instruction.md").write_text("Do it.\n")
    (last.folder / "replies.toml").write_text(bash("touch b"))
    narrower = benchmarks(user, "resume", run, GLOVEBOX_STEPS="7")
    assert narrower.returncode == 2
    assert "the setting `steps`" in narrower.stderr

    done = benchmarks(user, "resume", run)

    assert done.returncode == 0, done.stderr
    assert sorted(outcomes(user)) == [("a", "passed", ""), ("b", "passed", "")]
    assert files.children(env.sandbox_dir(Path(run) / "state")) == []
    assert benchmarks(user, "resume", run).returncode == 0
    assert len(outcomes(user)) == 2


def test_what_has_no_verdict_is_redone_when_that_is_asked_for(user: User) -> None:
    tasks = tasks_of(user, a="touch b", b="touch b")
    (tasks / "b/replies.toml").write_text("reply = []\n")
    first = benchmarks(user, "run", "local", str(tasks), "--out", str(user.home / "runs"))
    assert first.returncode == 1, first.stderr
    assert sorted(outcomes(user)) == [("a", "passed", ""), ("b", "invalid", "model_error")]
    (tasks / "b/replies.toml").write_text(bash("touch b"))

    left = benchmarks(user, "resume", str(the_run(user)))
    assert (left.returncode, len(outcomes(user))) == (1, 2)
    again = benchmarks(user, "resume", str(the_run(user)), "--retry", "invalid")

    assert again.returncode == 0, again.stderr
    assert outcomes(user)[2:] == [("b", "passed", "")]
    assert "2 passed, 0 failed, 0 without a verdict" in again.stdout


def test_asked_twice_a_run_ends_and_leaves_no_sandbox(user: User) -> None:
    tasks = tasks_of(user, a="sleep 300", b="sleep 300")
    with begun(user, str(tasks)) as process:
        until(process, "run: ")
        until_they_work(the_run(user), 1)
        process.send_signal(signal.SIGINT)
        until(process, "again to end")
        process.send_signal(signal.SIGINT)
        assert process.wait(100) == 130

    assert outcomes(user) == []
    assert files.children(env.sandbox_dir(the_run(user) / "state")) == []


def test_a_run_stops_when_its_tokens_are_gone_or_would_likely_be_and_goes_on_with_more(
    user: User,
) -> None:
    tasks = tasks_of(user, a="", b="", c="")
    million = {"prompt_tokens": 900_000, "completion_tokens": 100_000, "total_tokens": 1_000_000}
    with OpenAIServer([say("done", usage=million)] * 3) as server:
        there = {"OPENAI_BASE_URL": server.url}
        model = ("--model", "openai/test-model", "--out", str(user.home / "runs"), "--jobs", "1")
        spent = benchmarks(user, "run", "local", str(tasks), *model, "--max-tokens", "9", **there)
        assert spent.returncode == 1, spent.stderr
        assert [(outcome, reason) for _, outcome, reason in outcomes(user)] == [
            ("invalid", "run_budget")
        ]
        assert server.requests == []

        run = str(the_run(user))
        some = benchmarks(user, "resume", run, "--max-tokens", "2500000", **there)
        assert len(server.requests) == 2
        more = benchmarks(user, "resume", run, "--max-tokens", "9000000", **there)

    assert some.returncode == 1, some.stderr
    assert "another trial would likely bring the run to 3,000,000 of 2,500,000" in some.stderr
    assert more.returncode == 0, more.stderr
    assert sorted(outcomes(user)[1:]) == [(name, "failed", "tests_failed") for name in "abc"]
