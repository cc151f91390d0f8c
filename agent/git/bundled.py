"""A bundle that somebody already has, taken into a repository by the same door as a sync's."""

from __future__ import annotations

from pathlib import Path

from agent.core.errors import UserError
from agent.core.events import SyncFinished
from agent.core.limits import BUNDLE_MAX_BYTES
from agent.core.text import one_line
from agent.git.bundle import HEADER_MAX_BYTES, parse_header
from agent.git.mirror import Mirror
from agent.git.quarantine import measure, receive
from agent.git.repository import Repository
from agent.host import disk
from agent.host.files import temporary_dir

MIRROR = "imported"


async def import_bundle(
    repository: Repository, bundle: Path, *, base: str, branch: str
) -> SyncFinished:
    """Check the one commit that `bundle` offers and have it on `branch`.

    It must grow from `base`, a commit of the repository's. The branch is made, or moved from
    `base`; where it is anywhere else the work goes to the next free sibling, and a note says so.
    Raises `UserError` and `SyncError`; then no branch was changed.
    """
    await _check_name(repository, branch)
    since = await _commit(repository, base)
    mirror = Mirror(repository, name=MIRROR)
    with temporary_dir() as tmp:
        own = tmp / "bundle"
        disk.copy_regular(bundle, own, BUNDLE_MAX_BYTES)
        tip = parse_header(disk.head(own, HEADER_MAX_BYTES + 4096), "").tip
        private = await receive(repository, own, tmp, ref="", since=since, tip=tip)
        change = await measure(private, since, tip)
        await mirror.adopt(private, tip, tip, replaces=True)
    placed = await mirror.place(branch, tip, {since})
    await mirror.set_private(tip, "", tip)
    return SyncFinished(
        placed.branch,
        commit=tip,
        files=change.files,
        added=change.added,
        removed=change.removed,
        notes=(placed.note,) if placed.note else (),
    )


async def _check_name(repository: Repository, branch: str) -> None:
    done = await repository.git.run("check-ref-format", "--branch", branch, ok=(0, 1, 128))
    if done.exit_code or branch.startswith(("-", "refs/")) or not branch.isprintable():
        raise UserError(f"`{one_line(branch, 100)}` cannot be the name of a branch")


async def _commit(repository: Repository, name: str) -> str:
    found = await repository.git.line(
        *("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}"),
        ok=(0, 1, 128),
    )
    if not found:
        raise UserError(
            f"`{one_line(name, 100)}` is no commit of this repository",
            "name the one that the work in the bundle grows from",
        )
    return found
