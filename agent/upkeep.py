"""What becomes of sessions that are given up, and of what crashes left behind.

Nothing is removed that belongs to a living process, to a session that can be gone on with, or to
another machine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.core.errors import GloveboxError, SandboxLost, SyncError, UserError
from agent.git.plain import repository_at
from agent.git.repository import Repository
from agent.git.sync import Standing, Sync
from agent.host import env, files, leftovers
from agent.host.owner import claimed, owner_id
from agent.sandbox.protocol import Backend, Sandbox, SandboxSpec
from agent.sandbox.reaper import SESSION, orphans
from agent.sandbox.registry import BACKENDS, open_backend
from agent.session.catalog import Catalog, Entry
from agent.session.journal import Journal, in_use
from agent.session.state import State

LOCAL = "local"
Kind = Literal["sandbox", "process", "folder"]
_HEAD_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that nobody will come back to. `problem` says why it is still there."""

    kind: Kind
    what: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """A session that is gone; `bundle` holds the work that was not on `branch`, if any."""

    number: int
    branch: str
    bundle: Path | None = None


# Sessions.


async def remove(
    directory: Path, wanted: str, *, force: bool = False, rescue: bool = True
) -> Removed:
    """Remove a session and everything it made but its branch.

    One whose work is not all on the branch is only removed by `force`, which writes that work into
    a bundle first unless `rescue` is off. Raises `UserError`, `JournalError`, `SyncError`,
    `SandboxError`; then the session is as it was.
    """
    catalog = Catalog(env.state_dir())
    repository = await repository_at(directory, catalog.root)
    entry = catalog.find(await repository.project_id(), wanted)
    journal, state = Journal(catalog.journal(entry.id)), State()
    try:
        for record in journal.records:
            state.apply(record)
        return await _remove(repository, catalog, entry, state, force=force, rescue=rescue)
    finally:
        journal.close()


async def _remove(
    repository: Repository,
    catalog: Catalog,
    entry: Entry,
    state: State,
    *,
    force: bool,
    rescue: bool,
) -> Removed:
    sync = Sync(repository, name=entry.id, branch=f"glovebox/{entry.number}")
    backend = _backend_of(state)
    bundle = None
    if state.seeded is not None:
        await sync.replay()  # what a process that died had carried here needs no sandbox
    async with _inside(backend, state) as sandbox:
        if not force:
            await _require_home(sync, sandbox, state, entry.number)
        elif rescue and state.seeded is not None:
            bundle = await _rescue(sync, sandbox, catalog, entry, state)
    if backend is not None:
        refs = await backend.find({SESSION: entry.id})
        for ref in dict.fromkeys([*refs, state.sandbox_ref]):
            if ref:
                await backend.destroy(ref)
    await sync.forget()
    assert state.started is not None
    catalog.forget(state.started.project, entry.number, entry.id)
    return Removed(entry.number, state.branch, bundle)


def _backend_of(state: State) -> Backend | None:
    if state.started is None or state.started.sandbox not in BACKENDS:
        return None
    return open_backend(state.started.sandbox, env.sandbox_dir())


@contextlib.asynccontextmanager
async def _inside(backend: Backend | None, state: State) -> AsyncGenerator[Sandbox | None]:
    """The session's sandbox, started to be asked what it holds; None when it is gone."""
    if backend is None or state.started is None or not state.planted:
        yield None
        return
    try:
        sandbox = await backend.attach(state.sandbox_ref, SandboxSpec(session=state.started.id))
    except SandboxLost:
        yield None
        return
    try:
        yield sandbox
    finally:
        await sandbox.close()


async def _require_home(sync: Sync, sandbox: Sandbox | None, state: State, number: int) -> None:
    """Raise `UserError` while there is work that is not on the session's branch."""
    standing = str(await _standing(sync, sandbox)) if state.seeded else "synced"
    if state.behind or standing != "synced":
        standing = "" if standing == "synced" else f": {standing}"
        raise UserError(
            f"session {number} holds work that is not on its branch{standing}",
            f"`glovebox shell {number} -- true` brings it home; `--force` writes it into a"
            " bundle and removes the session",
        )


async def _standing(sync: Sync, sandbox: Sandbox | None) -> Standing:
    try:
        return await sync.standing(sandbox)
    except SyncError as error:
        return Standing("failed", why=error.message)


