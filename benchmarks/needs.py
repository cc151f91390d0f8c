"""Whether a sandbox has what the tests of a run need, asked once and before anything is run."""

from __future__ import annotations

from collections.abc import Sequence

from agent.app import open_session
from agent.core.errors import UserError
from agent.host import files
from benchmarks.grading import Place, options_of
from benchmarks.repository import lay
from benchmarks.tasks import Task, Tree


async def check_needs(tasks: Sequence[Task], place: Place) -> None:
    """Raise `UserError` naming what is missing, and what to install."""
    needed = {need for task in tasks if task.grader for need in task.grader.needs}
    if not needed:
        return
    folder = place.folder / "needs"
    await lay(Tree(), folder)
    session = await open_session(await options_of(place, folder))
    try:
        sandbox = (await session.enter()).sandbox
        missing = [
            (command, remedy)
            for command, remedy in sorted(needed)
            if (await sandbox.exec(["sh", "-c", command])).exit_code != 0
        ]
    finally:
        await session.discard()
        files.remove_tree(folder)
    if missing:
        words = ", ".join(f"`{command}`" for command, _ in missing)
        hints = "; ".join(remedy for _, remedy in missing)
        raise UserError(f"a sandbox cannot run {words}", f"{hints}; or leave tasks out by `--only`")
