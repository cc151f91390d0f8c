"""The one door through which people are shown what an agent committed.

Commits are looked at from a repository of our own that borrows the user's objects: there is no
configuration, attribute, graft, replacement or hook in it, so no program runs and every text is
what the objects say. It all is bounded in time, memory and size, and free of control characters.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent.core.errors import UserError
from agent.core.limits import IMPORT_SECONDS, WORK_DIFF_MAX_BYTES
from agent.core.text import one_line, terminal_safe
from agent.git.guard import Git
from agent.git.powers import LINK, Power, alike, power_of
from agent.git.private import private_repository
from agent.git.repository import Repository
from agent.git.trees import entries
from agent.host.files import temporary_dir

CHANGES_MAX = 20_000
COMMITS_MAX = 1_000
_LIST_BYTES = 32_000_000
_ID = re.compile(r"[0-9a-f]{40}")
_NOTHING = "000000"
_PERSON = re.compile(r"(?P<name>.*?) ?<(?P<mail>[^>]*)>(?: (?P<when>\d{1,12}) [+-]\d{4})?.*")


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed path. `lines` are added and removed ones, None for a binary file."""

    path: str
    old_mode: str
    new_mode: str
    old_id: str
    new_id: str
    lines: tuple[int, int] | None = None

    @property
    def what(self) -> str:
        """added, removed or changed."""
        if self.old_mode == _NOTHING:
            return "added"
        return "removed" if self.new_mode == _NOTHING else "changed"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit as it is stored; `when` in seconds since the epoch, 0 when it is no date."""

    id: str
    parents: tuple[str, ...]
    name: str
    mail: str
    when: int
    message: str

    @property
    def subject(self) -> str:
        return one_line(self.message.partition("\n")[0], 200)


class View:
    """Questions about commits, named by their full ids. Raises `UserError` for anything else."""

    def __init__(self, git: Git) -> None:
        self._git = git

    async def diff(self, old: str, new: str, paths: Sequence[str] = ()) -> str:
        """How two commits differ, as a unified diff for a terminal; a long one says it was cut."""
        done = await self._ask(
            *("diff-tree", "-r", "-p", "--no-color", "--find-renames", "-l200"),
            *(*_PLAIN, _id(old), _id(new), "--", *paths),
            limit=WORK_DIFF_MAX_BYTES,
        )
        text = terminal_safe(done.decode("utf-8", "replace"))
        if len(done) < WORK_DIFF_MAX_BYTES:
            return text
        return f"{text}\n… cut at {WORK_DIFF_MAX_BYTES} bytes; ask for single files\n"

    async def patch(self, old: str, new: str, limit: int) -> bytes:
        """The difference for `git apply`, binary files included, every byte as it is."""
        done = await self._ask(
            *("diff-tree", "-r", "-p", "--no-color", "--no-renames", "--binary", "--full-index"),
            *(*_PLAIN, _id(old), _id(new)),
            limit=limit + 1,
        )
        if len(done) > limit:
            raise UserError(f"the patch is larger than {limit} bytes", "export a folder instead")
        return done

    async def changes(self, old: str, new: str) -> tuple[FileChange, ...]:
        """The paths in which two commits differ, at most `CHANGES_MAX`."""
        listed = await self._ask(
            *("diff-tree", "-r", "-z", "--raw", "--numstat", "--no-renames", "--no-abbrev"),
            *(*_PLAIN, _id(old), _id(new)),
            limit=_LIST_BYTES,
        )
        return tuple(_changes(listed.split(b"\0")))[:CHANGES_MAX]

    async def powers(self, old: str, new: str) -> tuple[Power, ...]:
        """What to look at before `new` is merged over `old`: see `powers`."""
        changes = [c for c in await self.changes(old, new) if c.what != "removed"]
        links = [c.new_id for c in changes if c.new_mode == LINK]
        targets = dict(zip(links, await self._objects(links), strict=False))
        found: list[Power] = []
        for one in changes:
            target = targets.get(one.new_id, b"").decode("utf-8", "replace")
            power = power_of(one.path, one.old_mode, one.new_mode, target)
            found += [power] if power else []
        folders = sorted({c.path.rpartition("/")[0] for c in changes if c.what == "added"})
        wanted = [f"{_id(new)}:{folder}" for folder in folders if "\n" not in folder]
        for folder, tree in zip(folders, await self._objects(wanted), strict=False):
            names = [name.decode("utf-8", "surrogateescape") for _, name, _ in entries(tree)]
            found += [_collision(folder, *pair) for pair in alike(names)]
        return tuple(found)

    async def log(self, since: str, tip: str, limit: int = COMMITS_MAX) -> tuple[Commit, ...]:
        """The commits of `tip` that `since` has not, newest first."""
        ids = await self._ask(
            *("rev-list", f"--max-count={limit}", _id(tip), f"^{_id(since)}"), limit=_LIST_BYTES
        )
        data = await self._ask("cat-file", "--batch", stdin=ids, limit=_LIST_BYTES)
        return tuple(_commits(data))

    async def show(self, commit: str) -> str:
        """A commit with what it changed against its first parent, for a terminal."""
        data = await self._ask("cat-file", "--batch", stdin=f"{_id(commit)}\n".encode())
        one = next(_commits(data), None)
        if one is None:
            raise UserError(f"{commit} is no commit", "`glovebox log N` lists them")
        old = one.parents[0] if one.parents else await self._empty()
        head = f"commit {one.id}\nAuthor: {one.name} <{one.mail}>\n\n"
        body = "".join(f"    {line}\n" for line in one.message.splitlines())
        return f"{head}{body}\n{await self.diff(old, commit)}"

    async def blob(self, oid: str, limit: int) -> bytes:
        """The first `limit` bytes of a file."""
        return (await self._ask("cat-file", "blob", _id(oid), limit=limit))[:limit]

    async def _objects(self, names: Sequence[str]) -> list[bytes]:
        """The contents of objects, in order; fewer when they are more than fits."""
        lines = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
        data = await self._ask("cat-file", "--batch", stdin=lines, limit=_LIST_BYTES)
        return [body for _, _, body in _batch(data)]

    async def _empty(self) -> str:
        return (await self._ask("hash-object", "-t", "tree", "-w", "--stdin")).decode().strip()

    async def _ask(self, *args: str, stdin: bytes = b"", limit: int = 1_000_000) -> bytes:
        done = await self._git.run(*args, stdin=stdin, limit=limit, seconds=IMPORT_SECONDS)
        return done.stdout


_PLAIN = (
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=none",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)


@asynccontextmanager
async def viewing(repository: Repository) -> AsyncGenerator[View]:
    """A view of what `repository` holds."""
    with temporary_dir() as tmp:
        private = private_repository(tmp / "view.git", repository, fails=UserError)
        settings = (("core.quotePath", "false"),)
        yield View(
            Git(private.git_dir, settings, {"GIT_LITERAL_PATHSPECS": "1"}, UserError, limited=True)
        )


async def recent_subjects(repository: Repository, count: int = 12) -> tuple[str, ...]:
    """The subjects of the newest commits of the user's branch, newest first."""
    if not repository.head:
        return ()
    done = await repository.git.run(
        *("rev-list", f"--max-count={count}", "--no-merges", "--format=%s", repository.head)
    )
    lines = done.stdout.decode("utf-8", "replace").split("\n")
    return tuple(one_line(line) for line in lines[1::2] if line.strip())


