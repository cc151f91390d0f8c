"""git inside a sandbox, run through the sandbox port; whatever it answers is hostile.

It may be a script that prints what it likes for as long as it likes. So an answer is an id of
exactly forty hex digits or an error, and what git says is quoted on one short printable line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from agent.core.errors import SyncError
from agent.core.text import one_line
from agent.sandbox.protocol import ExecResult, Sink

SECONDS = 300.0
LOOK_INSIDE = "ask the agent what `git status` says, then sync again"

_OID = re.compile(rb"([0-9a-f]{40})\n?")
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "true",
}
# The agent may set up hooks, signing and excludes for its own commits; ours must not meet them.
GIT = (
    *("git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "commit.gpgSign=false", "-c", "i18n.commitEncoding=utf-8", "-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false", "-c", "core.safecrlf=false", "-c", "safe.directory=*"),
)
_QUIET = 'exec "$@" 2>/dev/null'
UNLOCK = 'rm -f .git/index.lock .git/HEAD.lock; find .git/refs -name "*.lock" -delete'
"""For what a git that was killed at a deadline left behind; the agent is idle when it runs."""


class Reach(Protocol):
    """What this room needs of a sandbox: programs and files; see `sandbox.protocol.Sandbox`."""

    @property
    def workdir(self) -> str: ...

    async def exec(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds: float = 120.0,
    ) -> ExecResult: ...

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None: ...

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes: ...


class Inside:
    """Programs run in a sandbox's `workdir`. Raises `SyncError`, or what the sandbox raises."""

    def __init__(self, sandbox: Reach) -> None:
        self._sandbox = sandbox
        self.place = sandbox.workdir

    async def do(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> ExecResult:
        """Run `git *args`, which has to succeed."""
        done = await self.git(*args, stdin=stdin, env=env)
        if done.exit_code == 127:
            raise absent(self.place, program=True)
        if done.exit_code != 0:
            raise SyncError(f"`git {args[0]}` failed inside: {said(done)}", LOOK_INSIDE)
        return done

    async def git(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> ExecResult:
        """Run `git *args`, over a lock that a killed git left behind."""
        done = await self.run([*GIT, *args], stdin=stdin, env=env)
        if done.exit_code != 0 and b".lock'" in done.output:
            await self.run(["sh", "-c", UNLOCK])
            done = await self.run([*GIT, *args], stdin=stdin, env=env)
        return done

    async def ask(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> ExecResult:
        """Run `git *args` without stderr, whose warnings would stand among the answer."""
        return await self.run(["sh", "-c", _QUIET, "sh", *GIT, *args], stdin=stdin, env=env)

    async def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> ExecResult:
        """Run a program in the environment that our git has."""
        ceiling = {"GIT_CEILING_DIRECTORIES": posixpath.dirname(self.place)}
        done = await self._sandbox.exec(
            argv,
            cwd=self.place,
            env=_ENVIRONMENT | ceiling | dict(env or {}),
            stdin=stdin,
            seconds=SECONDS,
        )
        if done.exit_code is None:
            raise SyncError(f"git inside did not end within {SECONDS:g} seconds", LOOK_INSIDE)
        return done


def commit_id(done: ExecResult) -> str:
    """The id that git answered with; anything else raises `SyncError`."""
    if done.exit_code != 0 or done.dropped:
        raise _no_id(said(done))
    return checked_id(done.output)


def checked_id(answer: bytes) -> str:
    """The id that an answer consists of; anything else raises `SyncError`."""
    if found := _OID.fullmatch(answer):
        return found[1].decode()
    raise _no_id(one_line(answer[-2000:].decode("utf-8", "replace"), 300))


def _no_id(instead: str) -> SyncError:
    return SyncError(
        f"git inside answered with no commit id: {instead}",
        "the git in this sandbox may have been replaced; start a new session",
    )


def absent(place: str, program: bool) -> SyncError:
    """What to say where there is no repository inside, or not even git."""
    if program:
        return SyncError("git is not installed in the sandbox", "use a sandbox that has git")
    return SyncError(
        f"there is no git repository at `{place}` inside any more",
        "the branch on this side keeps everything up to the last sync: start a new session"
        " from it, or have the agent restore `.git`",
    )


def said(done: ExecResult) -> str:
    """The end of what git printed, for people."""
    text = one_line(done.output[-2000:].decode("utf-8", "replace"), 300)
    return text or f"exit code {done.exit_code}"
