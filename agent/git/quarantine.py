"""Where a bundle from a sandbox is taken apart: beside the user's repository, under limits.

The order matters. First the header, by us. Then `index-pack --strict` with a memory, processor and
size limit, in a repository that sees the user's objects but whose objects the user's never see.
Then questions about what arrived. Only a commit that passed all of them is offered to `mirror`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import SyncError
from agent.core.limits import (
    BUNDLE_MAX_BYTES,
    IMPORT_COMMIT_MAX_BYTES,
    IMPORT_FILE_MAX_BYTES,
    IMPORT_OBJECTS_MAX,
    IMPORT_SECONDS,
    IMPORT_TOTAL_MAX_BYTES,
    IMPORT_TREES_MAX_BYTES,
)
from agent.core.text import one_line
from agent.git.brought import check_brought
from agent.git.bundle import HEADER_MAX_BYTES, Header, parse_header
from agent.git.guard import Git
from agent.git.private import offer, private_repository
from agent.git.repository import Repository
from agent.git.trees import check_trees
from agent.host import disk

_REFUSED = "the work is still inside; nothing in this repository was changed"
_TOO_BIG = "have the agent take big files out of its commits, and have git ignore them"
_OID_LINE = 41


@dataclass(frozen=True, slots=True)
class Change:
    """How two commits differ. `gitlinks` are paths that became repositories of their own."""

    files: int = 0
    added: int = 0
    removed: int = 0
    gitlinks: tuple[str, ...] = ()
    known: bool = True


async def receive(
    repository: Repository, bundle: Path, tmp: Path, *, ref: str, since: str, tip: str
) -> Git:
    """Check `bundle` and return a private repository that offers `tip` as `CARRIED`.

    Raises `SyncError` unless the bundle brings exactly `tip`, complete, sound and grown from
    `since`, a commit the user's repository has.
    """
    private = private_repository(tmp / "quarantine.git", repository)
    git = Git(private.git_dir, limited=True)
    header = parse_header(disk.head(bundle, HEADER_MAX_BYTES + 4096), ref)
    if header.tip != tip:
        raise SyncError(f"the bundle brings {header.tip} and not {tip}", _REFUSED)
    await _check_needs(git, header, since)
    await _unpack(git, bundle, header)
    await _check_objects(git, since, tip)
    offer(private, tip)
    return private


async def _check_needs(git: Git, header: Header, since: str) -> None:
    unknown = SyncError("the bundle builds on commits that were never sent inside", _REFUSED)
    if not set(header.needs) - {since}:
        return  # it is nearly always this one, and that it is here is known
    listed = "".join(f"{oid}\n" for oid in header.needs).encode()
    kinds = await git.run("cat-file", "--batch-check=%(objecttype)", stdin=listed)
    if set(kinds.text.split("\n")) != {"commit"}:
        raise unknown
    beyond = await git.line("rev-list", "-1", "--stdin", stdin=listed + f"^{since}\n".encode())
    if beyond:
        raise unknown


async def _unpack(git: Git, bundle: Path, header: Header) -> None:
    with disk.reading(bundle, header.offset) as descriptor:
        await git.run(
            *("index-pack", "--stdin", "--strict", "--fix-thin"),
            f"--max-input-size={BUNDLE_MAX_BYTES}",
            stdin=descriptor,
            seconds=IMPORT_SECONDS,
        )


async def _check_objects(git: Git, since: str, tip: str) -> None:
    # Complete: rev-list ends with an error at the first object that is named and not there.
    done = await git.run(
        *("rev-list", "--objects", "--no-object-names", "--boundary", tip, f"^{since}"),
        seconds=IMPORT_SECONDS,
        limit=_OID_LINE * IMPORT_OBJECTS_MAX,
    )
    if done.cut:
        raise SyncError(f"the bundle holds more than {IMPORT_OBJECTS_MAX} objects", _REFUSED)
    lines = done.stdout.splitlines(keepends=True)
    # The border is where what is new meets what is not: a line of descent ends there with `since`.
    if f"-{since}\n".encode() not in lines:
        raise SyncError(f"{tip} does not grow from {since}", _REFUSED)
    listed = b"".join(line for line in lines if not line.startswith(b"-"))
    await check_brought(git, listed, since, _REFUSED)
    sizes = await git.run(
        "cat-file",
        "--batch-check=%(objecttype) %(objectsize) %(objectname)",
        stdin=listed,
        seconds=IMPORT_SECONDS,
        limit=100 * IMPORT_OBJECTS_MAX,
    )
    facts = [line.split(" ") for line in sizes.text.split("\n")]
    if not any(kind == "commit" and oid == tip for kind, _, oid in facts):
        raise SyncError(f"{tip} is not a commit", _REFUSED)
    _check_sizes([(kind, int(size)) for kind, size, _ in facts])
    trees = [oid for kind, _, oid in facts if kind == "tree"]
    check_trees(await _read_trees(git, trees))


def _check_sizes(facts: Sequence[tuple[str, int]]) -> None:
    limits = {"blob": IMPORT_FILE_MAX_BYTES, "commit": IMPORT_COMMIT_MAX_BYTES}
    for kind, size in facts:
        if size > limits.get(kind, IMPORT_TREES_MAX_BYTES):
            raise SyncError(f"the bundle holds a {kind} of {size} bytes", _TOO_BIG)
    trees = sum(size for kind, size in facts if kind == "tree")
    if sum(size for _, size in facts) > IMPORT_TOTAL_MAX_BYTES or trees > IMPORT_TREES_MAX_BYTES:
        raise SyncError("the bundle unpacks to more than can be brought home at once", _TOO_BIG)


async def _read_trees(git: Git, oids: Sequence[str]) -> dict[str, bytes]:
    wanted = "".join(f"{oid}\n" for oid in oids).encode()
    done = await git.run(
        "cat-file",
        "--batch",
        stdin=wanted,
        limit=2 * IMPORT_TREES_MAX_BYTES,
        seconds=IMPORT_SECONDS,
    )
    found: dict[str, bytes] = {}
    at = 0
    for oid in oids:
        end = done.stdout.index(b"\n", at)
        size = int(done.stdout[at:end].rsplit(b" ", 1)[1])
        found[oid] = done.stdout[end + 1 : end + 1 + size]
        at = end + 2 + size
    return found


async def measure(private: Git, since: str, tip: str) -> Change:
    """How `tip` differs from `since`; with `known` false when it is too much to be counted."""
    git = Git(private.git_dir, limited=True)
    try:
        done = await git.run(
            *("diff-tree", "-r", "-z", "--raw", "--numstat", "--no-renames"),
            *("--no-ext-diff", "--no-textconv", "--ignore-submodules=none", since, tip),
            seconds=IMPORT_SECONDS,
        )
    except SyncError:
        return Change(known=False)
    return Change(known=False) if done.cut else _count(done.stdout.split(b"\0"))


def _count(fields: Sequence[bytes]) -> Change:
    files = added = removed = 0
    gitlinks: list[str] = []
    for n, entry in enumerate(fields):
        if entry.startswith(b":"):  # `:old new id id S`, and the path as the next field
            new = entry.split(b" ", 2)[1]
            if new == b"160000":
                gitlinks.append(one_line(fields[n + 1].decode("utf-8", "replace"), 200))
        elif entry.count(b"\t") >= 2:
            more, less, _ = entry.split(b"\t", 2)
            files += 1
            added += int(more) if more.isdigit() else 0
            removed += int(less) if less.isdigit() else 0
    return Change(files, added, removed, tuple(gitlinks))
