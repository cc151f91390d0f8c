"""`glovebox demo`: the main job on a sample repository, in a real sandbox, shown step by step.

Without a model the replies come from a recording; everything else is real: the sandbox, the
commands, their output, the commits, the branch.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from agent.app import REPLAY_PREFIX, Options, open_session
from agent.cli.exits import Exit, exit_of_turn
from agent.cli.lines import line_of, problem_text
from agent.cli.sample import FILES, MESSAGE, UNTRACKED
from agent.config import Settings
from agent.core.errors import UserError
from agent.core.events import (
    AnyEvent,
    CallFinished,
    CallOutput,
    CallStarted,
    MessageFinished,
    SyncFinished,
    TurnFinished,
)
from agent.core.text import terminal_safe
from agent.host import env, files, process

RECORDING = Path(__file__).with_name("demo.jsonl")
_SHOWN_LINES = 14
_RESULT_INDENT = "    │ "


class Demo:
    """One run. `model` takes the place of the recording; `keep` leaves the repository behind."""

    def __init__(self, *, model: str | None, keep: bool) -> None:
        self._model = model or f"{REPLAY_PREFIX}{RECORDING}"
        self._keep = keep
        self._finished: TurnFinished | None = None
        self._synced: SyncFinished | None = None

    async def run(self) -> Exit:
        with files.temporary_dir("glovebox-demo-", shared=True, keep=self._keep) as folder:
            return await self._show(folder / "ledger", folder)

    async def _show(self, repository: Path, state: Path) -> Exit:
        await make_sample(repository)
        before = await _fingerprint(repository)
        self._introduce(repository)
        await self._session(repository, state)
        _heading("Your side of the glass")
        await self._branch(repository)
        untouched = await _fingerprint(repository) == before
        _say(f"working tree, index and HEAD: {'exactly as before' if untouched else 'CHANGED'}")
        _say(await _git(repository, "status", "--short", "--branch"))
        if self._keep:
            _say(f"kept: {repository}")
        assert self._finished is not None
        unsynced = self._synced.problem if self._synced else None
        code = exit_of_turn(self._finished.outcome, self._finished.problem, unsynced)
        return code if untouched else Exit.OURS

    def _introduce(self, repository: Path) -> None:
        if self._model.startswith(REPLAY_PREFIX):
            _say("The model's replies come from a RECORDING (no key needed); the sandbox, the")
            _say("commands and the branch are real. With a key: glovebox demo --model NAME")
        else:
            _say(f"The model is {self._model}.")
        _heading("A sample repository")
        _say(f"{repository}, with uncommitted work and an ignored .env")
        ssh = env.home() / ".ssh"
        _say(f"your SSH folder: {ssh} ({'exists' if files.exists(ssh) else 'does not exist'})")
        _heading("The request")
        _say(MESSAGE)
        _heading("Inside the sandbox")

    async def _session(self, repository: Path, state: Path) -> None:
        settings = Settings(model=self._model)
        session = await open_session(Options(repository, settings, state=state))
        try:
            async for record in session.send(MESSAGE):
                self._event(record.event)
        finally:
            await session.close()

    def _event(self, event: AnyEvent) -> None:
        match event:
            case CallStarted(title=title):
                print(f"\n  → {terminal_safe(title)}")
            case CallFinished(result=result):
                _quote(result.text)
                print(f"  {'✓' if result.ok else '✗'} {'done' if result.ok else 'failed'}")
            case MessageFinished(message=message) if message.text:
                print()
                _say(message.text)
            case TurnFinished():
                self._finished = event
                if event.problem is not None:
                    _say(f"✗ {problem_text(event.problem)}")
            case SyncFinished():
                self._synced = event
            case CallOutput():
                pass
            case _:
                if (line := line_of(event)) is not None:
                    _say(line)

    async def _branch(self, repository: Path) -> None:
        if self._synced is None:
            return
        _say((line_of(self._synced) or "").strip())
        if self._synced.problem is None:
            branch = self._synced.branch
            _quote(await _git(repository, "log", "--oneline", "--graph", branch))
            _quote(await _git(repository, "diff", "--no-ext-diff", f"{branch}~1", branch))


async def make_sample(folder: Path) -> None:
    """Make the sample repository: one commit, an untracked file, an ignored one."""
    for name, text in FILES.items():
        files.write_whole(folder / name, text.encode(), mode=0o644)
    await _git(folder, "init", "-q", "-b", "main")
    await _git(folder, "add", "-A")
    await _git(folder, "commit", "-q", "-m", "Split bills")
    for name, text in UNTRACKED.items():
        files.write_whole(folder / name, text.encode(), mode=0o644)


async def _git(folder: Path, *arguments: str) -> str:
    """Run git in the sample repository with nobody's configuration. Raises `UserError`."""
    environment = {
        "PATH": env.variable("PATH", "/usr/bin:/bin"),
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_OPTIONAL_LOCKS": "0",
    } | {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _WHO}
    try:
        done = await process.run(["git", *arguments], env=environment, cwd=folder)
    except FileNotFoundError as error:
        raise UserError("git is not installed", "install it: apt-get install git") from error
    if done.exit_code != 0:
        raise UserError(f"git {arguments[0]} failed: {done.problem}")
    return done.text


_WHO = (("NAME", "Ada"), ("EMAIL", "ada@example.org"), ("DATE", "2026-01-01T12:00:00Z"))


async def _fingerprint(repository: Path) -> tuple[object, ...]:
    """What must not change: status, HEAD, own branch, index bytes, ignored file."""
    return (
        await _git(repository, "status", "--porcelain=v2", "--ignored"),
        await _git(repository, "rev-parse", "HEAD", "main"),
        files.read_bytes(repository / ".git" / "index"),
        files.read_bytes(repository / ".git" / "HEAD"),
        files.read_bytes(repository / ".git" / "config"),
        files.read_bytes(repository / ".env"),
    )


def _heading(text: str) -> None:
    print(f"\n── {text} {'─' * (70 - len(text))}")


def _say(text: str) -> None:
    for paragraph in terminal_safe(text).splitlines():
        print(textwrap.fill(paragraph, 96, initial_indent="  ", subsequent_indent="  "))


def _quote(text: str) -> None:
    lines = terminal_safe(text).rstrip().splitlines()
    for line in lines[:_SHOWN_LINES]:
        print(f"{_RESULT_INDENT}{line}")
    if len(lines) > _SHOWN_LINES:
        print(f"{_RESULT_INDENT}… {len(lines) - _SHOWN_LINES} more lines")
