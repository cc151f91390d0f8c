"""A sandbox of somebody else's, reached through a command that runs programs in it.

`docker exec -i box`, `ssh host`, `bwrap …`: whatever takes a program and its arguments after it.
All that is needed inside is a POSIX shell, and git for what is done with it.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Mapping, Sequence

from agent.core.errors import SandboxError, SandboxLost
from agent.core.text import one_line
from agent.host import env
from agent.host.process import Completed, ProcessTimeout, run
from agent.sandbox.protocol import ExecResult, OnOutput, Sink

_OUTPUT_MAX_BYTES = 32_000_000
_CARRY_SECONDS = 600.0
# Exit codes of our own scripts, which programs hardly ever have.
_NO_PLACE, _NO_ROOM = 213, 215
_PREPARE = """mkdir -p "$1" && command -v git >/dev/null || exit 1
test -z "$(ls -A "$1")" || exit 215"""
_RUN = 'cd "$1" 2>/dev/null || exit 213; shift; exec 2>&1; exec env "$@"'
_PUT = 'mkdir -p "$2" && cat >"$1.new" && chmod "$3" "$1.new" && mv -f "$1.new" "$1"'
_GET = 'test -f "$1" && test ! -L "$1" || exit 214; head -c "$2" <"$1"'


class Through:
    """`workdir` in the place where `command` runs programs; enough of a sandbox to sync with.

    With `quote` the arguments are joined to one string for a shell, as `ssh` hands them on.
    """

    def __init__(self, command: Sequence[str], workdir: str, *, quote: bool = False) -> None:
        self._command = tuple(command)
        self._quote = quote
        self._workdir = workdir

    @property
    def workdir(self) -> str:
        return self._workdir

    async def exec(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds: float = 120.0,
        on_output: OnOutput | None = None,
        log: str = "",
    ) -> ExecResult:
        """Run a program there and wait. `on_output` hears it all at the end; `log` is not kept."""
        given = [f"{key}={value}" for key, value in (env or {}).items()]
        place = posixpath.join(self._workdir, cwd)
        try:
            done = await self._sh(_RUN, place, *given, *argv, stdin=stdin, seconds=seconds)
        except ProcessTimeout:
            return ExecResult(None, b"", timed_out=True)
        if done.exit_code == _NO_PLACE:
            raise SandboxLost(f"there is no directory `{place}` there", "name another with --at")
        if on_output is not None:
            on_output(done.stdout)
        return ExecResult(done.exit_code, done.stdout, dropped=int(done.cut))

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        """Write a file, creating parents."""
        target = posixpath.join(self._workdir, path)
        whole = data if isinstance(data, bytes) else b"".join(data)
        parent, rights = posixpath.dirname(target), f"{mode:o}"
        done = await self._sh(_PUT, target, parent, rights, stdin=whole, seconds=_CARRY_SECONDS)
        if done.exit_code:
            raise SandboxError(f"cannot write `{path}` there: {_said(done)}")

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        """Read a regular file of at most `limit` bytes."""
        source = posixpath.join(self._workdir, path)
        more = limit + 1
        done = await self._sh(_GET, source, str(more), limit=more, seconds=_CARRY_SECONDS)
        if done.exit_code:
            raise SandboxError(f"cannot read `{path}` there: {_said(done)}")
        if len(done.stdout) > limit:
            raise SandboxError(f"`{path}` there is larger than {limit} bytes")
        if sink is None:
            return done.stdout
        sink(done.stdout)
        return b""

    async def prepare(self) -> None:
        """Make `workdir`, where nothing may be yet.

        Raises `SandboxError` when something is, `SandboxLost` when nothing can be run there.
        """
        done = await self._sh(_PREPARE, self._workdir)
        if done.exit_code == _NO_ROOM:
            raise SandboxError(
                f"`{self._workdir}` there is not empty, and what is in it would be overwritten",
                "bring it home with `glovebox mirror sync`, or name another directory with --at",
            )
        if done.exit_code:
            raise SandboxLost(
                f"`{one_line(shlex.join(self._command), 200)}` cannot make `{self._workdir}` or"
                f" has no git: {_said(done)}",
                "the command after `--` must run a program given to it in your sandbox",
            )

    async def _sh(
        self,
        script: str,
        *args: str,
        stdin: bytes = b"",
        seconds: float = 60.0,
        limit: int = _OUTPUT_MAX_BYTES,
    ) -> Completed:
        words = ["sh", "-c", script, "sh", *args]
        given = [shlex.join(words)] if self._quote else words
        try:
            return await run(
                [*self._command, *given],
                env=env.variables(),
                stdin=stdin,
                seconds=seconds,
                limit=limit,
            )
        # Denied is what the system says, too, where a folder of PATH may not be looked into.
        except (FileNotFoundError, PermissionError) as error:
            why = f"`{self._command[0]}` is not installed here, or may not be run"
            raise SandboxLost(why) from error


def _said(done: Completed) -> str:
    return one_line(done.problem, 300) or f"exit code {done.exit_code}"