async def _rescue(
    sync: Sync, sandbox: Sandbox | None, catalog: Catalog, entry: Entry, state: State
) -> Path | None:
    """The bundle with what is on no branch; None when there is no such work."""
    assert state.seeded is not None
    if not state.behind and str(await _standing(sync, sandbox)) == "synced":
        return None
    target = catalog.root / "rescued" / f"{entry.id}-{entry.number}.bundle"
    files.make_private_dir(target.parent)
    files.remove_file(target)
    known = (state.seeded.tip, state.seeded.base)
    try:
        return target if await sync.rescue(sandbox, target, known=known) else None
    except SyncError as error:
        raise SyncError(
            f"what is inside could not be rescued: {error.message}",
            f"`glovebox shell {entry.number}` looks at it; `--force --no-rescue` removes it as it"
            " is",
        ) from error


# What crashes left.


async def reap(*, dry: bool = False, backends: Sequence[str] | None = None) -> tuple[Leftover, ...]:
    """Remove what nobody will come back to, and say what it was; `dry` only says it.

    `backends` are those to ask, by default all that a session of ours was ever made with.
    """
    catalog = Catalog(env.state_dir())
    names = _used(catalog) if backends is None else backends
    found = [
        *await asyncio.to_thread(_processes, catalog, dry=dry),
        *[left for name in names for left in await _sandboxes(name, catalog, dry=dry)],
        *await asyncio.to_thread(_folders, dry=dry),
    ]
    return tuple(found)


def _used(catalog: Catalog) -> tuple[str, ...]:
    """The backends that a session was made with; asking the others would be slow or impossible."""
    wanted = set(BACKENDS) - {LOCAL}
    found = {LOCAL}
    for session in catalog.sessions():
        if not wanted - found:
            break
        path = catalog.journal(session)
        if files.exists(path):
            head = files.read_head(path, _HEAD_BYTES)
            found |= {name for name in wanted if f'"sandbox":"{name}"'.encode() in head}
    return tuple(name for name in BACKENDS if name in found)


def _living(catalog: Catalog) -> Iterable[str]:
    held = [s for s in catalog.sessions() if in_use(catalog.journal(s))]
    return (*held, *claimed())


def _known(catalog: Catalog, ref: str) -> bool:
    """Whether a session that can be gone on with has written this ref down."""
    session = ref.partition(":")[2]
    if session.isalnum() and files.exists(catalog.journal(session)):
        return True
    journals = (catalog.journal(s) for s in catalog.sessions())
    return any(files.contains(path, ref.encode()) for path in journals if files.exists(path))


async def _sandboxes(name: str, catalog: Catalog, *, dry: bool) -> list[Leftover]:
    try:
        backend = open_backend(name, env.sandbox_dir())
        refs = await orphans(
            backend,
            owner_id(catalog.root),
            lambda: _living(catalog),
            lambda ref: _known(catalog, ref),
        )
    except GloveboxError as error:
        return [Leftover("sandbox", f"those of `{name}`", f"cannot be listed: {error.message}")]
    return [await _destroy(backend, ref, dry=dry) for ref in refs]


async def _destroy(backend: Backend, ref: str, *, dry: bool) -> Leftover:
    try:
        if not dry:
            await backend.destroy(ref)
    except GloveboxError as error:
        return Leftover("sandbox", ref, error.message)
    return Leftover("sandbox", ref)


def _processes(catalog: Catalog, *, dry: bool) -> list[Leftover]:
    """Processes in local sandboxes whose glovebox is dead."""
    root = env.sandbox_dir()
    there = leftovers.inhabitants(root)
    living = set(_living(catalog)) if there else set[str]()
    found: list[Leftover] = []
    for session, pids in there.items():
        if session in living:
            continue
        with _held(catalog, session) as ours:
            ended = [p for p in pids if ours and (dry or leftovers.end(p, session, root))]
        found += [
            Leftover("process", f"{pid} in the sandbox of session {session}") for pid in ended
        ]
    return found


@contextlib.contextmanager
def _held(catalog: Catalog, session: str) -> Generator[bool]:
    """Keep others from taking the session up meanwhile; False when somebody has."""
    place = catalog.journal(session).with_suffix(".lock")
    if not files.exists(place.parent):
        yield True
        return
    lock = files.FileLock(place)
    free = lock.acquire()
    try:
        yield free
    finally:
        lock.release()


def _folders(*, dry: bool) -> list[Leftover]:
    own = env.sandbox_dir()
    temporary = leftovers.temporary_folders()
    empty = leftovers.empty_roots(own)
    gone = [p for p in temporary if dry or leftovers.remove_temporary_folder(p)]
    gone += [p for p in empty if dry or leftovers.remove_empty(p)]
    return [Leftover("folder", str(path)) for path in gone]
