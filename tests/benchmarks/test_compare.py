"""Summaries and comparisons of made-up results."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from agent.core.errors import UserError
from agent.core.messages import Usage
from benchmarks.compare import Run, compare, worded
from benchmarks.exports import junit, table_csv
from benchmarks.manifest import Manifest, Wanted
from benchmarks.publish import aider_yaml, markdown, text_patch
from benchmarks.results import Outcome, Result, Try
from benchmarks.summary import Rate, summarise

WANTED = Wanted(suite="s", path="/p", model="m/x", protocol="aider", tries=2)


def result(task: str, outcome: Outcome = "passed", *, at: int = 1, **more) -> Result:
    tries = tuple(
        Try(passed=outcome == "passed" and number == at, reason="") for number in range(1, at + 1)
    )
    usage = Usage(1000, 0, 100, 0.5)
    known = Result(
        task=task, trial=1, model="m/x", outcome=outcome, tries=tries, usage=usage,
        seconds=30.0, language=task[0], folder=f"trials/{task}", protocol="aider",
    )  # fmt: skip
    return replace(known, **more)


def run(*results: Result, wanted: Wanted = WANTED, **more) -> Run:
    tasks = {each.task: "1" for each in results}
    manifest = Manifest(
        wanted=wanted, tasks=tasks, code="c0de", commit="0123456", started="2026-01-02 03:04:05"
    )
    return Run(replace(manifest, **more), results, Path("/runs/one"))


ODD = Try(passed=False, reason="tests_failed", failed=('<é>\x00\x1b"x"',))
FOUR = (
    result("a1"),
    result("a2", at=2),
    result("b1", "failed", reason="tests_failed", at=2),
    result("b2", "invalid", reason="model_error", tries=()),
)


def test_what_has_no_verdict_is_in_no_rate_and_makes_a_run_incomplete() -> None:
    one = run(*FOUR)
    found = summarise(one.manifest, FOUR)

    assert found.rate == Rate(2, 3, 0.666667, 0.20766, 0.938508)
    assert found.languages == {
        "a": Rate(2, 2, 1.0, 0.34238, 1.0),
        "b": Rate(0, 1, 0.0, 0.0, 0.793451),
    }
    assert found.pass_try == {"1": 0.3333, "2": 0.6667}
    assert (found.planned, found.complete) == (4, False)
    assert found.reasons == {"tests_failed": 1, "model_error": 1}
    assert (found.tokens, found.cost) == (4400, 2.0)
    assert summarise(one.manifest, FOUR[:3]).complete is False
    assert summarise(run(*FOUR[:3]).manifest, FOUR[:3]).complete


def test_a_second_sample_is_no_second_try() -> None:
    twice = [replace(result(task, outcome), trial=trial) for task, trial, outcome in (
        ("a", 1, "passed"), ("a", 2, "failed"), ("b", 1, "failed"), ("b", 2, "failed"),
    )]  # fmt: skip
    one = run(*twice, wanted=replace(WANTED, trials=2, tries=1))
    found = summarise(one.manifest, twice)

    assert (found.rate.share, found.rate.judged) == (0.25, 4)
    # Of two tasks with 1/2 and 0 a resample is both times the one, or both times the other.
    assert (found.rate.low, found.rate.high) == (0.0, 0.5)
    assert found.pass_at == {"1": 0.25, "2": 0.5}
    assert found.pass_try == {"1": 0.25}


def test_cost_that_is_not_known_is_not_nothing() -> None:
    unknown = [result("a"), result("b", usage=Usage(1, 0, 1, None))]
    one = run(*unknown)
    assert summarise(one.manifest, unknown).cost is None
    assert "cost unknown" in markdown(summarise(one.manifest, unknown), unknown)
    assert "total_cost: null" in aider_yaml("x", one.manifest, unknown)


def test_the_summary_for_people() -> None:
    lines = markdown(summarise(run(*FOUR).manifest, FOUR), FOUR).splitlines()
    assert lines[:10] == [
        "# s, aider: m/x",
        "",
        "**passed: 66.7 % of 3 (95 %: 20.8 to 93.9)** — the run is not complete",
        "",
        "- 4 of 4 trials: 1 failed, 1 invalid, 2 passed",
        "- passed within 1 tries: 33.3 %",
        "- passed within 2 tries: 66.7 %",
        "- 4,400 tokens, cost $2.0000, agents 2.0 min, tests 0.0 min",
        "- glovebox 0123456, 2026-01-02 03:04:05",
        "",
    ]


def test_aiders_keys_with_a_hash_that_stays_a_text() -> None:
    assert (
        aider_yaml("name", run(*FOUR).manifest, FOUR)
        == """\
- dirname: "name"
  test_cases: 3
  model: "m/x"
  edit_format: "tools"
  commit_hash: "0123456"
  pass_rate_1: 33.3
  pass_rate_2: 66.7
  pass_num_1: 1
  pass_num_2: 2
  percent_cases_well_formed: null
  error_outputs: null
  num_malformed_responses: null
  num_with_malformed_responses: null
  user_asks: null
  lazy_comments: null
  syntax_errors: null
  indentation_errors: null
  exhausted_context_windows: 0
  prompt_tokens: 3000
  completion_tokens: 300
  test_timeouts: 0
  total_tests: 4
  command: "glovebox benchmarks, protocol aider"
  date: "2026-01-02"
  versions: "c0de"
  seconds_per_case: 30.0
  total_cost: 1.5
