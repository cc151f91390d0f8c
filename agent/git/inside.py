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
_UNLOCK = 'rm -f "$1/index.lock" "$1/HEAD.lock"; find "$1/refs" -name "*.lock" -delete'


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
        self._dir = sandbox.workdir

    async def do(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> ExecResult:
        """Run `git *args`, which has to succeed."""
        done = await self.git(*args, stdin=stdin, env=env)
        if done.exit_code == 127:
            raise SyncError("git is not installed in the sandbox", "use a sandbox that has git")
        if done.exit_code != 0:
            raise SyncError(f"`git {args[0]}` failed inside: {said(done)}", LOOK_INSIDE)
        return done

    async def git(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> ExecResult:
        """Run `git *args`, over a lock that a killed git left behind."""
        done = await self.run([*GIT, *args], stdin=stdin, env=env)
        if done.exit_code != 0 and b".lock'" in done.output:
            # A git that was killed at a deadline leaves its lock; the agent is idle now.
            await self.run(["sh", "-c", _UNLOCK, "sh", posixpath.join(self._dir, ".git")])
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
        ceiling = {"GIT_CEILING_DIRECTORIES": posixpath.dirname(self._dir)}
        done = await self._sandbox.exec(
            argv,
            cwd=self._dir,
            env=_ENVIRONMENT | ceiling | dict(env or {}),
            stdin=stdin,
            seconds=SECONDS,
        )
        if done.exit_code is None:
            raise SyncError(f"git inside did not end within {SECONDS:g} seconds", LOOK_INSIDE)
        return done


def commit_id(done: ExecResult) -> str:
    """The id that git answered with; anything else raises `SyncError`."""
    found = _OID.fullmatch(done.output) if not done.dropped else None
    if done.exit_code != 0 or not found:
        raise SyncError(
            f"git inside answered with no commit id: {said(done)}",
            "the git in this sandbox may have been replaced; start a new session",
        )
    return found[1].decode()


def said(done: ExecResult) -> str:
    """The end of what git printed, for people."""
    text = one_line(done.output[-2000:].decode("utf-8", "replace"), 300)
    return text or f"exit code {done.exit_code}"
