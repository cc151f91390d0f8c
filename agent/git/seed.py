"""What goes into a sandbox: one pack with the history and a snapshot of the work in progress.

Objects only. No remote, credential, hook, configuration, reflog, stash or unreachable object of the
user's repository is in a pack that is made of what one commit and the tags on its history reach.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from agent.core.errors import GloveboxError, UserError
from agent.git.guard import Git
from agent.git.history import History, Tag, history_of, tags_of
from agent.git.private import offer
from agent.git.repository import Identity, Repository
from agent.git.rules import Rules
from agent.git.snapshot import take_snapshot
from agent.host import disk

SNAPSHOT_MESSAGE = "Uncommitted work at the start of the session\n"


@dataclass(frozen=True, slots=True)
class Seed:
    """A repository ready to be planted.

    `tip` is the snapshot's commit, or `base` when there was nothing uncommitted; `dirty` counts the
    files in which they differ. `pack` lies with its `.idx` in the temporary directory that was
    given, `size` bytes. `shallow` are the commits whose parents are not there. `left_out` is text
    for people. `extra` is a tree of files that lie there uncommitted, `included` are their names.
    `start` is the commit that the work is counted from when that is older than `tip`.
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
    size: int = 0
    tags: tuple[Tag, ...] = ()
    extra: str = ""
    included: tuple[bytes, ...] = ()
    start: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a mirror goes on that did not begin by itself: with what another had at `tip`.

    That one was seeded with `start` on top of the user's `base`.
    """

    base: str
    start: str
    tip: str


async def pack_seed(repository: Repository, tmp: Path, rules: Rules | None = None) -> Seed:
    """Snapshot and pack `repository` into the directory `tmp`, leaving the repository as it is."""
    rules = rules or Rules()
    if rules.base:
        repository = replace(repository, head=rules.base, branch="")
        rules = replace(rules, uncommitted=False)
    snapshot = await take_snapshot(repository, tmp / "seed.git", rules)
    git = snapshot.private
    tip = await _commit(git, repository, snapshot.tree)
    offer(git, tip)
    left_out = list(snapshot.left_out)
    wanted = [tip, *([snapshot.extra] if snapshot.extra else [])]
    history = await history_of(git, repository, rules)
    tags = await tags_of(repository, history)
    try:
        pack = await _pack(git, history, [*wanted, *(tag.id for tag in tags)], tmp)
    except GloveboxError as error:
        if not repository.partial:
            raise UserError(error.message, "check the repository with `git fsck`") from error
        history = await history_of(git, repository, replace(rules, history=1))
        tags = ()
        pack = await _pack_of_partial(git, history, wanted, tmp)
        left_out.append("the history: this is a partial clone, and objects of it are not here")
    return Seed(
        base=repository.head or tip,
        tip=tip,
        branch=repository.branch,
        pack=pack,
        shallow=history.cuts,
        left_out=tuple(left_out),
        identity=repository.who,
        dirty=await _differences(git, repository.head, tip),
        private=git,
        size=disk.look(tmp, pack.name.encode()).size,
        tags=tags,
        extra=snapshot.extra,
        included=snapshot.included,
    )


async def pack_origin(
    repository: Repository, tmp: Path, origin: Origin, rules: Rules | None = None
) -> Seed:
    """Pack what came home up to `origin.tip`, with as much of the history as a seed would have.

    Ignored files that are carried come from the user's files as they are now.
    """
    rules = rules or Rules()
    snapshot = await take_snapshot(repository, tmp / "seed.git", rules)
    git = snapshot.private
    offer(git, origin.tip)
    at_base = replace(repository, head=origin.base)
    wanted = [origin.tip, *([snapshot.extra] if snapshot.extra else [])]
    history = await history_of(git, at_base, rules)
    tags = await tags_of(repository, history)
    try:
        pack = await _pack(git, history, [*wanted, *(tag.id for tag in tags)], tmp)
    except GloveboxError:
        if not repository.partial:
            raise
        history, tags = await history_of(git, at_base, replace(rules, history=1)), ()
        pack = await _pack_of_partial(git, history, wanted, tmp)
    return Seed(
        base=origin.base,
        tip=origin.tip,
        branch=repository.branch,
        pack=pack,
        shallow=history.cuts,
        left_out=(),
        identity=repository.who,
        dirty=0,
        private=git,
        size=disk.look(tmp, pack.name.encode()).size,
        tags=tags,
        extra=snapshot.extra,
        included=snapshot.included,
        start=origin.start,
    )


async def _commit(git: Git, repository: Repository, tree: str) -> str:
    if repository.head and tree == await git.line("rev-parse", f"{repository.head}^{{tree}}"):
        return repository.head
    parents = ("-p", repository.head) if repository.head else ()
    return await git.using(**repository.who.environment()).line(
        "commit-tree", tree, *parents, stdin=SNAPSHOT_MESSAGE.encode()
    )


async def _pack(git: Git, history: History, wanted: Iterable[str], tmp: Path) -> Path:
    # A commit graph of the user's would bring back the parents that are cut off here.
    cut = git.using(("pack.threads", "0"), ("core.commitGraph", "false"))
    lines = [*(f"--shallow {commit}" for commit in history.cuts), *wanted]
    name = await cut.line(
        *("pack-objects", "--revs", "--quiet", "--delta-base-offset"),
        # Deltas that are there are reused; looking for new ones takes longer than sending.
        *("--window=0", str(tmp / "pack")),
        stdin="".join(f"{line}\n" for line in lines).encode(),
    )
    return tmp / f"pack-{name}.pack"


async def _pack_of_partial(git: Git, history: History, wanted: Iterable[str], tmp: Path) -> Path:
    try:
        return await _pack(git, history, wanted, tmp)
    except GloveboxError as error:
        raise UserError(
            "this is a partial clone, and some of the objects of its newest commit are not here",
            "fetch them with `git fetch --refetch --no-filter`, or use a full clone",
        ) from error


async def _differences(git: Git, base: str, tip: str) -> int:
    if base == tip:
        return 0
    old = base or await git.line("hash-object", "-t", "tree", "-w", "--stdin")
    done = await git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, tip)
    return done.stdout.count(b"\0")
