"""The sync engine for sandboxes and agents that are not glovebox's own.

A mirror has a name and a branch; its sandbox is whatever a command of the user's runs programs in.
No session, no model, no state but what the engine keeps in the repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import SyncError, UserError
from agent.core.events import Seeded, SyncFinished
from agent.git.bundled import import_bundle
from agent.git.repository import Repository
from agent.git.sync import Standing, Sync
from agent.host import env, files
from agent.sandbox.through import Through

WORKDIR = "/workspace"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mirror's work is done: `workdir` in what `command` runs programs in."""

    command: tuple[str, ...]
    workdir: str = WORKDIR
    quote: bool = False

    def sandbox(self) -> Through:
        if not self.command:
            raise UserError(
                "there is no command that runs programs in your sandbox",
                "give it after `--`, for example `-- docker exec -i BOX`",
            )
        if not self.workdir.startswith("/"):
            raise UserError(f"`{self.workdir}` is not absolute", "name a directory in the sandbox")
        return Through(self.command, self.workdir, quote=self.quote)


async def seed(directory: Path, name: str, place: Place, *, branch: str = "") -> Seeded:
    """Put the repository and its uncommitted work into the sandbox, as `Sync.seed` does."""
    sandbox = place.sandbox()
    sync = await _sync(directory, name, branch)
    await sandbox.prepare()
    return await sync.seed(sandbox)


async def bring(directory: Path, name: str, place: Place, *, message: str) -> SyncFinished:
    """Commit what changed in the sandbox and have it on the branch, as `Sync.run` does."""
    sync = await _sync(directory, name)
    return await sync.run(place.sandbox(), message=message)


async def standing(directory: Path, name: str, place: Place) -> tuple[Standing, str]:
    """Where the work is, and its branch; finishes what a process that died had carried home."""
    sync = await _sync(directory, name)
    await sync.replay()
    return await sync.standing(place.sandbox() if place.command else None), sync.branch


async def remove(
    directory: Path, name: str, place: Place, *, force: bool = False
) -> tuple[str, Path | None]:
    """Forget a mirror but its branch, which is returned; and a bundle of what is on no branch.

    Work that is not home is only given up by `force`, which writes it into that bundle first.
    """
    sync = await _sync(directory, name)
    sandbox = place.sandbox() if place.command else None
    branch, bundle = sync.branch, None
    state = await sync.standing(sandbox)
    if state.state != "synced":
        if not force:
            raise UserError(
                f"the mirror `{name}` holds work that is not on its branch: {state}",
                "`glovebox mirror sync` brings it home; `--force` writes it into a bundle",
            )
        target = env.state_dir() / "rescued" / f"mirror-{name}.bundle"
        files.make_private_dir(target.parent)
        files.remove_file(target)
        bundle = target if await sync.rescue(sandbox, target) else None
    await sync.forget()
    return branch, bundle


async def take(directory: Path, bundle: Path, *, base: str, branch: str) -> SyncFinished:
    """Have the work in a bundle on a branch, checked as a sync is."""
    try:
        return await import_bundle(
            await Repository.find(directory), bundle, base=base, branch=branch
        )
    except OSError as error:
        raise SyncError(f"the bundle could not be taken: {error.strerror}") from error


async def _sync(directory: Path, name: str, branch: str = "") -> Sync:
    if name.isdigit():
        raise UserError(f"`{name}` is a session's number", "name the mirror with a letter")
    repository = await Repository.find(directory)
    return Sync(repository, name=name, branch=branch or f"glovebox/{name}")
