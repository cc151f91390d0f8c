"""Who solves tasks: glovebox with a model, or one of those that need none and check the harness.

`oracle` gives the reference: it must pass everywhere. `nop` gives nothing: it must pass nowhere.
`replay` gives what an earlier run's agent gave: it grades that again. A script in place of a model
(`--model script:FILE`) says what its author wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent.app import REPLAY_PREFIX
from agent.config import Settings
from agent.core.errors import UserError
from agent.host import files
from agent.llm.protocol import Llm
from benchmarks.script import PREFIX as SCRIPT_PREFIX
from benchmarks.script import script
from benchmarks.tasks import FILE_MAX_BYTES, Task, Work

AGENTS = ("glovebox", "oracle", "nop", "replay")
WORK = "work.json"

Given = Callable[[Task, int], Work]
"""The work of an agent that needs no model: for a task and the number of the trial."""


def given_by(name: str, source: Path | None) -> Given | None:
    """Who gives the work without a model; None for glovebox. Raises `UserError`."""
    if name == "replay" and source is None:
        raise UserError("`replay` needs a run", "name its folder with `--from`")
    if name == "oracle":
        return _oracle
    if name == "nop":
        return lambda task, trial: Work()
    if name == "replay":
        return lambda task, trial: _stored(source or Path(), task, trial)
    return None


def _oracle(task: Task, trial: int) -> Work:
    if task.reference is None:
        raise UserError(f"`{task.id}` has no reference", "the oracle has nothing to give there")
    return task.reference


def _stored(source: Path, task: Task, trial: int) -> Work:
    place = trial_folder(source, task.id, trial) / WORK
    return msgspec.json.decode(files.read_bytes(place, limit=2 * FILE_MAX_BYTES), type=Work)


def keep_work(folder: Path, work: Work) -> None:
    """Keep what an agent gave beside its trial."""
    files.write_whole(folder / WORK, msgspec.json.encode(work))


def trial_folder(run: Path, task: str, trial: int) -> Path:
    """Where what belongs to one trial lies."""
    return run / "trials" / f"{task.replace('/', '+')}#{trial}"


def answering(task: Task, settings: Settings) -> tuple[Settings, Llm | None]:
    """The model of a task; a script or a recording is looked for beside the task."""
    model = settings.model
    if model.startswith(SCRIPT_PREFIX):
        return settings, script(task.folder / model.removeprefix(SCRIPT_PREFIX))
    if model.startswith(REPLAY_PREFIX):
        file = task.folder / model.removeprefix(REPLAY_PREFIX)
        return replace(settings, model=f"{REPLAY_PREFIX}{file}"), None
    return settings, None
