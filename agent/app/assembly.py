"""Put a session together from its parts, once it is known which session it is."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from agent.app.means import allowed, checks_of
from agent.app.models import open_model, window_of
from agent.app.options import Options
from agent.app.seeding import sync_of, trailer_of
from agent.app.walls import AUDIT_FILE, environment_of, gated, labels_of, limits_of
from agent.config import Settings
from agent.core.events import AnyEvent
from agent.git.repository import Repository
from agent.git.view import recent_subjects
from agent.host import files
from agent.llm.protocol import Llm, ToolSchema
from agent.llm.replay import Recorder
from agent.loop.compact import Writer
from agent.loop.naming import Namer
from agent.prompting.builder import GitFacts, system_prompt
from agent.sandbox.protocol import Backend, Facts, SandboxSpec
from agent.session.fitting import Fitting, unknown_window
from agent.session.journal import Journal
from agent.session.parts import Parts
from agent.session.place import Workplace as Place
from agent.session.purse import Allowed
from agent.session.questions import OnAsk
from agent.session.session import Session
from agent.session.state import State
from agent.session.tasks import NOT_FOR_CHILDREN, Fork, run_task
from agent.tools.base import Toolset, run_nowhere, schema_of
from agent.tools.builtin import builtin
from agent.workplace import Workplace

SYSTEM_FILE = "system.md"
MakePlace = Callable[[State, Callable[[AnyEvent], None]], Place]


@dataclass(frozen=True, slots=True)
class Made:
    """What a session needs that does not depend on which session it is."""

    options: Options
    llm: Llm
    models: Callable[[str], Llm]
    tuned: Callable[[str, Mapping[str, str]], Made]
    model: str
    template: str
    tools: Toolset
    on_ask: OnAsk
    namer: Namer | None
    fitting: Fitting
    allowed: Allowed
    forking: Fork | None


def parts_of(options: Options, model: str, llm: Llm | None, forking: Fork) -> Made:
    """What `options` ask for; `llm` takes the place of `model`'s, `forking` makes a child's fork.

    Raises `UserError` for a model that cannot be, `LlmError` for an unusable recording.
    """
    texts = files.package_texts("prompts")

    def models(model: str) -> Llm:
        pace = options.pace
        answers = llm if llm is not None else open_model(model, options.settings, pace=pace)
        return Recorder(answers, options.record) if options.record is not None else answers

    tools = builtin(_below(texts, "tools/"))
    tools = tools.without(*NOT_FOR_CHILDREN) if options.child else tools
    namer = _namer(options, texts["commit.md"])

    def tuned(model: str, chosen: Mapping[str, str]) -> Made:
        settings = msgspec.structs.replace(options.settings, **chosen)
        return parts_of(dataclasses.replace(options, settings=settings), model, llm, forking)

    return Made(
        options=options,
        llm=models(model),
        models=models,
        tuned=tuned,
        model=model,
        template=texts["system.md"],
        tools=tools,
        on_ask="person" if options.asks else options.on_ask,
        namer=namer,
        fitting=_fitting(options.settings, texts["compact.md"], namer, asks_provider=llm is None),
        allowed=allowed(options.settings, options.tree),
        forking=None if options.child else forking,
    )


def _namer(options: Options, prompt: str) -> Namer | None:
    """Who words the commits; None for the words of the request."""
    settings, model = options.settings, options.settings.weak_model
    if not model:
        return None
    return Namer(open_model(model, settings, fallback=False, pace=options.pace), model, prompt)


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


def assemble(
    made: Made,
    backend: Backend,
    repository: Repository,
    journal: Journal,
    state: State,
    owner: str,
    make: MakePlace | None = None,
) -> Session:
    """The session of `journal` and `state`; `make` takes the place of its sandbox and repository.

    Raises `UserError` for a limit that `backend` cannot keep.
    """
    started = state.started
    assert started is not None
    session, settings = Session(journal, state), made.options.settings
    spec = SandboxSpec(
        session=started.id,
        labels=labels_of(started, owner),
        environment={**environment_of(settings), **made.options.environment},
        limits=limits_of(settings, backend),
        image=settings.image,
        engine=settings.engine,
    )
    spec = gated(
        spec,
        settings,
        session,
        journal.path.with_name(AUDIT_FILE),
        asks=made.on_ask != "deny",
    )
    sync = sync_of(repository, settings, started, made.options.packing)
    trailer = trailer_of(settings)
    own = Workplace(backend, spec, sync, state, session.emit, trailer)
    branch, head = ("", started.base) if started.base else (repository.branch, repository.head)
    git = GitFacts(branch, head, mirror=f"glovebox/{started.number}")
    prompt = _system(journal.path.with_name(SYSTEM_FILE), made, backend.facts(spec), git)

    def parts(made: Made) -> Parts:
        settings, fork = made.options.settings, made.forking
        return Parts(
            llm=made.llm,
            model=made.model,
            models=made.models,
            tuned=lambda model, chosen: parts(made.tuned(model, chosen)),
            system=lambda: prompt,
            schemas=_schemas(made.tools),
            tools=made.tools,
            steps_max=settings.steps,
            on_ask=made.on_ask,
            map_tokens=settings.map_tokens,
            notes=settings.notes,
            fitting=made.fitting,
            allowed=made.allowed,
            checks=checks_of(settings, always=not made.options.asks),
            run_task=partial(run_task, session, model=settings.editor_model, fork=fork)
            if fork
            else run_nowhere,
            namer=made.namer
            and dataclasses.replace(made.namer, recent=lambda: recent_subjects(repository)),
        )

    session.equip(parts(made), make(state, session.emit) if make else own)
    if make is None:
        own.start()
    return session


def _below(texts: Mapping[str, str], folder: str) -> dict[str, str]:
    return {k.removeprefix(folder): v for k, v in texts.items() if k.startswith(folder)}


def _schemas(tools: Toolset) -> tuple[ToolSchema, ...]:
    return tuple(ToolSchema(t.name, t.description, schema_of(t.arguments)) for t in tools)


def _system(place: Path, made: Made, facts: Facts, git: GitFacts) -> str:
    """The system prompt, made once per session: a changed prefix would miss the cache."""
    if files.exists(place):
        return files.read_text(place)
    text = system_prompt(made.template, facts, git, date=time.strftime("%Y-%m-%d"))
    files.write_whole(place, text.encode())
    return text
