"""What is known of one trial after it: one line of JSON each, written as they come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from agent.core.errors import UserError
from agent.core.events import Problem
from agent.core.messages import Usage
from agent.host import files
from agent.host.files import AppendFile

VERSION = 2

Outcome = Literal["passed", "failed", "invalid", "ungraded"]
"""`invalid` is no verdict: model, sandbox or harness were at fault. It stays out of the pass rate,
as does `ungraded`, where this suite has no tests that could be run here."""


class Tests(msgspec.Struct, frozen=True):
    """How many tests did what; `missing` are those that were expected and are in no report."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    missing: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """One run of the tests. `reason` is "" when they passed; `problem` is set for no verdict.

    `names` are those of tests that passed, `output` what was printed, for people and a second try.
    `again` says that the tests ran out of time beside others and this is what they said alone.
    """

    passed: bool = False
    reason: str = ""
    tests: Tests = Tests()
    names: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    output: str = ""
    exit_code: int | None = None
    seconds: float = 0.0
    problem: Problem | None = None
    again: bool = False


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a trial: a message, and what the tests said of the work after it, `again` when
    that was the second time they ran."""

    passed: bool
    reason: str
    tests: Tests = Tests()
    exit_code: int | None = None
    agent_seconds: float = 0.0
    test_seconds: float = 0.0
    failed: tuple[str, ...] = ()
    again: bool = False


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One trial of one task.

    `seconds` is the agent's time; the sandbox's start, the tests and what it `waited` because the
    provider limits requests are not counted. `reason` says why it did not pass. `outside` are files
    that the agent changed or added and that were left behind, `tampered` says whether what decides
    the verdict was among them. `leaks` are what it brought to light and should not have.
    """

    v: int = VERSION
    task: str
    version: str = ""
    language: str = ""
    trial: int
    model: str
    protocol: str = ""
    outcome: Outcome
    reason: str = ""
    tries: tuple[Try, ...] = ()
    seconds: float = 0.0
    waited: float = 0.0
    steps: int = 0
    calls: int = 0
    usage: Usage = Usage()
    tampered: bool = False
    outside: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    session: str = ""
    branch: str = ""
    commit: str = ""
    problem: Problem | None = None
    folder: str = ""

    @property
    def key(self) -> tuple[str, int]:
        return self.task, self.trial

    @property
    def again(self) -> bool:
        """Whether a verdict comes of tests that were run a second time, alone."""
        return any(each.again for each in self.tries)

    @property
    def test_seconds(self) -> float:
        return sum(each.test_seconds for each in self.tries)


class Results:
    """The file of results. A killed run has lost only the trials that were running."""

    def __init__(self, path: Path) -> None:
        self.path = path
        torn = files.read_from(path, 0)
        self._file = AppendFile(path)
        if torn and not torn.endswith(b"\n"):
            self._file.truncate(torn.rfind(b"\n") + 1)

    def add(self, result: Result) -> None:
        """Return when the result is on the disk."""
        self._file.append(msgspec.json.encode(result) + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_results(path: Path) -> list[Result]:
    """The newest result of each trial. What a kill left of a last line is no result."""
    whole = files.read_from(path, 0).rpartition(b"\n")[0]
    try:
        found = [msgspec.json.decode(line, type=Result) for line in whole.splitlines()]
    except msgspec.MsgspecError as error:
        raise UserError(f"`{path}` is not a file of results: {error}") from error
    return list({result.key: result for result in found}.values())


def judged(results: Sequence[Result]) -> list[Result]:
    """Those with a verdict."""
    return [result for result in results if result.outcome in ("passed", "failed")]
