"""What test runners say in a form for machines, as one status for each test by name.

A report that cannot be read has no tests in it. A name that comes twice gets a number, so that
none hides another.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from xml.etree import ElementTree

Status = Literal["passed", "failed", "skipped"]
Pairs = Iterable[tuple[str, Status]]


@dataclass(frozen=True, slots=True)
class Run:
    """How the tests' program ended: its report files by name, what it printed, its exit code."""

    files: Mapping[str, bytes]
    output: str = ""
    exit_code: int | None = 0


def read_report(kind: str, run: Run) -> dict[str, Status]:
    """The status of each test."""
    found: dict[str, Status] = {}
    for name, status in READERS[kind](run):
        count, unique = 1, name
        while unique in found:
            count += 1
            unique = f"{name} #{count}"
        found[unique] = status
    return found


def _junit(run: Run) -> Pairs:
    for data in _named(run, ".xml"):
        try:
            root = ElementTree.fromstring(data)
        except ElementTree.ParseError:
            continue
        for case in root.iter("testcase"):
            name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
            wrong = case.find("failure") is not None or case.find("error") is not None
            status: Status = "failed" if wrong else "passed"
            yield name, "skipped" if case.find("skipped") is not None else status


def _go(run: Run) -> Pairs:
    statuses: dict[str, Status] = {"pass": "passed", "fail": "failed", "skip": "skipped"}
    for event in _lines(run, ".json"):
        test, action = event.get("Test"), event.get("Action")
        # Subtests are the table of one test: their test fails with them.
        if isinstance(test, str) and "/" not in test and action in statuses:
            yield f"{event.get('Package')}::{test}", statuses[action]


def _jest(run: Run) -> Pairs:
    statuses: dict[str, Status] = {"passed": "passed", "failed": "failed"}
    for data in _named(run, ".json"):
        for suite in _list(_object(data).get("testResults")):
            for test in _list(suite.get("assertionResults")):
                yield str(test.get("fullName")), statuses.get(str(test.get("status")), "skipped")


_RUNNING = re.compile(r"^\s+(?:Running (?:unittests )?(\S+)|Doc-tests (\S+))")
_LIBTEST = re.compile(r"^test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)\b")


def _libtest(run: Run) -> Pairs:
    statuses: dict[str, Status] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
    place = ""
    for data in _named(run, ".txt"):
        for line in data.decode("utf-8", "replace").splitlines():
            if found := _RUNNING.match(line):
                place = found[1] or found[2]
            elif found := _LIBTEST.match(line):
                yield f"{place}::{found[1]}", statuses[found[2]]


_SUMMARY = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) (?:\[\d+\] )?(\S+)")


def _pytest(run: Run) -> Pairs:
    """The short summary that pytest prints with `-rA`, in a log."""
    for line in b"\n".join(_named(run, ".txt")).decode("utf-8", "replace").splitlines():
        if found := _SUMMARY.match(line):
            word = found[1]
            status: Status = "skipped" if word == "SKIPPED" else "failed"
            yield found[2], "passed" if word in ("PASSED", "XFAIL") else status


def _exit(run: Run) -> Pairs:
    """A check of its author's own: the exit code is all there is."""
    yield "check", "passed" if run.exit_code == 0 else "failed"


def _reward(run: Run) -> Pairs:
    """Harbor's: one number, or an object of numbers, each of which passes from 1 on.

    What is none, or not finite, is no verdict at all, there as here. Each goes by its file, for
    what is tested may leave another one than the tests do.
    """
    for name in ("reward.txt", "reward.json"):
        data = run.files.get(name, b"")
        rewards: dict[str, Any] = _object(data) if name.endswith(".json") else {"": _number(data)}
        if all(isinstance(each, int | float) and math.isfinite(each) for each in rewards.values()):
            for key, value in rewards.items():
                yield f"{name} {key}".rstrip(), "passed" if value >= 1 else "failed"


def _number(data: bytes) -> float:
    try:
        return float(data.decode("utf-8", "replace"))
    except ValueError:
        return math.nan


READERS: Mapping[str, Callable[[Run], Pairs]] = {
    "junit": _junit,
    "go": _go,
    "jest": _jest,
    "libtest": _libtest,
    "pytest": _pytest,
    "reward": _reward,
    "exit": _exit,
}


def words_of(kind: str, run: Run) -> str:
    """What the run printed, for a person or a model."""
    if kind != "go":
        return run.output
    said = "".join(str(event.get("Output", "")) for event in _lines(run, ".json"))
    return run.output + said


def _named(run: Run, ending: str) -> list[bytes]:
    return [data for name, data in sorted(run.files.items()) if name.endswith(ending)]


def _object(data: bytes) -> dict[str, Any]:
    try:
        value: Any = json.loads(data)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[dict[str, Any]]:
    found = cast("list[Any]", value) if isinstance(value, list) else []
    return [each for each in found if isinstance(each, dict)]


def _lines(run: Run, ending: str) -> list[dict[str, Any]]:
    return [_object(line) for data in _named(run, ending) for line in data.splitlines()]
