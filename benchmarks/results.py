"""What is known of one trial after it: one line of JSON each, written as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from agent.core.events import Problem
from agent.core.messages import Usage
from agent.host.files import AppendFile

VERSION = 1

Outcome = Literal["passed", "failed", "error"]
"""`error` is no verdict: model, sandbox or harness were at fault. It stays out of the pass rate."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One trial of one task.

    `seconds` is the time of the turn, the sandbox's start and the check not counted.
    `reason` says why it did not pass: check, check_timeout, timeout, limit, or an error's kind.
    """

    v: int = VERSION
    task: str
    trial: int
    model: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0
    check_seconds: float = 0.0
    steps: int = 0
    calls: int = 0
    usage: Usage = Usage()
    session: str = ""
    branch: str = ""
    commit: str = ""
    check_exit: int | None = None
    check_output: str = ""
    problem: Problem | None = None
    repository: str = ""

    @property
    def problem_kind(self) -> str:
        return self.problem.kind if self.problem else ""


class Results:
    """The file of results. A killed run has lost only the trials that were running."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = AppendFile(path)

    def add(self, result: Result) -> None:
        """Return when the result is on the disk."""
        self._file.append(msgspec.json.encode(result) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
