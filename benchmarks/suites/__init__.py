"""The suites: each file here with a function `load`, found by name.

`load(path) -> list[Task]` reads a suite's tasks from a directory or file and raises `UserError`
naming what is wrong with it.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path

from agent.core.errors import UserError
from benchmarks.tasks import Task


def names() -> list[str]:
    """What suites there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_suite(name: str, path: Path) -> list[Task]:
    """The tasks of a suite at `path`, by id."""
    if name not in names():
        raise UserError(f"there is no suite `{name}`", f"choose one of: {', '.join(names())}")
    load = pkgutil.resolve_name(f"{__name__}.{name}:load")
    tasks: list[Task] = sorted(load(path), key=lambda task: task.id)
    return tasks
