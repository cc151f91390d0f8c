"""Work taken out without git: a patch, or a folder with the files as they are in a commit.

The folder is new, so nothing of the user's can be in the way; names were checked when the work came
home. Links that lead out of it are not made, and whatever is left out is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import UserError
from agent.core.limits import IMPORT_SECONDS, PATCH_MAX_BYTES
from agent.core.text import one_line
from agent.git.guard import Git
from agent.git.powers import GITLINK, LINK, PROGRAM, leads_out
from agent.git.private import private_repository
from agent.git.repository import Repository
from agent.git.view import viewing
from agent.host import unpack
from agent.host.files import temporary_dir

_LIST_BYTES = 512_000_000
_BATCH_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class Exported:
    """How many files were written, and what was left out, as text for people."""

    files: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    mode: str
    oid: str
    size: int

    @property
    def shown(self) -> str:
        return one_line(self.name.decode("utf-8", "replace"), 200)


async def patch(repository: Repository, old: str, new: str) -> bytes:
    """What `git apply` or `patch -p1` makes of a copy at `old` to have it at `new`."""
    async with viewing(repository) as view:
        return await view.patch(old, new, PATCH_MAX_BYTES)


async def folder(repository: Repository, commit: str, target: Path) -> Exported:
    """Write the files of `commit` into `target`, which must not exist or be empty."""
    if not unpack.claim(target):
        raise UserError(f"`{target}` exists and is not empty", "name a folder that does not exist")
    left_out: list[str] = []
    count = 0
    with temporary_dir() as tmp:
        private = private_repository(tmp / "export.git", repository, fails=UserError)
        git = Git(private.git_dir, fails=UserError, limited=True)
        listed = await git.run("ls-tree", "-r", "-z", "-l", commit, limit=_LIST_BYTES)
        links: list[_Entry] = []
        plain: list[_Entry] = []
        for entry in _entries(listed.stdout):
            if entry.mode == GITLINK:
                left_out.append(f"`{entry.shown}`: a submodule")
            else:
                (links if entry.mode == LINK else plain).append(entry)
        for some in _batches(plain):
            for entry, data in zip(some, await _contents(git, some), strict=True):
                mode = 0o755 if entry.mode == PROGRAM else 0o644
                unpack.write_new(target, entry.name, data, mode)
                count += 1
        for entry, data in zip(links, await _contents(git, links), strict=True):  # links last
            to = data.decode("utf-8", "surrogateescape")
            if leads_out(entry.name.decode("utf-8", "surrogateescape"), to):
                left_out.append(f"`{entry.shown}`: a link that leads out, to `{one_line(to, 100)}`")
            else:
                unpack.link_new(target, entry.name, data)
                count += 1
    return Exported(count, tuple(left_out))


def _entries(listed: bytes) -> Iterator[_Entry]:
    for line in listed.split(b"\0"):
        facts, tab, name = line.partition(b"\t")
        if tab:
            mode, _, oid, size = facts.decode().split()
            yield _Entry(name, mode, oid, int(size) if size.isdigit() else 0)


def _batches(entries: Iterable[_Entry]) -> Iterator[list[_Entry]]:
    """Entries in portions that fit into memory."""
    some: list[_Entry] = []
    size = 0
    for entry in entries:
        if some and size + entry.size > _BATCH_BYTES:
            yield some
            some, size = [], 0
        some.append(entry)
        size += entry.size
    if some:
        yield some


async def _contents(git: Git, entries: list[_Entry]) -> list[bytes]:
    asked = "".join(f"{entry.oid}\n" for entry in entries).encode()
    limit = sum(entry.size + 100 for entry in entries)
    done = await git.run("cat-file", "--batch", stdin=asked, limit=limit, seconds=IMPORT_SECONDS)
    found: list[bytes] = []
    at = 0
    for entry in entries:
        begin = done.stdout.index(b"\n", at) + 1
        found.append(done.stdout[begin : begin + entry.size])
        at = begin + entry.size + 1
    return found
