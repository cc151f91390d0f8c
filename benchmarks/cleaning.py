"""What a killed run left of trials that it had not ended: their sandboxes and files."""

from __future__ import annotations

import contextlib
from pathlib import Path

from agent.app import Options, open_session
from agent.core.errors import GloveboxError
from agent.host import files
from agent.testing.model import Scripted
from benchmarks.grading import Place

_REPOSITORIES = ("work/*", "graded-*/*")


async def clear(folder: Path, place: Place) -> None:
    """Remove a trial that has no result, whatever it was in the middle of."""
    for pattern in _REPOSITORIES:
        for repository in files.matching(folder, pattern):
            # Killed before there was a session, or before that had a sandbox: nothing to free.
            with contextlib.suppress(GloveboxError):
                await _free(repository, place)
    files.remove_tree(folder)


async def _free(repository: Path, place: Place) -> None:
    options = Options(repository, place.settings, state=place.state, resume="", needs_model=False)
    session = await open_session(options, llm=Scripted([]))
    await session.discard()
