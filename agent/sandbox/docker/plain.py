"""A container whose image has no Python for the toolbox: used by `exec` of the engine alone.

Everything that holds it is the same; its main process is a shell that waits for the end of its
stdin, so that nothing in there outlives us either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from agent.core import limits
from agent.core.errors import SandboxError, SandboxLost
from agent.host import process
from agent.host.handles import Streams
from agent.host.launch import Child
from agent.sandbox.bubblewrap import WORKDIR
from agent.sandbox.docker.engine import Engine
from agent.sandbox.plain.sandbox import PlainSandbox
from agent.sandbox.plain.shell import OnBytes, OnGap, carried

_AGAIN_SECONDS = 0.05
_AT_ONCE = 16


class DockerShell:
    """Runs scripts in one container; see `plain.shell.Shell`."""

    def __init__(self, engine: Engine, name: str, child: Child, streams: Streams) -> None:
        self._engine = engine
        self._name = name
        self._child = child
        self._reader, self._writer = streams
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(
        self,
        script: str,
        *words: str,
        stdin: bytes = b"",
        on_output: OnBytes | None = None,
        on_gap: OnGap | None = None,
    ) -> int:
        del on_gap  # all of it comes
        script, words = carried(script, words)
        asked = ["exec", *(["--interactive"] if stdin else []), "--workdir", "/", self._name]
        argv = self._engine.command(*asked, "/bin/sh", "-c", script, "sh", *words)
        async with self._slots:
            self._still_there()
            try:
                code = await process.follow(
                    argv,
                    env=self._engine.environment(),
                    stdin=stdin,
                    on_output=on_output or _nowhere,
                )
            except OSError as error:
                raise SandboxError(f"`{self._engine.name} exec` cannot start: {error}") from error
            finally:
                self._reap()
        self._still_there()
        return code

    async def ready(self) -> None:
        """Return once the container takes scripts. Raises `TimeoutError`, `SandboxLost`."""
        async with asyncio.timeout(limits.TOOLBOX_START_SECONDS):
            # The engine does not say when; until then it refuses.
            while await self.run("exit 0"):  # noqa: ASYNC110
                await asyncio.sleep(_AGAIN_SECONDS)

    def close(self) -> None:
        """End what holds the container's stdin."""
        self._writer.transport.abort()

    def _reap(self) -> None:
        if not self._writer.transport.is_closing():
            self._writer.write(b"\n")

    def _still_there(self) -> None:
        if self._child.exit_code is not None or self._writer.transport.is_closing():
            raise SandboxLost("the sandbox is gone", "the next message starts it again")


class PlainContainer(PlainSandbox):
    """One running container without a toolbox."""

    def __init__(
        self,
        ref: str,
        shell: DockerShell,
        environment: Mapping[str, str],
        notes: Sequence[str],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(ref, WORKDIR, shell, environment, notes)
        self._end_all = end

    async def close(self) -> None:
        await asyncio.shield(self._end_all())


def _nowhere(_: bytes) -> None:
    """Nobody wants to hear it."""
