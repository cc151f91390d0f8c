"""What a task is, and how a folder of them is read. The format is described in `README.md`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.core.errors import UserError
from agent.host import files

INSTRUCTION = "instruction.md"
CHECK = "check.sh"
SETTINGS = "task.toml"
FILES = "files"
HIDDEN = "check"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `task.toml` may hold; all of it is optional. Times are in seconds."""

    seconds: float = 600.0
    check_seconds: float = 120.0
    model: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `check` is a shell script; `hidden` are files that only the check may see."""

    name: str
    folder: Path
    instruction: str
    check: str
    files: Path
    hidden: tuple[tuple[str, Path], ...]
    settings: Settings


def load_tasks(folder: Path) -> list[Task]:
    """The tasks in a folder, by name; or the one task that the folder is.

    Raises `UserError` naming the file that is missing or wrong: a task that is silently left out
    would be a better score.
    """
    if files.exists(folder / INSTRUCTION):
        return [_load(folder)]
    found = [_load(child) for child in files.children(folder) if files.children(child)]
    if not found:
        raise UserError(
            f"there are no tasks in `{folder}`",
            f"a task is a folder with `{INSTRUCTION}`, `{CHECK}` and `{FILES}/`",
        )
    return found


def _load(folder: Path) -> Task:
    for name in (INSTRUCTION, CHECK, FILES):
        if not files.exists(folder / name):
            raise UserError(
                f"the task `{folder}` has no `{name}`",
                f"a task is a folder with `{INSTRUCTION}`, `{CHECK}` and `{FILES}/`",
            )
    return Task(
        name=folder.resolve().name,
        folder=folder,
        instruction=files.read_text(folder / INSTRUCTION).strip(),
        check=files.read_text(folder / CHECK),
        files=folder / FILES,
        hidden=tuple(_below(folder / HIDDEN, "")),
        settings=_settings(folder / SETTINGS),
    )


def _settings(path: Path) -> Settings:
    if not files.exists(path):
        return Settings()
    try:
        return msgspec.toml.decode(files.read_bytes(path), type=Settings)
    except msgspec.MsgspecError as error:
        known = ", ".join(Settings.__struct_fields__)
        raise UserError(f"`{path}` does not fit: {error}", f"known keys: {known}") from error


def _below(folder: Path, prefix: str) -> list[tuple[str, Path]]:
    """The files below `folder` with their relative names."""
    found: list[tuple[str, Path]] = []
    for child in files.children(folder):
        inner = _below(child, f"{prefix}{child.name}/")
        found += inner or [(prefix + child.name, child)]
    return found
