"""Who solves tasks: glovebox with a model, or one of those that need none and check the harness.

`oracle` gives the reference: it must pass everywhere. `nop` gives nothing: it must pass nowhere.
`replay` gives what an earlier run's agent gave: it grades that again. A script in place of a model
(`--model script:FILE`) says what its author wrote.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from agent.app import REPLAY_PREFIX, open_session
from agent.config import Settings
from agent.core.errors import UserError
from agent.host import files
from agent.llm.protocol import Llm
from benchmarks.collect import collect
from benchmarks.grading import ENVIRONMENT, Place, options_of
from benchmarks.repository import lay
from benchmarks.script import PREFIX as SCRIPT_PREFIX
from benchmarks.script import script
from benchmarks.tasks import FILE_MAX_BYTES, Task, Work, data_of

AGENTS = ("glovebox", "oracle", "nop", "replay")
WORK = "work.json"

Given = Callable[[Task, int, Place], Awaitable[Work]]
"""The work of an agent that needs no model: for a task and the number of the trial."""


def given_by(name: str, source: Path | None) -> Given | None:
    """Who gives the work without a model; None for glovebox. Raises `UserError`."""
    if name == "replay" and source is None:
        raise UserError("`replay` needs a run", "name its folder with `--from`")

    async def oracle(task: Task, trial: int, place: Place) -> Work:
        return await reference_of(task, place, trial_folder(place.folder, task.id, trial))

    async def nop(task: Task, trial: int, place: Place) -> Work:
        return Work()

    async def replay(task: Task, trial: int, place: Place) -> Work:
        stored = trial_folder(source or Path(), task.id, trial) / WORK
        return msgspec.json.decode(files.read_bytes(stored, limit=2 * FILE_MAX_BYTES), type=Work)

    return {"oracle": oracle, "nop": nop, "replay": replay}.get(name)


async def reference_of(task: Task, place: Place, folder: Path) -> Work:
    """What solves the task: kept, or what its script does where an agent would be.

    Raises `UserError` where there is neither.
    """
    if task.solver is None:
        if task.reference is None:
            raise UserError(f"`{task.id}` has no reference", "only such tasks can be validated")
        return task.reference
    repository = folder / "work" / task.id.rpartition("/")[2]
    await lay(task.start, repository)
    session = await open_session(await options_of(place, repository, task, network=True))
    try:
        sandbox = (await session.enter()).sandbox
        assert session.state.seeded is not None
        solution = f"/tmp/solution-{secrets.token_hex(8)}"
        for name, content in task.solver.files.items():
            await sandbox.put(f"{solution}/{name}", data_of(content))
        await sandbox.exec(
            ["sh", "-c", task.solver.script],
            cwd=sandbox.workdir,
            env=ENVIRONMENT | {"SOLUTION": solution},
            seconds=task.limits.agent,
        )
        return await collect(task, sandbox, session.state.seeded.tip)
    finally:
        await session.discard()
        files.remove_tree(folder / "work")


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
