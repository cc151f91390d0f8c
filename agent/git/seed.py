"""What goes into a sandbox: one pack with the history and a snapshot of the work in progress.

Objects only. No remote, credential, hook, configuration, reflog, stash or unreachable object of the
user's repository is in a pack that is made of what one commit reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import GloveboxError, UserError
from agent.git.guard import Git
from agent.git.private import CARRIED
from agent.git.repository import Identity, Repository
from agent.git.snapshot import take_snapshot

SNAPSHOT_MESSAGE = "Uncommitted work at the start of the session\n"


@dataclass(frozen=True, slots=True)
class Seed:
    """A repository ready to be planted.

    `tip` is the snapshot's commit, or `base` when there was nothing uncommitted; `dirty` counts the
    files in which they differ. `pack` lies with its `.idx` in the temporary directory that was
    given. `shallow` are the commits whose parents are not there. `left_out` is text for people.
    """

    base: str
    tip: str
    branch: str
    pack: Path
    shallow: tuple[str, ...]
    left_out: tuple[str, ...]
    identity: Identity
    dirty: int
    private: Git


async def pack_seed(repository: Repository, tmp: Path) -> Seed:
    """Snapshot and pack `repository` into the directory `tmp`, leaving the repository as it is."""
    snapshot = await take_snapshot(repository, tmp / "seed.git")
    git = snapshot.private
    tip = await _commit(git, repository, snapshot.tree)
    await git.run("update-ref", CARRIED, tip)
    return Seed(
        base=repository.head,
        tip=tip,
        branch=repository.branch,
        pack=await _pack(git, repository, tip, tmp),
        shallow=await _cuts(git, repository, tip),
        left_out=snapshot.left_out,
        identity=repository.who,
        dirty=await _differences(git, repository.head, tip),
        private=git,
    )


async def _commit(git: Git, repository: Repository, tree: str) -> str:
    if tree == await git.line("rev-parse", f"{repository.head}^{{tree}}"):
        return repository.head
    return await git.using(**repository.who.environment()).line(
        "commit-tree", tree, "-p", repository.head, stdin=SNAPSHOT_MESSAGE.encode()
    )


async def _pack(git: Git, repository: Repository, tip: str, tmp: Path) -> Path:
    try:
        name = await git.using(("pack.threads", "0")).line(
            *("pack-objects", "--revs", "--quiet", "--delta-base-offset"),
            # Deltas that are there are reused; looking for new ones takes longer than sending.
            *("--window=0", str(tmp / "pack")),
            stdin=f"{tip}\n".encode(),
        )
    except GloveboxError as error:
        if not repository.partial:
            raise UserError(error.message, "check the repository with `git fsck`") from error
        raise UserError(
            "this is a partial clone, and some of its objects are not here",
            "fetch them with `git fetch --refetch --no-filter`, or use a full clone",
        ) from error
    return tmp / f"pack-{name}.pack"


async def _cuts(git: Git, repository: Repository, tip: str) -> tuple[str, ...]:
    if not repository.shallow:
        return ()
    roots = (await git.line("rev-list", "--max-parents=0", tip)).split()
    return tuple(sorted(set(roots) & set(repository.shallow)))


async def _differences(git: Git, base: str, tip: str) -> int:
    if base == tip:
        return 0
    done = await git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", base, tip)
    return done.stdout.count(b"\0")
