"""SWE-bench: issues of real repositories. The agent's patch is the work.

Two forms: the directory of version 5 (`tasks/ID/` with `task.yaml`, `tests.json`,
`problem_statement.md`, `gold.patch`, `eval.sh`), and JSON lines of instances. Repositories are
clones in `repos/OWNER__NAME` beside them. An instance without a script that evaluates it gets no
verdict here: its patch goes into `predictions.jsonl`, for SWE-bench's own evaluation.

The agent never has the tests, the hints or any commit but the one it starts at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agent.core.errors import UserError
from agent.host import files
from benchmarks.tasks import Grader, Limits, Task, Tree, Work, hash_of
from benchmarks.texts import text

_MAX_BYTES = 1_000_000_000
_LIMITS = Limits(agent=1800.0, tests=1800.0)
# The images have the repository elsewhere, and history, which a sandbox here has not.
_SCRIPT = """
sed "s|/testbed|$PWD|g" "$CHECK/eval.sh" >"$CHECK/here.sh"
bash "$CHECK/here.sh" >"$REPORT/log.txt" 2>&1
code=$?
tail -c 20000 "$REPORT/log.txt"
exit $code
"""
_GRADER = Grader(_SCRIPT, "pytest", (("bash --version", "install bash"),), exact=True)

Names = list[str] | str


class _Instance(msgspec.Struct, frozen=True, kw_only=True):
    """What of an instance is read. Hints and the like are never shown and so never read."""

    instance_id: str
    repo: str
    base_commit: str
    problem_statement: str = ""
    patch: str = ""
    eval_script: str = ""
    FAIL_TO_PASS: Names = msgspec.field(default_factory=list[str])
    PASS_TO_PASS: Names = msgspec.field(default_factory=list[str])

    @property
    def expected(self) -> tuple[str, ...]:
        lists = (self.FAIL_TO_PASS, self.PASS_TO_PASS)
        read = [
            msgspec.json.decode(each, type=list[str]) if isinstance(each, str) else each
            for each in lists
        ]
        return tuple(dict.fromkeys(name for each in read for name in each))


def load(path: Path) -> list[Task]:
    """The instances in a directory or a file of JSON lines. Raises `UserError`."""
    path = path.resolve()
    folders = files.children(path / "tasks")
    home = path if folders else path.parent
    found = [_in_folder(folder) for folder in folders] if folders else _in_lines(path)
    if not found:
        raise UserError(
            f"there are no instances in `{path}`",
            "it should be a directory with `tasks/`, or a file of JSON lines",
        )
    return [_task(instance, home) for instance in found]


def _in_lines(path: Path) -> list[_Instance]:
    lines = files.read_bytes(path, limit=_MAX_BYTES).splitlines()
    return [_typed(line, f"{path}:{at}") for at, line in enumerate(lines, 1) if line.strip()]


def _in_folder(folder: Path) -> _Instance:
    """The fields of `task.yaml` and `tests.json`, and the texts that have files of their own."""
    try:
        fields: dict[str, Any] = msgspec.yaml.decode(files.read_bytes(folder / "task.yaml"))
        tests: dict[str, Any] = msgspec.json.decode(files.read_bytes(folder / "tests.json"))
    except msgspec.MsgspecError as error:
        raise UserError(f"`{folder}` does not fit: {error}", "fetch the tasks again") from error
    own = {
        key: files.read_text(folder / name)
        for key, name in (
            ("problem_statement", "problem_statement.md"),
            ("patch", "gold.patch"),
            ("eval_script", "eval.sh"),
        )
        if files.exists(folder / name)
    }
    whole = {"instance_id": folder.name, **fields, **tests, **own}
    return _typed(msgspec.json.encode(whole), str(folder))


def _typed(data: bytes, place: str) -> _Instance:
    try:
        return msgspec.json.decode(data, type=_Instance)
    except msgspec.MsgspecError as error:
        raise UserError(f"`{place}` does not fit: {error}", "fetch the tasks again") from error


def _task(instance: _Instance, home: Path) -> Task:
    name = instance.repo.replace("/", "__")
    clone = home / "repos" / name
    if not files.exists(clone):
        raise UserError(
            f"`{instance.instance_id}` needs a clone of `{instance.repo}`",
            f"`git clone --bare https://github.com/{instance.repo} {clone}`",
        )
    tree = Tree(repository=clone, commit=instance.base_commit)
    # Only the commit it starts at is there, and it has another name.
    script = instance.eval_script.replace(instance.base_commit, "HEAD")
    instruction = f"{instance.problem_statement.strip()}\n\n{text('issue.md')}"
    return Task(
        id=f"swebench/{instance.instance_id}",
        suite="swebench",
        network="none",
        language=name,
        version=hash_of(instruction, instance.base_commit, script, instance.expected),
        instruction=instruction,
        start=tree,
        pristine=tree,
        hidden={"eval.sh": script.encode()} if script else {},
        grader=_GRADER if script else None,
        expected=instance.expected,
        reference=Work(patch=instance.patch.encode()) if instance.patch else None,
        limits=_LIMITS,
    )
