"""Tasks of your own: a folder with an instruction, files and one check. See `README.md`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.core.errors import UserError
from agent.host import files
from benchmarks.tasks import Grader, Limits, Task, Tree, Work, below, data_of, hash_of

INSTRUCTION = "instruction.md"
CHECK = "check.sh"
SETTINGS = "task.toml"
FILES = "files"
HIDDEN = "check"
SOLUTION = "solution"
_IS = f"a task is a folder with `{INSTRUCTION}`, `{CHECK}` and `{FILES}/`"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `task.toml` may hold; all of it is optional. Times are in seconds."""

    seconds: float = 600.0
    check_seconds: float = 120.0
    model: str = ""


def load(path: Path) -> list[Task]:
    """The tasks in a folder, or the one task that the folder is.

    Raises `UserError` naming the file that is missing or wrong: a task that is silently left out
    would be a better score.
    """
    if files.exists(path / INSTRUCTION):
        return [_task(path)]
    found = [_task(child) for child in files.children(path) if files.children(child)]
    if not found:
        raise UserError(f"there are no tasks in `{path}`", _IS)
    return found


def _task(folder: Path) -> Task:
    for name in (INSTRUCTION, CHECK, FILES):
        if not files.exists(folder / name):
            raise UserError(f"the task `{folder}` has no `{name}`", _IS)
    settings = _settings(folder / SETTINGS)
    instruction = files.read_text(folder / INSTRUCTION).strip()
    check, hidden = files.read_text(folder / CHECK), below(folder / HIDDEN)
    tree, solution = Tree(folder=folder / FILES), below(folder / SOLUTION)
    limits = Limits(settings.seconds, settings.check_seconds)
    return Task(
        id=f"local/{folder.resolve().name}",
        suite="local",
        version=hash_of(instruction, check, hidden, below(folder / FILES), limits),
        instruction=instruction,
        start=tree,
        pristine=tree,
        hidden=hidden,
        grader=Grader(check, "exit"),
        expected=("check",),
        reference=Work({name: data_of(content) for name, content in solution.items()})
        if solution
        else None,
        limits=limits,
        model=settings.model,
        folder=folder,
    )


def _settings(path: Path) -> Settings:
    if not files.exists(path):
        return Settings()
    try:
        return msgspec.toml.decode(files.read_bytes(path), type=Settings)
    except msgspec.MsgspecError as error:
        known = ", ".join(Settings.__struct_fields__)
        raise UserError(f"`{path}` does not fit: {error}", f"known keys: {known}") from error