"""
    )


def flipped(won: int, lost: int, same: int) -> tuple[Run, Run]:
    names = [f"t{number:02}" for number in range(won + lost + same)]
    before: list[Outcome] = ["failed"] * won + ["passed"] * (lost + same)
    after: list[Outcome] = ["passed"] * won + ["failed"] * lost + ["passed"] * same
    one, other = (
        run(*(result(name, outcome) for name, outcome in zip(names, outcomes, strict=True)))
        for outcomes in (before, after)
    )
    return one, other


@pytest.mark.parametrize(
    ("won", "lost", "p", "verdict"),
    [
        (9, 1, 22 / 1024, "better"),
        (1, 9, 22 / 1024, "worse"),
        (5, 1, 14 / 64, "cannot tell"),
        (0, 0, 1.0, "cannot tell"),
    ],
)
def test_flips_both_ways_say_whether_a_run_is_better(
    won: int, lost: int, p: float, verdict: str
) -> None:
    one, other = flipped(won, lost, 20)
    found = compare(one, other)

    assert (len(found.won), len(found.lost), found.common) == (won, lost, won + lost + 20)
    assert found.p == pytest.approx(p)
    assert found.verdict == verdict
    assert found.difference == pytest.approx((won - lost) / found.common)
    assert found.low <= found.difference <= found.high
    assert found == compare(one, other)


def test_it_says_what_could_have_been_seen() -> None:
    one, other = flipped(5, 3, 10)
    said = worded(compare(one, other), one, other)
    assert "Cannot tell which is better." in said
    assert "Of 8 flips at least 8 would have to go one way" in said
    assert "won t00: /runs/one/trials/t00 -> /runs/one/trials/t00" in said
    few = flipped(2, 1, 10)
    assert "3 flips are too few" in worded(compare(*few), *few)


def test_only_tasks_with_a_verdict_and_the_same_version_in_both_are_compared() -> None:
    one = run(result("a"), result("b"), result("c"), result("d"))
    other = run(
        result("a", "failed"),
        result("b", "invalid"),
        result("c"),
        tasks={"a": "1", "b": "1", "c": "2"},
        quarantine={"e": "why"},
    )
    found = compare(one, other)
    assert (found.common, found.dropped, found.lost) == (1, 3, ("a",))
    assert found.warnings == (
        "they leave out different tasks",
        "1 tasks are not the same in both and were dropped",
    )


def test_what_is_not_known_of_every_task_is_not_compared() -> None:
    dear = replace(result("b"), usage=Usage(3000, 0, 100, None))
    one, other = run(result("a"), result("b")), run(result("a"), dear)

    assert [each.name for each in compare(one, one).measures] == ["dollars", "tokens", "seconds"]
    assert {each.name: each.difference for each in compare(one, other).measures} == {
        "tokens": 1000.0,
        "seconds": 0.0,
    }


def test_other_protocols_are_not_compared() -> None:
    one = run(result("a"))
    other = run(result("a"), wanted=replace(WANTED, protocol="agentic"))
    with pytest.raises(UserError, match="`protocol` is 'agentic' in one and 'aider'"):
        compare(one, other)


def test_of_several_trials_each_the_tasks_are_resampled() -> None:
    def thrice(*passed: int) -> Run:
        results = [
            replace(result(f"t{task:02}", "passed" if trial < good else "failed"), trial=trial)
            for task, good in enumerate(passed)
            for trial in range(3)
        ]
        return run(*results, wanted=replace(WANTED, trials=3))

    found = compare(thrice(*[0] * 10), thrice(*[2] * 10))
    assert (found.p, found.verdict) == (None, "better")
    assert (found.difference, found.low, found.high) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert compare(thrice(1, 1, 1), thrice(2, 0, 1)).verdict == "cannot tell"


def test_a_prediction_holds_text_and_ends_in_a_newline() -> None:
    text = b"diff --git a/%s b/%s\n--- a/%s\n+++ b/%s\n@@ -1 +1 @@\n-a\n+b"
    one, other = (text % ((name,) * 4) for name in (b"a.py", b"c.py"))
    image = b"diff --git a/x.png b/x.png\nGIT binary patch\nliteral 1\nIc\n"

    assert text_patch(b"\n".join([one, image, other])) == f"{one.decode()}\n{other.decode()}\n"
    assert text_patch(b"\n".join([image, one]) + b"\r\n") == f"{one.decode()}\r\n"
    assert text_patch(image) == text_patch(b"") == ""


def test_other_programs_can_read_the_results() -> None:
    odd = result("a3", "failed", reason="tests_failed", tries=(ODD,))
    one = run(*FOUR, odd)

    root = ElementTree.fromstring(junit(one.manifest, one.results))
    lines = list(csv.DictReader(io.StringIO(table_csv(one.manifest, one.results))))

    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "2", "1")
    cases = {case.get("name"): [(c.tag, c.get("message")) for c in case] for case in root}
    assert cases["a1#1"] == []
    assert cases["a3#1"] == [("failure", 'tests_failed, <é>??"x"')]
    assert cases["b2#1"] == [("error", "model_error")]
    assert {line["task"]: line["outcome"] for line in lines} == {
        each.task: each.outcome for each in one.results
    }
    assert (lines[0]["dollars"], lines[0]["tries"], lines[0]["prompt_tokens"]) == (
        "0.5",
        "1",
        "1000",
    )
