"""The one composition root: the only module that knows which concrete parts make a session."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from agent.config import DEFAULT_NETWORK, Settings, narrower, require_model, size_of
from agent.core.errors import UserError
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
from agent.git.packing import Packing, commit_of
from agent.git.plain import repository_at
from agent.git.repository import Identity, Repository
from agent.git.rules import Rules
from agent.git.seed import Origin
from agent.git.sync import Sync
from agent.git.view import recent_subjects
from agent.host import env, files
from agent.host.owner import owner_id
from agent.llm.absent import Absent
from agent.llm.protocol import Llm, ToolSchema
from agent.llm.replay import Recorder
from agent.loop.brakes import Budget
from agent.loop.compact import Writer
from agent.loop.naming import Namer
from agent.means import allowed, checks_of
from agent.models import REPLAY_PREFIX as REPLAY_PREFIX
from agent.models import check_model as check_model
from agent.models import open_model, window_of
from agent.prompting.builder import GitFacts, system_prompt
from agent.sandbox.auto import AUTO, choose
from agent.sandbox.egress import registries
from agent.sandbox.egress.gate import Gate
from agent.sandbox.egress.policy import policy_of
from agent.sandbox.egress.roads import Roads
from agent.sandbox.egress.upstream import upstreams_of
from agent.sandbox.protocol import Backend, Facts, Limits, SandboxSpec
from agent.sandbox.registry import open_backend
from agent.session.catalog import Catalog, Entry
from agent.session.door import NAME, Door
from agent.session.fitting import Fitting, unknown_window
from agent.session.fork import folded, forked
from agent.session.journal import Journal, in_use, read, write
from agent.session.place import Workplace as Place
from agent.session.purse import Allowed
from agent.session.questions import OnAsk
from agent.session.session import Parts, Session
from agent.session.state import State
from agent.session.tasks import NOT_FOR_CHILDREN, Fork, run_task
from agent.session.transcript import Transcript, records_of
from agent.tools.base import Toolset, schema_of
from agent.tools.builtin import builtin
from agent.whereabouts import remember
from agent.workplace import Workplace

SYSTEM_FILE = "system.md"
OWNER = "glovebox.owner"
AUDIT_FILE = "network.jsonl"


@dataclass(frozen=True, slots=True)
class Options:
    """What a front end asks for.

    `resume` names a session, "" the one used last, None a new one. `state` takes the place of the
    user's own state directory. `model` is one that a session is to go on with, instead of its own.
    Without `needs_model` a session that no model answers is fine.
    `asks` says that a person is there, who answers `EgressAsked` and `UserAsked`; without one the
    model's questions meet `on_ask`. `fork` names a session that the new one starts from, where it
    stands or after its turn `turn`. `base` is a commit, branch or tag that a new session begins at
    instead of what the user has; new ones with the same `packing` begin alike. Sessions with the
    same `tree` share what that may spend. A `child` does a piece of another's work.
    """

    directory: Path
    settings: Settings
    record: Path | None = None
    resume: str | None = None
    state: Path | None = None
    needs_model: bool = True
    model: str | None = None
    asks: bool = False
    on_ask: OnAsk = "deny"
    fork: str | None = None
    turn: int | None = None
    base: str = ""
    packing: Packing | None = None
    tree: Budget | None = None
    child: bool = False


MakePlace = Callable[[State, Callable[[AnyEvent], None]], Place]


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
    if options.resume is None:
        if options.needs_model:
            require_model(options.settings)
        parts = _parts(options, options.settings.model, llm)
        began, notices = await _beginning(options, catalog, repository, project)
        backend = open_backend(began.sandbox, env.sandbox_dir(options.state))
        journal, state = _resume(catalog, await _write(catalog, repository, [_record(began)]))
        owner = owner_id(catalog.root)
        session = _assemble(parts, backend, repository, journal, state, owner, place)
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
        parts = _parts(options, model or options.settings.model, llm)
        backend = open_backend(started.sandbox, env.sandbox_dir(options.state))
        owner = owner_id(catalog.root)
        session = _assemble(parts, backend, repository, journal, state, owner, place)
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
    if source is None and turn is None:
        await _bring_home(options, entry, place)
    records, _ = read(place)
    origin = folded(records).started
    if origin is None:
        raise UserError(f"session {entry.number} has no beginning", "start a new one")
    model = options.settings.model or origin.model
    began = SessionStarted("", 0, project, model, origin.sandbox, origin.network)
    made = forked(records, began, turn=turn, tip=tip, running=in_use(place), fresh=fresh)
    identity = await _write(catalog, repository, made)
    resumed = dataclasses.replace(options, resume=identity, fork=None, turn=None)
    return await open_session(resumed, llm=llm)


async def import_session(options: Options, found: Transcript) -> tuple[Session, bool]:
    """A new session that begins with a conversation from elsewhere, and whether with its files too.

    It has them where their commits are in this repository. It is made as a new one of `options`.
    """
    catalog, repository, project = await _here(options)
    began, _ = await _beginning(options, catalog, repository, project)
    there = bool(found.tip) and await repository.descends(found.base, found.start, found.tip)
    identity = await _write(catalog, repository, records_of(found, began, files=there))
    return await open_session(dataclasses.replace(options, resume=identity)), there


async def _bring_home(options: Options, entry: Entry, place: Path) -> None:
    """Have the branch of a session that is to be forked hold all of its work."""
    if not folded(read(place)[0]).behind:
        return
    if in_use(place):
        raise UserError(
            f"session {entry.number} is running, and not all of its work is on its branch",
            "type `/fork` there, or wait until it is idle",
        )
    resumed = dataclasses.replace(options, resume=entry.id, needs_model=False)
    source = await open_session(resumed, llm=Absent())
    try:
        await source.snapshot()
    finally:
        await source.close()


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
    finished = await _sync_of(repository, settings, state.started).branch_off(origin)
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
    name, notice = await _backend_of(options, catalog.root)
    backend = open_backend(name, env.sandbox_dir(options.state))
    network, missing = _network_of(options.settings, backend)
    _limits(options.settings, backend)
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


async def _backend_of(options: Options, state: Path) -> tuple[str, Notice | None]:
    """The backend a new session gets and keeps, and what there is to say about it."""
    settings = options.settings
    if settings.sandbox != AUTO:
        return settings.sandbox, None
    labels = {OWNER: owner_id(state)}
    spec = SandboxSpec(
        session="trial",
        network=settings.network or "",
        labels=labels,
        image=settings.image,
        engine=settings.engine,
    )
    choice = await choose(spec, env.sandbox_dir(options.state), options.state)
    return choice.backend, choice.notice()


def _network_of(settings: Settings, backend: Backend) -> tuple[str, Notice | None]:
    """The policy of a new session: what was chosen, or the default where the backend has it.

    Raises `UserError` for a host to allow that cannot be read.
    """
    policy_of("list", settings.allow_hosts)
    if settings.network is not None or DEFAULT_NETWORK in backend.capabilities.policies:
        return settings.network or DEFAULT_NETWORK, None
    text = f"the network is none: the sandbox `{backend.name}` has no policy `{DEFAULT_NETWORK}`"
    return "none", Notice("warning", text, "nothing can be downloaded inside")


def _limits(settings: Settings, backend: Backend) -> Limits:
    """What the sandbox may use. Raises `UserError` for a limit that `backend` cannot keep."""
    wanted = settings.limits
    limits = Limits(
        memory_bytes=size_of(wanted.memory),
        processes=wanted.processes,
        open_files=wanted.open_files,
        disk_bytes=size_of(wanted.disk),
        files=wanted.files,
        cpus=wanted.cpus,
    )
    named = {name for name, value in dataclasses.asdict(limits).items() if value}
    # Asking a backend what it can do may take a moment.
    if named and (missing := sorted(named - set(backend.capabilities.limits))):
        words = ", ".join(name.removesuffix("_bytes") for name in missing)
        raise UserError(
            f"the sandbox `{backend.name}` cannot limit {words} here",
            "take that out of `limits` in your configuration; `glovebox doctor` says what can be "
            "limited",
        )
    return limits


def _resume(catalog: Catalog, identity: str) -> tuple[Journal, State]:
    journal, state = Journal(catalog.journal(identity)), State()
    for record in journal.records:
        state.apply(record)
    if state.started is None:
        journal.close()
        raise UserError(f"session {identity} has no beginning", "start a new one")
    return journal, state


@dataclass(frozen=True, slots=True)
class _Made:
    """What a session needs that does not depend on which session it is."""

    llm: Llm
    models: Callable[[str], Llm]
    model: str
    template: str
    tools: Toolset
    settings: Settings
    asks: bool
    on_ask: OnAsk
    namer: Namer | None
    fitting: Fitting
    packing: Packing | None = None
    allowed: Allowed = field(default_factory=Allowed)
    forking: Fork | None = None


def _parts(options: Options, model: str, llm: Llm | None) -> _Made:
    texts = files.package_texts("prompts")

    def models(model: str) -> Llm:
        answers = llm if llm is not None else open_model(model, options.settings)
        return Recorder(answers, options.record) if options.record is not None else answers

    async def forking(source: Session, budget: Budget) -> Session:
        quiet = dataclasses.replace(
            options, resume=None, asks=False, on_ask="deny", tree=budget, child=True
        )
        return await fork_session(quiet, source.id, source=source, fresh=True, llm=llm)

    tools = builtin(_below(texts, "tools/"))
    tools = tools.without(*NOT_FOR_CHILDREN) if options.child else tools
    on_ask = "person" if options.asks else options.on_ask
    return _Made(
        models(model),
        models,
        model,
        texts["system.md"],
        tools,
        options.settings,
        options.asks,
        on_ask,
        namer := _namer(options.settings, texts["commit.md"]),
        _fitting(options.settings, texts["compact.md"], namer, asks_provider=llm is None),
        options.packing,
        allowed(options.settings, options.tree),
        None if options.child else forking,
    )


def _namer(settings: Settings, prompt: str) -> Namer | None:
    """Who words the commits; None for the words of the request."""
    if not settings.weak_model:
        return None
    model = settings.weak_model
    return Namer(open_model(model, settings, fallback=False), model, prompt)


def _fitting(
    settings: Settings, prompt: str, namer: Namer | None, *, asks_provider: bool
) -> Fitting:
    """How conversations are kept within what a model takes."""
    return Fitting(
        prompt,
        known=window_of if asks_provider else unknown_window,
        window=settings.window,
        share=settings.compact_at,
        weak=namer and Writer(namer.llm, namer.model),
    )


def _assemble(
    made: _Made,
    backend: Backend,
    repository: Repository,
    journal: Journal,
    state: State,
    owner: str,
    make: MakePlace | None = None,
) -> Session:
    started = state.started
    assert started is not None
    session = Session(journal, state)
    spec = SandboxSpec(
        session=started.id,
        labels=_labels(started, owner),
        limits=_limits(made.settings, backend),
        image=made.settings.image,
        engine=made.settings.engine,
    )
    spec = _gated(spec, made, session, journal.path.with_name(AUDIT_FILE))
    sync = _sync_of(repository, made.settings, started, made.packing)
    trailer = _trailer(made.settings)
    own = Workplace(backend, spec, sync, state, session.emit, trailer)
    branch, head = ("", started.base) if started.base else (repository.branch, repository.head)
    git = GitFacts(branch, head, mirror=f"glovebox/{started.number}")
    prompt = _system(journal.path.with_name(SYSTEM_FILE), made, backend.facts(spec), git)
    parts = Parts(
        llm=made.llm,
        model=made.model,
        models=made.models,
        system=lambda: prompt,
        schemas=_schemas(made.tools),
        tools=made.tools,
        steps_max=made.settings.steps,
        on_ask=made.on_ask,
        map_tokens=made.settings.map_tokens,
        notes=made.settings.notes,
        fitting=made.fitting,
        allowed=made.allowed,
        checks=checks_of(made.settings, always=not made.asks),
        run_task=made.forking
        and partial(run_task, model=made.settings.editor_model, fork=made.forking),
        namer=made.namer
        and dataclasses.replace(made.namer, recent=lambda: recent_subjects(repository)),
    )
    session.equip(parts, make(state, session.emit) if make else own)
    if make is None:
        own.start()
    return session


def _sync_of(
    repository: Repository,
    settings: Settings,
    started: SessionStarted,
    packing: Packing | None = None,
) -> Sync:
    return Sync(
        repository,
        rules=dataclasses.replace(_rules(settings), base=started.base),
        name=started.id,
        branch=f"glovebox/{started.number}",
        author=_author(settings),
        shared=packing,
    )


def _author(settings: Settings) -> Identity | None:
    """Who commits are by, when that is not the user."""
    name, _, mail = settings.commit_author.partition(" <")
    return Identity(name, mail.removesuffix(">")) if name else None


def _trailer(settings: Settings) -> Mapping[str, str]:
    """What commits say besides whose they are."""
    name, _, value = settings.commit_trailer.partition(": ")
    return {name: value} if name else {}


def _gated(spec: SandboxSpec, made: _Made, session: Session, audit: Path) -> SandboxSpec:
    """`spec` with its network: chosen at the start; settings of today may narrow it, hosts add."""
    settings, state = made.settings, session.state
    assert state.started is not None
    network = narrower(state.started.network, settings.network or state.started.network)
    if network == "none":
        return spec
    known = registries.read()
    named = (*settings.allow_hosts, *state.allowed_hosts)
    hosts = (*known.hosts, *named) if network == "registries" else named
    upstreams, problems = upstreams_of(env.variables())
    gate = Gate(
        policy_of(network, hosts),
        inside=known.inside,
        emit=session.emit,
        asks=made.on_ask != "deny",
        audit=audit,
        roads=lambda: Roads(upstreams=upstreams),
    )
    for problem in problems:
        session.emit(Notice("warning", f"your proxy is not used: {problem}"))
    return dataclasses.replace(spec, network=network, hosts=hosts, gate=gate)


def explain_network(settings: Settings) -> tuple[str, ...]:
    """What the network policy in force allows, line by line, and where each line is from."""
    network = settings.network or DEFAULT_NETWORK
    lines = [f"{network}" + ("" if settings.network else " (the default)")]
    if network == "registries":
        found = [(f.entry.partition("=")[0], name, f.source) for name, f in registries.read().found]
        lines += [f"  {host:<32} {name:<6} {source}" for host, name, source in found]
    if network != "none":
        lines += [f"  {host:<32} allowed by you" for host in settings.allow_hosts]
    if network == "open":
        lines.append("  every public host, ports 80 and 443")
    return tuple(lines)


def _rules(settings: Settings) -> Rules:
    """What of the repository goes in, as the user set it."""
    commits = {"auto": None, "all": 0}
    history = settings.history
    return Rules(
        history=commits[history] if isinstance(history, str) else history,
        uncommitted=settings.uncommitted,
        file_max=size_of(settings.largest_file),
        secrets=settings.not_secret,
    )


def _labels(started: SessionStarted, owner: str) -> Mapping[str, str]:
    return {"glovebox.session": started.id, "glovebox.project": started.project, OWNER: owner}


def _below(texts: Mapping[str, str], folder: str) -> dict[str, str]:
    return {k.removeprefix(folder): v for k, v in texts.items() if k.startswith(folder)}


def _schemas(tools: Toolset) -> tuple[ToolSchema, ...]:
    return tuple(ToolSchema(t.name, t.description, schema_of(t.arguments)) for t in tools)


def _system(place: Path, made: _Made, facts: Facts, git: GitFacts) -> str:
    """The system prompt, made once per session: a changed prefix would miss the cache."""
    if files.exists(place):
        return files.read_text(place)
    text = system_prompt(made.template, facts, git, date=time.strftime("%Y-%m-%d"))
    files.write_whole(place, text.encode())
    return text
