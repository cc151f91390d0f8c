"""Grading: the tests run in a fresh sandbox, made of the pristine task and the agent's files.

Whatever else the agent did to its own sandbox stays there. The verdict is the report of the test
runner, compared with the tests that are expected; an exit code alone passes nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from agent.app import Options, open_session
from agent.config import Settings, narrower
from agent.core.errors import GloveboxError, SandboxError
from agent.core.events import problem_of
from agent.core.text import terminal_safe
from agent.host import files
from agent.sandbox.protocol import ExecResult, Sandbox
from benchmarks.images import inside, variables
from benchmarks.reports import Run, Status, read_report, words_of
from benchmarks.repository import lay
from benchmarks.results import Tests, Verdict
from benchmarks.tasks import FILE_MAX_BYTES, Grader, Task, Work, data_of

ENVIRONMENT = {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
_REPORT_FILES_MAX = 200
_FAILED_MAX = 50
_WHOLE = "1TB"


class Turns:
    """So many may be at it at once, or one alone."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._only = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        async with self._free:
            yield

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Wait until nobody is at it, and keep everybody out meanwhile."""
        async with self._only, AsyncExitStack() as held:
            for _ in range(self._count):
                await held.enter_async_context(self._free)
            yield


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps what it makes, and how its sandboxes are made.

    `grading` bounds how many run tests at once: compilers want cores, models do not.
    """

    folder: Path
    settings: Settings
    grading: Turns
    keep: bool = False

    @property
    def state(self) -> Path:
        return self.folder / "state"


async def grade(
    task: Task, work: Work, expected: Sequence[str] | None, place: Place, folder: Path
) -> Verdict:
    """Run the tests of `task` on `work`; `folder` is for this alone. Without `expected` tests all
    that the report names must have passed. Tests that ran out of time may have been kept from
    running by others: they run once more, alone. What of ours went wrong is in the verdict.
    """
    assert task.grader is not None
    try:
        async with place.grading.one():
            verdict = await _graded(task, task.grader, work, expected, place, folder)
        if verdict.reason != "test_timeout":
            return verdict
        async with place.grading.alone():
            again = await _graded(task, task.grader, work, expected, place, folder)
        return replace(again, again=True)
    except GloveboxError as error:
        ours = isinstance(error, SandboxError)
        reason = "sandbox_error" if ours else "grader_error"
        return Verdict(reason=reason, problem=problem_of(error))


async def _graded(
    task: Task,
    grader: Grader,
    work: Work,
    expected: Sequence[str] | None,
    place: Place,
    folder: Path,
) -> Verdict:
    files.remove_tree(folder)
    await lay(task.pristine, folder)
    session = await open_session(await options_of(place, folder, task, network=grader.network))
    try:
        sandbox = (await session.enter()).sandbox
        if not await put_work(sandbox, work):
            return Verdict(reason="patch_failed", tests=Tests(missing=len(expected or ())))
        ended, reports = await _run(sandbox, task, grader)
    finally:
        await session.discard()
        files.remove_tree(folder)
    run = Run(reports, ended.output.decode("utf-8", "replace"), ended.exit_code)
    found = read_report(grader.report, run)
    verdict = judge(found, expected, run.exit_code, exact=grader.exact)
    return replace(
        verdict,
        reason="test_timeout" if ended.timed_out else verdict.reason,
        passed=verdict.passed and not ended.timed_out,
        output=terminal_safe(words_of(grader.report, run)),
        exit_code=ended.exit_code,
        seconds=round(ended.seconds, 3),
    )


async def options_of(
    place: Place, folder: Path, task: Task | None = None, *, network: bool = False
) -> Options:
    """How a sandbox is opened in which no model is asked; without `network` it reaches nothing."""
    settings = place.settings if task is None else settings_of(task, place.settings)
    settings = replace(settings, map_tokens=0, notes=False)
    if not network:
        settings = replace(settings, network="none", allow_hosts=())
    given = await environment_of(task) if task else dict[str, str]()
    return Options(folder, settings, state=place.state, needs_model=False, environment=given)


def settings_of(task: Task, settings: Settings) -> Settings:
    """The settings of a sandbox for this task: what it asks for, and no more than they allow."""
    if task.image is not None:
        # All that is in the image is the task's; nothing of it is a secret of the user's.
        own = {"sandbox": "docker", "image": inside(task.image), "limits": task.allowance}
        settings = replace(settings, **own, largest_file=_WHOLE, not_secret=("*",))
    if not task.network:
        return settings
    network = narrower(task.network, settings.network or task.network)
    return replace(settings, network=network, allow_hosts=task.hosts)


async def environment_of(task: Task) -> Mapping[str, str]:
    """What programs in a sandbox for this task see besides."""
    return {**(await variables(task.image) if task.image else {}), **task.environment}


async def put_work(sandbox: Sandbox, work: Work) -> bool:
    """Lay an agent's work over a pristine task; False when its patch does not fit."""
    for name, data in work.files.items():
        await sandbox.put(f"{sandbox.workdir}/{name}", data)
    if not work.patch:
        return True
    place = f"/tmp/work-{secrets.token_hex(8)}.patch"
    await sandbox.put(place, work.patch)
    argv = ["git", "apply", "--whitespace=nowarn", place]
    return (await sandbox.exec(argv, cwd=sandbox.workdir)).exit_code == 0


async def _run(sandbox: Sandbox, task: Task, grader: Grader) -> tuple[ExecResult, dict[str, bytes]]:
    """Tests, and what they need, come to places that nobody could guess before."""
    check, report = (f"/tmp/{word}-{secrets.token_hex(8)}" for word in ("check", "report"))
    for name, content in task.hidden.items():
        await sandbox.put(f"{check}/{name}", data_of(content))
    await sandbox.put(f"{report}/.here", b"")
    ended = await sandbox.exec(
        ["sh", "-c", grader.script],
        cwd=sandbox.workdir,
        env=ENVIRONMENT | {"CHECK": check, "REPORT": report},
        seconds=task.limits.tests,
    )
    listed = await sandbox.exec(["find", report, "-type", "f", "!", "-name", ".here"])
    names = listed.output.decode("utf-8", "replace").splitlines()[:_REPORT_FILES_MAX]
    return ended, {
        name.removeprefix(f"{report}/"): await sandbox.get(name, limit=FILE_MAX_BYTES)
        for name in names
    }


def judge(
    found: Mapping[str, Status],
    expected: Sequence[str] | None,
    exit_code: int | None,
    *,
    exact: bool = False,
) -> Verdict:
    """What a report is worth. With `exact` only the expected tests count."""
    names = list(found if expected is None else expected)
    counted = {name: found[name] for name in names if name in found} if exact else found
    tests = Tests(
        passed=sum(status == "passed" for status in counted.values()),
        failed=sum(status == "failed" for status in counted.values()),
        skipped=sum(status == "skipped" for status in counted.values()),
        missing=sum(name not in found for name in names),
    )
    complete = bool(names) and all(found.get(name) == "passed" for name in names)
    reason = ""
    if tests.failed:
        reason = "tests_failed"
    elif not complete:
        reason = "tests_missing"
    elif exit_code != 0 and not exact:
        reason = "exit_code"
    return Verdict(
        passed=not reason,
        reason=reason,
        tests=tests,
        names=tuple(name for name, status in counted.items() if status == "passed"),
        failed=tuple(n for n, status in counted.items() if status == "failed")[:_FAILED_MAX],
    )
