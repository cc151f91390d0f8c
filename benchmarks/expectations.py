"""What a validation found out: the tests that must pass for each task, and tasks to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.core.errors import UserError
from agent.host import env, files
from benchmarks.tasks import Task, hash_of


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """Of one task in one version. With `quarantine`, the reason, its verdict would say nothing."""

    version: str
    tests: tuple[str, ...] = ()
    quarantine: str = ""
    seconds: float = 0.0


class _File(msgspec.Struct, frozen=True):
    v: int
    tasks: dict[str, Expectation]


class Expectations:
    """The file of what is expected. It is written whole after every change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tasks: dict[str, Expectation] = {}
        if files.exists(path):
            try:
                data = files.read_bytes(path, limit=100_000_000)
                self.tasks = msgspec.json.decode(data, type=_File).tasks
            except msgspec.MsgspecError as error:
                hint = "remove it and validate again"
                raise UserError(f"`{path}` does not fit: {error}", hint) from error

    def found(self, task: Task) -> Expectation | None:
        """What a validation of this very version found out; None when there was none."""
        found = self.tasks.get(task.id)
        return found if found and found.version == task.version else None

    def of(self, task: Task) -> Expectation | None:
        """What is expected of a task: what was found out, else what the data set says itself."""
        if found := self.found(task):
            return found
        return Expectation(version=task.version, tests=task.expected) if task.expected else None

    def add(self, task: str, expectation: Expectation) -> None:
        self.tasks[task] = expectation
        whole = _File(1, dict(sorted(self.tasks.items())))
        files.write_whole(self.path, msgspec.json.format(msgspec.json.encode(whole), indent=1))


def default_place(suite: str) -> Path:
    """Where the expectations of a suite are kept."""
    return env.state_dir() / "benchmarks" / "expected" / f"{suite}.json"


def require(tasks: Sequence[Task], known: Expectations, suite: str) -> None:
    """Raise `UserError` when some task was never validated."""
    testable = [task for task in tasks if task.grader and not task.unfit]
    if missing := [task.id for task in testable if known.of(task) is None]:
        raise UserError(
            f"{len(missing)} of {len(tasks)} tasks were never validated, `{missing[0]}` is one",
            f"run `python -m benchmarks validate {suite} PATH` first: it finds out which tests"
            " there are, and which tasks say nothing",
        )


def hashed(tasks: Sequence[Task], known: Expectations) -> str:
    """A hash of what is expected of these tasks."""
    return hash_of(*(msgspec.json.encode(known.of(task)) for task in tasks))
