"""The one composition root: the only module that knows which concrete parts make a session."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.config import Settings, require_model
from agent.core.errors import GloveboxError, UserError
from agent.core.events import (
    AnyEvent,
    Notice,
    SandboxState,
    SessionStarted,
    SyncFinished,
    Undone,
)
from agent.core.messages import ToolCall
from agent.git.repository import Repository
from agent.git.sync import Sync, allocate_number
from agent.host import env, files
from agent.llm.protocol import Llm, ToolSchema
from agent.llm.replay import Recorder, Replay
from agent.prompting.builder import GitFacts, system_prompt
from agent.sandbox.protocol import Backend, Facts, Sandbox, SandboxSpec
from agent.sandbox.registry import open_backend
from agent.session.catalog import Catalog
from agent.session.journal import Journal
from agent.session.session import Parts, Session
from agent.session.state import State
from agent.tools.base import ToolContext, Toolset, schema_of
from agent.tools.builtin import builtin

REPLAY_PREFIX = "replay:"
SYSTEM_FILE = "system.md"


@dataclass(frozen=True, slots=True)
class Options:
    """What a front end asks for.

    `resume` names a session, "" the one used last, None a new one. `state` takes the place of the
    user's own state directory.
    """

    directory: Path
    settings: Settings
    record: Path | None = None
    resume: str | None = None
    state: Path | None = None


async def open_session(options: Options, *, llm: Llm | None = None) -> Session:
    """A session that is ready for `send`; its sandbox comes up behind it.

    `llm` takes the place of the one the settings name (tests and benchmarks). Raises `UserError`,
    `JournalError`, `LlmError` when a recording is unusable.
    """
    repository = await Repository.find(options.directory)
    project = await repository.project_id()
    root = options.state or env.state_dir()
    catalog = Catalog(root)
    if options.resume is None:
        require_model(options.settings)
        number = await allocate_number(repository, root)
        identity = catalog.new_id()
        journal, state = _begin(catalog, project, number, identity, options.settings)
    else:
        identity = catalog.find(project, options.resume).id
        journal, state = _resume(catalog, identity)
    try:
        return _assemble(options, repository, catalog, journal, state, llm)
    except BaseException:
        journal.close()
        raise


def _begin(
    catalog: Catalog, project: str, number: int, identity: str, settings: Settings
) -> tuple[Journal, State]:
    journal, state = Journal(catalog.journal(identity)), State()
    started = SessionStarted(
        identity, number, project, settings.model, settings.sandbox, settings.network
    )
    state.apply(journal.append(0, started))
    catalog.record(project, number, identity)
    return journal, state


def _resume(catalog: Catalog, identity: str) -> tuple[Journal, State]:
    journal, state = Journal(catalog.journal(identity)), State()
    for record in journal.records:
        state.apply(record)
    if state.started is None:
        journal.close()
        raise UserError(f"session {identity} has no beginning", "start a new one")
    return journal, state


def _assemble(
    options: Options,
    repository: Repository,
    catalog: Catalog,
    journal: Journal,
    state: State,
    llm: Llm | None,
) -> Session:
    started = state.started
    assert started is not None
    model = options.settings.model or started.model
    texts = files.package_texts("prompts")
    tools = builtin(_below(texts, "tools/"))
    backend = open_backend(started.sandbox, env.sandbox_dir(options.state))
    spec = SandboxSpec(session=started.id, network=started.network, labels=_labels(started))
    sync = Sync(repository, session=started.id, number=started.number)
    answers = llm if llm is not None else _llm(model, options.settings)
    if options.record is not None:
        answers = Recorder(answers, options.record)
    session = Session(journal, state)
    place = Place(backend, spec, sync, state, session.emit)
    mirror = f"glovebox/{started.number}"
    prompt = _system(
        catalog.journal(started.id).with_name(SYSTEM_FILE),
        texts["system.md"],
        backend.facts(spec),
        _git_facts(repository, mirror),
        started_at=journal.records[0].at if journal.records else time.time(),
    )
    parts = Parts(
        llm=answers,
        model=model,
        system=lambda: prompt,
        schemas=_schemas(tools),
        tools=tools,
        steps_max=options.settings.steps,
    )
    session.equip(parts, place)
    place.start()
    return session


def _labels(started: SessionStarted) -> Mapping[str, str]:
    return {"glovebox.session": started.id, "glovebox.project": started.project}


def _below(texts: Mapping[str, str], folder: str) -> dict[str, str]:
    return {k.removeprefix(folder): v for k, v in texts.items() if k.startswith(folder)}


def _schemas(tools: Toolset) -> tuple[ToolSchema, ...]:
    return tuple(ToolSchema(t.name, t.description, schema_of(t.arguments)) for t in tools)


def _git_facts(repository: Repository, mirror: str) -> GitFacts:
    return GitFacts(branch=repository.branch, base=repository.head, mirror=mirror)


def _system(place: Path, template: str, facts: Facts, git: GitFacts, *, started_at: float) -> str:
    """The system prompt, made once per session: a changed prefix would miss the cache."""
    if files.exists(place):
        return files.read_text(place)
    date = time.strftime("%Y-%m-%d", time.localtime(started_at))
    text = system_prompt(template, facts, git, date=date)
    files.write_whole(place, text.encode())
    return text


def _llm(model: str, settings: Settings) -> Llm:
    if model.startswith(REPLAY_PREFIX):
        return Replay(Path(model.removeprefix(REPLAY_PREFIX)))
    from agent.llm import client

    # litellm takes seconds to import; it loads while the sandbox comes up and the user types.
    threading.Thread(target=client.warm, daemon=True, name="warm").start()
    return client.LitellmClient(options=settings.options)


class Place:
    """A session's sandbox with its repository: started once, on its own, behind everything else."""

    def __init__(
        self,
        backend: Backend,
        spec: SandboxSpec,
        sync: Sync,
        state: State,
        emit: Callable[[AnyEvent], None],
    ) -> None:
        self._backend = backend
        self._spec = spec
        self._sync = sync
        self._state = state
        self._emit = emit
        self._starting: asyncio.Task[Sandbox] | None = None

    def start(self) -> None:
        """Begin to make or wake the sandbox, unless that is under way or done."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._bring_up())
            # Whoever needs the sandbox awaits this and gets the error; nobody may need it at all.
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def ready(self) -> None:
        await self._sandbox()

    async def _sandbox(self) -> Sandbox:
        self.start()
        assert self._starting is not None
        try:
            return await asyncio.shield(self._starting)
        except GloveboxError:
            self._starting = None  # The next message tries again.
            raise

    async def _bring_up(self) -> Sandbox:
        name, ref = self._backend.name, self._state.sandbox_ref
        self._emit(SandboxState("creating", name))
        if ref and self._state.seeded is not None:
            sandbox = await self._backend.attach(ref, self._spec)
        else:
            sandbox = await self._plant(ref)
        self._emit(SandboxState("ready", name, sandbox.ref))
        return sandbox

    async def _plant(self, ref: str) -> Sandbox:
        """A new sandbox with the repository in it; what a killed attempt left is removed first."""
        if ref:
            await self._backend.destroy(ref)
        sandbox = await self._backend.create(self._spec)
        try:
            self._emit(SandboxState("creating", self._backend.name, sandbox.ref))
            seeded = await self._sync.seed(sandbox)
        except BaseException:
            await sandbox.close()
            raise
        self._emit(seeded)
        if seeded.left_out:
            count = len(seeded.left_out)
            self._emit(
                Notice("info", f"{count} left out of the sandbox", "; ".join(seeded.left_out))
            )
        return sandbox

    async def context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        return ToolContext(await self._sandbox(), call.id, on_output, self._state.seen)

    async def lost(self) -> None:
        await self.close()
        self._emit(SandboxState("lost", self._backend.name, self._state.sandbox_ref))

    async def sync(self, state: State, message: str) -> SyncFinished:
        sandbox, seeded = await self._sandbox(), state.seeded
        assert seeded is not None
        return await self._sync.run(
            sandbox,
            base=seeded.tip,
            last=state.last,
            branch_value=state.branch_value,
            branch=state.branch,
            message=message,
            turn=state.turn,
        )

    async def undo(self, state: State, to: str) -> Undone:
        return await self._sync.undo(await self._sandbox(), to=to, branch=state.branch)

    async def diff(self, state: State) -> str:
        assert state.seeded is not None
        return await self._sync.diff(await self._sandbox(), base=state.seeded.tip)

    async def close(self) -> None:
        starting, self._starting = self._starting, None
        if starting is None:
            return
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
        if starting.cancelled() or starting.exception() is not None:
            return
        await starting.result().close()
        self._emit(SandboxState("closed", self._backend.name, starting.result().ref))

    async def discard(self) -> None:
        if self._state.sandbox_ref:
            await self._backend.destroy(self._state.sandbox_ref)