def _collision(folder: str, one: str, other: str) -> Power:
    path = f"{folder}/{other}" if folder else other
    return Power(one_line(path, 200), f"one file with `{one_line(one)}` where case does not count")


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise UserError(f"`{one_line(text)}` is not the full id of a commit")
    return text


def _changes(fields: Sequence[bytes]) -> Iterator[FileChange]:
    """The answer of `diff-tree -z --raw --numstat`: all raw entries, then all counts."""
    raw: dict[bytes, list[str]] = {}
    counts: dict[bytes, tuple[int, int] | None] = {}
    at = 0
    while at < len(fields):
        entry = fields[at]
        if entry.startswith(b":") and at + 1 < len(fields):  # `:old new id id S`, then the path
            raw[fields[at + 1]] = entry[1:].decode().split(" ")
            at += 2
            continue
        if entry.count(b"\t") >= 2:
            more, less, name = entry.split(b"\t", 2)
            counts[name] = (int(more), int(less)) if more.isdigit() else None
        at += 1
    for name, (old_mode, new_mode, old_id, new_id, _) in raw.items():
        path = name.decode("utf-8", "surrogateescape")
        yield FileChange(path, old_mode, new_mode, old_id, new_id, counts.get(name))


def _batch(data: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Id, kind and body of each object in the answer of `cat-file --batch`, as far as it goes."""
    at = 0
    while (end := data.find(b"\n", at)) > 0:
        head = data[at:end].decode("utf-8", "replace").split(" ")
        if len(head) != 3 or not head[2].isdigit():  # missing
            yield head[0], "", b""
            at = end + 1
            continue
        oid, kind, size = head[0], head[1], int(head[2])
        body = data[end + 1 : end + 1 + size]
        if len(body) < size:
            return
        yield oid, kind, body
        at = end + 2 + size


def _commits(data: bytes) -> Iterator[Commit]:
    # Nothing is converted: an `encoding` header would choose a decoder by an attacker's word.
    return (_commit(oid, body) for oid, kind, body in _batch(data) if kind == "commit")


def _commit(oid: str, body: bytes) -> Commit:
    head, _, message = body.partition(b"\n\n")
    lines = [line.decode("utf-8", "replace") for line in head.split(b"\n")]
    parents = tuple(line[7:] for line in lines if re.fullmatch(r"parent [0-9a-f]{40}", line))
    author = next((line[7:] for line in lines if line.startswith("author ")), "")
    person = _PERSON.fullmatch(author)
    name, mail, when = person.group("name", "mail", "when") if person else (author, "", "")
    text = terminal_safe(message.decode("utf-8", "replace")).strip("\n")
    return Commit(oid, parents, one_line(name), one_line(mail), int(when or 0), text)
