"""Ways to get a session: a new one, one that was before, a fork, one from elsewhere."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.app.assembly import MakePlace, assemble, parts_of
from agent.app.options import Options
from agent.app.seeding import sync_of
from agent.app.walls import backend_of, limits_of, network_of
from agent.config import Settings, require_model
from agent.core.errors import SandboxLost, UserError
from agent.core.events import (
    RECORD_VERSION,
    AnyEvent,
    ModelChanged,
    Notice,
    Record,
    Renamed,
    SessionStarted,
    SyncStarted,
)
from agent.git.numbers import allocate_number
from agent.git.packing import commit_of
from agent.git.plain import repository_at
from agent.git.repository import Repository
from agent.git.seed import Origin
from agent.host import env
from agent.host.owner import owner_id
from agent.llm.absent import Absent
from agent.llm.protocol import Llm
from agent.loop.brakes import Budget
from agent.sandbox.registry import open_backend
from agent.session.catalog import Catalog, Entry
from agent.session.door import NAME, Door
from agent.session.fork import folded, forked
from agent.session.journal import Journal, in_use, read, write
from agent.session.session import Session
from agent.session.state import State
from agent.session.tasks import Fork
from agent.session.transcript import Transcript, records_of
from agent.whereabouts import remember


async def open_session(
    options: Options, *, llm: Llm | None = None, place: MakePlace | None = None
) -> Session:
    """A session that is ready for `send`; its sandbox comes up behind it.

    `llm` takes the place of the one the settings name, `place` of sandbox and repository (tests and
    benchmarks). Raises `UserError`, `JournalError`, `LlmError` when a recording is unusable; then
    no session was made.
    """
    if options.fork is not None:
        rest = dataclasses.replace(options, fork=None)
        return await fork_session(rest, options.fork, turn=options.turn, llm=llm)
    catalog, repository, project = await _here(options)
    await remember(catalog, repository, project)
    catalog.settle(project)
    if options.resume is None:
        if options.needs_model:
            require_model(options.settings)
        parts = parts_of(options, options.settings.model, llm, _forking(options, llm))
        began, notices = await _beginning(options, catalog, repository, project)
        backend = open_backend(began.sandbox, env.sandbox_dir(options.state))
        journal, state = _resume(catalog, await _write(catalog, repository, [_record(began)]))
        owner = owner_id(catalog.root)
        session = assemble(parts, backend, repository, journal, state, owner, place)
        await Door(session, journal.path.with_name(NAME)).unlock()
        for said in notices:
            session.emit(said)
        return session
    journal, state = _resume(catalog, catalog.find(project, options.resume).id)
    try:
        started = state.started
        assert started is not None
        await _stand(repository, options.settings, journal, state)
        model = options.model or state.model
        if options.needs_model and not model:
            model = require_model(options.settings)
        made = parts_of(options, model or options.settings.model, llm, _forking(options, llm))
        chosen: dict[str, str] = {**state.chosen}
        parts = made.tuned(made.model, chosen) if chosen else made
        backend = open_backend(started.sandbox, env.sandbox_dir(options.state))
        owner = owner_id(catalog.root)
        session = assemble(parts, backend, repository, journal, state, owner, place)
        if model and model != state.model:
            session.emit(ModelChanged(model))
    except BaseException:
        journal.close()
        raise
    await Door(session, journal.path.with_name(NAME)).unlock()
    return session


async def fork_session(
    options: Options,
    wanted: str,
    *,
    turn: int | None = None,
    source: Session | None = None,
    fresh: bool = False,
    llm: Llm | None = None,
) -> Session:
    """A new session that starts where the session `wanted` stands, or stood after `turn`.

    It has the conversation (unless `fresh`) and the files, the work inside brought home first, and
    a sandbox, a branch and costs of its own. `source` is that session where this process holds it;
    it may be in the middle of a turn, of which the fork has the files. Raises as `open_session`.
    """
    catalog, repository, project = await _here(options)
    entry = catalog.find(project, wanted)
    tip = await source.snapshot() if source is not None and turn is None else ""
    place = catalog.journal(entry.id)
    lost = ""
    if source is None and turn is None:
        lost = await _bring_home(options, entry, place)
    records, _ = read(place)
    origin = folded(records).started
    if origin is None:
        raise UserError(f"session {entry.number} has no beginning", "start a new one")
    model = options.settings.model or origin.model
    began = SessionStarted("", 0, project, model, origin.sandbox, origin.network)
    made = forked(records, began, turn=turn, tip=tip, running=in_use(place), fresh=fresh)
    identity = await _write(catalog, repository, made)
    resumed = dataclasses.replace(options, resume=identity, fork=None, turn=None)
    session = await open_session(resumed, llm=llm)
    if lost:
        text = f"what of session {entry.number} was only in its sandbox is not in here: {lost}"
        session.emit(Notice("warning", text, "this one begins with what had come home"))
    return session


def _forking(options: Options, llm: Llm | None) -> Fork:
    """How a session opened with `options` gets a fork for a child to work in."""

    async def fork(source: Session, budget: Budget) -> Session:
        quiet = dataclasses.replace(
            options, resume=None, asks=False, on_ask="deny", tree=budget, child=True
        )
        return await fork_session(quiet, source.id, source=source, fresh=True, llm=llm)

    return fork


async def import_session(options: Options, found: Transcript) -> tuple[Session, bool]:
    """A new session that begins with a conversation from elsewhere, and whether with its files too.

    It has them where their commits are in this repository. It is made as a new one of `options`.
    """
    catalog, repository, project = await _here(options)
    began, _ = await _beginning(options, catalog, repository, project)
    there = bool(found.tip) and await repository.descends(found.base, found.start, found.tip)
    identity = await _write(catalog, repository, records_of(found, began, files=there))
    return await open_session(dataclasses.replace(options, resume=identity)), there


async def _bring_home(options: Options, entry: Entry, place: Path) -> str:
    """Have the branch of a session that is to be forked hold all of its work.

    Why that cannot be any more, where its sandbox is gone for ever.
    """
    if not folded(read(place)[0]).behind:
        return ""
    if in_use(place):
        raise UserError(
            f"session {entry.number} is running, and not all of its work is on its branch",
            "type `/fork` there, or wait until it is idle",
        )
    resumed = dataclasses.replace(options, resume=entry.id, needs_model=False)
    source = await open_session(resumed, llm=Absent())
    try:
        try:
            await source.enter()
        except SandboxLost as error:
            return error.message
        await source.snapshot()
    finally:
        await source.close()
    return ""


async def _write(catalog: Catalog, repository: Repository, records: list[Record]) -> str:
    """Make a session of records, the first of which is its beginning; its id."""
    began = records[0].event
    assert isinstance(began, SessionStarted)
    number = await allocate_number(repository, catalog.root)
    identity = catalog.new_id()
    event = msgspec.structs.replace(began, id=identity, number=number)
    write(
        catalog.journal(identity), [msgspec.structs.replace(records[0], event=event), *records[1:]]
    )
    catalog.record(began.project, number, identity)
    return identity


def _record(event: AnyEvent) -> Record:
    """An event before the first turn; its number comes when it is written."""
    return Record(RECORD_VERSION, 0, round(time.time(), 3), 0, event)


async def _stand(
    repository: Repository, settings: Settings, journal: Journal, state: State
) -> None:
    """Have the branch of a fork be where it begins, if it is not yet."""
    if state.forked is None or state.seeded is None or state.branch_value:
        return
    if not state.forked.tip:
        return
    assert state.started is not None
    origin = Origin(state.seeded.base, state.seeded.tip, state.forked.tip)
    finished = await sync_of(repository, settings, state.started).branch_off(origin)
    for event in (SyncStarted(), finished):
        state.apply(journal.append(state.turn, event))


async def new_sessions(options: Options, models: Sequence[str], name: str = "") -> list[Entry]:
    """New sessions, one for each model, that nobody holds yet: `resume` opens them.

    Raises as `open_session`.
    """
    require_model(options.settings)
    catalog, repository, project = await _here(options)
    began, notices = await _beginning(options, catalog, repository, project)
    named = [Renamed(name)] if name else []
    made: list[str] = []
    for model in models:
        events = (msgspec.structs.replace(began, model=model), *notices, *named)
        made.append(await _write(catalog, repository, [_record(event) for event in events]))
    return [catalog.find(began.project, identity) for identity in made]


async def _here(options: Options) -> tuple[Catalog, Repository, str]:
    """Where sessions are kept, the repository they are of, and its id."""
    catalog = Catalog(options.state or env.state_dir())
    repository = await repository_at(options.directory, catalog.root)
    return catalog, repository, await repository.project_id()


async def _beginning(
    options: Options, catalog: Catalog, repository: Repository, project: str
) -> tuple[SessionStarted, list[Notice]]:
    """How a new session begins, and what there is to say about it."""
    name, notice = await backend_of(options, catalog.root)
    backend = open_backend(name, env.sandbox_dir(options.state))
    network, missing = network_of(options.settings, backend)
    limits_of(options.settings, backend)
    model = options.settings.model
    base = await commit_of(repository, options.base) if options.base else ""
    began = SessionStarted("", 0, project, model, name, network, base)
    return began, [said for said in (notice, missing) if said is not None]


async def session_folder(directory: Path, wanted: str) -> Path:
    """Where what is kept of a session of the repository is. Raises `UserError` for an unknown one.

    `wanted` is its number, its id, or empty for the one used last.
    """
    catalog = Catalog(env.state_dir())
    repository = await repository_at(directory, catalog.root)
    return catalog.journal(catalog.find(await repository.project_id(), wanted).id).parent


async def shutdown() -> None:
    """End what the provider library keeps open. For the end of the process's event loop."""
    from agent.llm import client

    await client.close()


def _resume(catalog: Catalog, identity: str) -> tuple[Journal, State]:
    journal, state = Journal(catalog.journal(identity)), State()
    for record in journal.records:
        state.apply(record)
    if (began := state.started) is None:
        journal.close()
        raise UserError(f"session {identity} has no beginning", "start a new one")
    journal.restored = lambda: catalog.record(began.project, began.number, identity)
    return journal, state
