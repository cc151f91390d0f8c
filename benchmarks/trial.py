"""One task, once: a fresh repository, a session in its own sandbox, then the check in there."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from agent.app import REPLAY_PREFIX, Options, open_session
from agent.config import Settings
from agent.core.errors import GloveboxError, UserError
from agent.core.events import (
    AnyEvent,
    CallFinished,
    Problem,
    SyncFinished,
    TurnFinished,
    problem_of,
)
from agent.core.messages import Usage
from agent.core.text import terminal_safe
from agent.host import env, files, process
from agent.llm.protocol import Llm
from agent.session.session import Session
from benchmarks.results import Result
from benchmarks.script import PREFIX as SCRIPT_PREFIX
from benchmarks.script import script
from benchmarks.tasks import Task

_OUTPUT_CHARS = 4_000
_FILE_MAX_BYTES = 50_000_000
_VERDICT_KINDS = (
    "BudgetError",
)  # A limit the agent ran into is its own doing: judged all the same.


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps what it makes, and whether sandboxes outlive their trial."""

    folder: Path
    keep: bool


@dataclass(slots=True)
class _Seen:
    """What the events of a turn said."""

    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    steps: int = 0
    calls: int = 0
    problem: Problem | None = None
    branch: str = ""
    commit: str = ""
    unsynced: Problem | None = None

    def apply(self, event: AnyEvent) -> None:
        match event:
            case CallFinished():
                self.calls += 1
            case TurnFinished(usage=usage, steps=steps, problem=problem):
                self.usage, self.steps, self.problem = usage, steps, problem
            case SyncFinished(branch=branch, commit=commit, problem=problem):
                self.branch, self.commit, self.unsynced = branch, commit, problem
            case _:
                pass


@dataclass(frozen=True, slots=True)
class _Check:
    exit_code: int | None
    output: str
    seconds: float


async def run_trial(task: Task, trial: int, settings: Settings, place: Place) -> Result:
    """Solve and judge. What of ours prevented a verdict is in the result, not raised."""
    repository = place.folder / "work" / f"{task.name}-{trial}" / task.name
    blank = Result(
        task=task.name,
        trial=trial,
        model=settings.model,
        outcome="error",
        repository=str(repository),
    )
    try:
        await make_repository(task.files, repository)
        settings, llm = _answers(task, settings)
        options = Options(repository, settings, state=place.folder / "state")
        session = await open_session(options, llm=llm)
    except GloveboxError as error:
        return _failed(blank, problem_of(error))
    try:
        return await _judged(task, session, blank)
    except GloveboxError as error:
        return _failed(blank, problem_of(error))
    finally:
        await (session.close() if place.keep else session.discard())


async def _judged(task: Task, session: Session, blank: Result) -> Result:
    await session.enter()
    seen, late = await _turn(task, session)
    known = replace(
        blank,
        seconds=round(seen.seconds, 3),
        steps=seen.steps,
        calls=seen.calls,
        usage=seen.usage,
        session=session.id,
        branch=seen.branch if seen.commit else "",
        commit=seen.commit,
        problem=seen.problem or seen.unsynced,
    )
    if seen.problem is not None and seen.problem.kind not in _VERDICT_KINDS:
        return _failed(known, seen.problem)
    return await _checked(task, session, known, "timeout" if late else "")


async def _turn(task: Task, session: Session) -> tuple[_Seen, bool]:
    """Run the turn; True when it was ended because its time was over."""
    seen, late = _Seen(), asyncio.Event()

    def end() -> None:
        late.set()
        session.interrupt()

    begun = time.monotonic()
    clock = asyncio.get_running_loop().call_later(task.settings.seconds, end)
    try:
        async for record in session.send(task.instruction):
            seen.apply(record.event)
            if isinstance(record.event, TurnFinished):
                seen.seconds = time.monotonic() - begun
                clock.cancel()
    finally:
        clock.cancel()
    return seen, late.is_set()


async def _checked(task: Task, session: Session, known: Result, reason: str) -> Result:
    """Judge where the agent worked. The check comes in only now, at a place nobody can guess."""
    sandbox = (await session.enter()).sandbox
    hidden = f"/tmp/check-{secrets.token_hex(8)}"
    for name, path in task.hidden:
        await sandbox.put(f"{hidden}/{name}", files.read_bytes(path, limit=_FILE_MAX_BYTES))
    ended = await sandbox.exec(
        ["sh", "-c", task.check],
        cwd=sandbox.workdir,
        env={"CHECK": hidden},
        seconds=task.settings.check_seconds,
    )
    passed = ended.exit_code == 0
    why = reason or ("check_timeout" if ended.timed_out else known.problem_kind or "check")
    return replace(
        known,
        outcome="passed" if passed else "failed",
        reason="" if passed else why,
        check_exit=ended.exit_code,
        check_output=terminal_safe(ended.output.decode("utf-8", "replace"))[-_OUTPUT_CHARS:],
        check_seconds=round(ended.seconds, 3),
    )


def _failed(known: Result, problem: Problem) -> Result:
    return replace(known, outcome="error", reason=problem.kind, problem=problem)


def _answers(task: Task, settings: Settings) -> tuple[Settings, Llm | None]:
    """The model of this task; a script or a recording is looked for beside the task."""
    model = settings.model
    if model.startswith(SCRIPT_PREFIX):
        return settings, script(task.folder / model.removeprefix(SCRIPT_PREFIX))
    if model.startswith(REPLAY_PREFIX):
        file = task.folder / model.removeprefix(REPLAY_PREFIX)
        return replace(settings, model=f"{REPLAY_PREFIX}{file}"), None
    return settings, None


async def make_repository(source: Path, repository: Path) -> None:
    """A git repository with the files of `source` and one commit; nobody's configuration in it."""
    files.make_private_dir(repository)
    await _run(["cp", "-R", "--", f"{source}/.", str(repository)], None)
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Task"]):
        await git(arguments, repository)


async def git(arguments: list[str], folder: Path) -> None:
    """Run git in `folder` with nobody's configuration. Raises `UserError` when it fails."""
    await _run(["git", *arguments], folder)


async def _run(argv: list[str], cwd: Path | None) -> None:
    done = await process.run(argv, env=_environment(), cwd=cwd)
    if done.exit_code != 0:
        raise UserError(f"`{argv[0]}` failed: {done.problem}", "look at the task's files")


def _environment() -> dict[str, str]:
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "benchmark"), ("EMAIL", "benchmark@localhost"))
    }
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return {"PATH": env.variable("PATH"), "LC_ALL": "C.UTF-8", **identity, **quiet}
