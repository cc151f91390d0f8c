"""A sandbox used through its shell: programs and whole files. See `protocol.Sandbox`.

What it promises less: a program's death by a signal cannot be told from an exit code above 128; of
a long output head and tail are kept and no log; what a command leaves running can print no more
once the command has ended; ports cannot be shown, and nothing can be held while it runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from posixpath import join, normpath

from agent.core import limits
from agent.core.errors import SandboxError, SandboxLacks
from agent.host.launch import settled
from agent.sandbox.plain.output import Output
from agent.sandbox.plain.shell import Shell
from agent.sandbox.plain.toolbox import PlainToolbox
from agent.sandbox.protocol import Endpoint, ExecResult, OnOutput, Program, Sink, Size

ABSENT, NOT_EXECUTABLE = 127, 126
HIGHEST_SIGNAL = 64

# The shell leads a group of its own, which the program it becomes goes on to lead.
_RUN = """
echo "$$"
exec 2>&1
umask 022
cd "$1" || exit 126
shift
exec env -i "$@"
"""
_SIGNAL = 'kill "-$1" "-$2" 2>/dev/null || kill "-$1" "$2" 2>/dev/null; exit 0'
_PUT = """
umask 022
path=$1
for _ in 1 2 3 4 5 6 7 8; do
  [ -L "$path" ] || break
  to=$(readlink "$path") || break
  case $to in /*) path=$to ;; *) path=$(dirname "$path")/$to ;; esac
done
if [ -e "$path" ] && [ ! -f "$path" ]; then echo "not a regular file"; exit 3; fi
folder=$(dirname "$path")
mkdir -p "$folder" 2>/dev/null || { echo "cannot make its directory"; exit 3; }
new=$(mktemp "$folder/.glovebox-XXXXXX" 2>/dev/null) || { echo "Permission denied"; exit 3; }
cat >"$new" 2>/dev/null && chmod "$2" "$new" && [ "$(wc -c <"$new")" -eq "$3" ] &&
  mv -f "$new" "$path" && exit 0
rm -f "$new"
echo "cannot write it whole"
exit 3
"""
_GET = """
[ -e "$1" ] || { echo "absent"; exit 3; }
[ -f "$1" ] || { echo "not a regular file"; exit 3; }
[ -r "$1" ] || { echo "Permission denied"; exit 3; }
size=$(wc -c <"$1")
[ "$size" -le "$2" ] || { echo "too large"; exit 3; }
exec cat "$1"
"""


class PlainSandbox:
    """One sandbox and its shell; whoever makes it says how it is closed."""

    def __init__(
        self,
        ref: str,
        workdir: str,
        shell: Shell,
        environment: Mapping[str, str],
        notes: Sequence[str],
    ) -> None:
        self._ref = ref
        self._workdir = workdir
        self._shell = shell
        self._environment = dict(environment)
        self._toolbox = PlainToolbox(shell, workdir, self.put)
        self.notes = tuple(notes)
        self.network = "none"

    @property
    def ref(self) -> str:
        return self._ref

    @property
    def workdir(self) -> str:
        return self._workdir

    @property
    def toolbox(self) -> PlainToolbox:
        return self._toolbox

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
        place = normpath(join(self._workdir, cwd))
        variables = {**self._environment, "PWD": place, **(env or {})}
        words = [place, *(f"{name}={value}" for name, value in variables.items()), *argv]
        if not argv or any("\0" in word for word in words):
            return ExecResult(NOT_EXECUTABLE, b"cannot start: a word of it is none\n")
        output = Output(on_output)
        running = asyncio.ensure_future(
            self._shell.run(_RUN, *words, stdin=stdin, on_output=output.take, on_gap=output.skip)
        )
        try:
            await _begun(running, output)
            began = time.monotonic()
            done, _ = await asyncio.wait({running}, timeout=seconds)
        except asyncio.CancelledError:
            await settled(asyncio.ensure_future(self._end(running, output)))
            raise
        if not done:
            await self._end(running, output)
            code = None
        elif (error := running.exception()) is not None:
            if not isinstance(error, SandboxError):  # of whoever listens: it must not run on
                await settled(asyncio.ensure_future(self._end(running, output)))
            raise error
        else:
            code = _code(running.result())
            if not output.group:
                raise SandboxError(f"the program could not be started: {output.said_instead}")
        return ExecResult(code, output.kept, output.dropped, code is None, time.monotonic() - began)

    async def _end(self, running: asyncio.Future[int], output: Output) -> None:
        """End a program with its group, and hear what it still has to say."""
        for signal, patience in (
            ("TERM", limits.KILL_GRACE_SECONDS),
            ("KILL", limits.TOOLBOX_LATE_SECONDS),
        ):
            if output.group:
                await self._shell.run(_SIGNAL, signal, output.group)
            await asyncio.wait({running}, timeout=patience)
        if not running.done():
            running.cancel()
            await asyncio.wait({running})

    @asynccontextmanager
    async def interact(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        terminal: Size | None = None,
    ) -> AsyncGenerator[Program]:
        raise SandboxLacks("a program in this sandbox cannot be talked to: it has no Python")
        yield  # what makes this a generator

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        whole = data if isinstance(data, bytes) else b"".join(data)
        words = (self._at(path), f"{mode & 0o777:o}", str(len(whole)))
        said = bytearray()
        code = await self._shell.run(_PUT, *words, stdin=whole, on_output=said.extend)
        if code:
            raise SandboxError(f"cannot write `{path}` inside the sandbox: {_reason(said)}")

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        kept, count = bytearray(), 0
        first = bytearray()

        def take(piece: bytes) -> None:
            nonlocal count
            count += len(piece)
            first.extend(piece[: 200 - len(first)])
            if count <= limit:
                (sink or kept.extend)(piece)

        code = await self._shell.run(_GET, self._at(path), str(limit), on_output=take)
        if code or count > limit:
            why = "too large" if not code else _reason(first)
            raise SandboxError(f"cannot read `{path}` inside the sandbox: {why}")
        return bytes(kept)

    def _at(self, path: str) -> str:
        if "\0" in path:
            raise SandboxError("a path cannot have a NUL in it")
        return normpath(join(self._workdir, path))

    async def expose(self, port: int) -> Endpoint:
        raise SandboxLacks("a port of this sandbox cannot be shown: it has no Python")

    async def close(self) -> None:
        """Nothing to do where nobody says what."""


async def _begun(running: asyncio.Future[int], output: Output) -> None:
    """Return once the program runs, from when its time counts, or when it will not any more."""
    beginning = asyncio.ensure_future(output.begun.wait())
    try:
        await asyncio.wait(
            {running, beginning},
            timeout=limits.TOOLBOX_START_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        beginning.cancel()


def _code(code: int) -> int:
    """The exit code, with death by a signal as everywhere else."""
    return 128 - code if 128 < code <= 128 + HIGHEST_SIGNAL else code


def _reason(said: bytearray) -> str:
    return bytes(said[:200]).decode("utf-8", "replace").strip() or "no reason given"
