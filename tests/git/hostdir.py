"""A `Sandbox` that is no wall: programs run on the host, in a directory, with a clean environment.

For tests of the git room only. It keeps the promises of the port that this room relies on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.core.errors import SandboxError
from agent.sandbox.protocol import Endpoint, ExecResult, OnOutput, Sink

OUTPUT_MAX = 30_000


class HostDir:
    """`programs` is searched before the system's, so that a test can replace git inside."""

    def __init__(self, place: Path) -> None:
        self.work = place / "workspace"
        self.home = place / "home"
        self.programs = place / "programs"
        self.tmp = place / "tmp"
        for path in (self.work, self.home, self.programs, self.tmp):
            path.mkdir(parents=True, exist_ok=True)
        self.execs: list[tuple[str, ...]] = []
        self.taken = 0

    def replace_git(self, script: str) -> None:
        """Have `script` answer to the name of git inside, as an agent could arrange."""
        path = self.programs / "git"
        path.write_text(script)
        path.chmod(0o755)

    @property
    def ref(self) -> str:
        return f"hostdir:{self.work}"

    @property
    def workdir(self) -> str:
        return str(self.work)

    @property
    def toolbox(self) -> Any:
        raise NotImplementedError

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
        self.execs.append(tuple(argv))
        argv = [word.replace("/tmp/glovebox-", f"{self.tmp}/glovebox-") for word in argv]
        environment = {
            "PATH": f"{self.programs}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
        }
        program = shutil.which(argv[0], path=environment["PATH"]) or argv[0]
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *argv[1:],
                cwd=cwd or self.work,
                env=environment | dict(env or {}),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            return ExecResult(127, str(error).encode())
        return await _follow(process, stdin, seconds)

    def _target(self, path: str) -> Path:
        """Where a path inside is on the host: `/tmp` inside has a place of its own."""
        inside = Path(path)
        below = inside.is_relative_to("/tmp/") and not inside.is_relative_to(self.work)
        return self.tmp / inside.relative_to("/tmp") if below else self.work / path

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        target = self._target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        pieces = (data,) if isinstance(data, bytes) else data
        with target.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        target.chmod(mode)

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        try:
            fd = os.open(self._target(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise SandboxError(f"cannot read {path}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise SandboxError(f"{path} is not a regular file")
        with os.fdopen(fd, "rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise SandboxError(f"{path} is larger than {limit} bytes")
        self.taken += len(data)
        if sink is None:
            return data
        sink(data)
        return b""

    def interact(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def expose(self, port: int) -> Endpoint:
        raise SandboxError("no ports here")

    async def close(self) -> None:
        return None


async def _follow(process: asyncio.subprocess.Process, stdin: bytes, seconds: float) -> ExecResult:
    kept, dropped = bytearray(), 0

    async def read() -> None:
        nonlocal dropped
        assert process.stdout is not None
        while chunk := await process.stdout.read(65536):
            room = max(OUTPUT_MAX - len(kept), 0)
            kept.extend(chunk[:room])
            dropped += len(chunk[room:])

    async def feed() -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(stdin)
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass
        process.stdin.close()

    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(read(), feed())
            code: int | None = await process.wait()
    except TimeoutError:
        code = None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        process._transport.close()  # type: ignore[attr-defined]  # else `wait` can wait for ever
        await process.wait()
    return ExecResult(code, bytes(kept), dropped, code is None)
