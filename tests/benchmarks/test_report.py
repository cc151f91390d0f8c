from __future__ import annotations

from agent.core.events import Problem
from agent.core.messages import Usage
from benchmarks.report import row_text, table, totals
from benchmarks.results import Result, Try

PASSED = Result(
    task="b", trial=1, model="m", outcome="passed", seconds=1.26, steps=3,
    usage=Usage(1000, 10, 234, 0.5), branch="glovebox/1", commit="c" * 40,
)  # fmt: skip
FAILED = Result(
    task="a", trial=1, model="m", outcome="failed", reason="tests_failed", seconds=12.0, steps=12,
    usage=Usage(10, 0, 1, None),
)  # fmt: skip
BROKEN = Result(
    task="long-name", trial=1, model="m", outcome="invalid", reason="auth_error",
    problem=Problem("LlmAuthError", "the key was refused"),
)  # fmt: skip


def test_the_table_is_in_columns_and_knows_what_it_does_not_know() -> None:
    error = "invalid: auth_error: the key was refused"
    result = len(error)
    assert table([PASSED, FAILED, BROKEN]).splitlines() == [
        f"task       {'result':{result}}    time  steps  tokens     cost  branch",
        f"a          {'failed: tests_failed':{result}}  12.0 s     12      11  unknown  -",
        f"b          {'passed':{result}}   1.3 s      3   1,234  $0.5000  glovebox/1",
        f"long-name  {error}   0.0 s      0       0  $0.0000  -",
        "",
        "1 passed, 1 failed, 1 without a verdict · pass rate 50.0 % of 2 (95 %: 9.5 to 90.5)"
        " · 1,245 tokens · cost unknown",
    ]


def test_what_has_no_verdict_is_no_failure() -> None:
    assert "pass rate 100.0 % of 1" in totals([PASSED, BROKEN])
    assert "pass rate no verdict" in totals([BROKEN])


def test_trials_of_one_task_hang_together_in_the_table_as_in_the_summary() -> None:
    """Six trials of two tasks say as much as two tasks: all that is sure is the middle."""
    six = [
        Result(task=task, trial=trial, model="m", outcome=outcome)
        for task, outcome in (("a", "passed"), ("b", "failed"))
        for trial in (1, 2, 3)
    ]
    assert "pass rate 50.0 % of 6 (95 %: 0.0 to 100.0)" in totals(six)


def test_trials_of_a_task_are_told_apart() -> None:
    again = Result(task="b", trial=2, model="m", outcome="passed")
    rows = table([again, PASSED]).splitlines()
    assert [row.split()[0] for row in rows[1:3]] == ["b#1", "b#2"]


def test_a_verdict_of_tests_that_ran_twice_says_so() -> None:
    tries = (Try(passed=True, reason="", again=True),)
    again = Result(task="b", trial=1, model="m", outcome="passed", tries=tries)
    assert "passed: (tests run twice)" in table([again])
    assert row_text(again).endswith("(tests run twice)")
    assert row_text(PASSED) == "passed   b#1  1.3 s"
