"""Programs run on the host: an argument list, a built environment, a cap, a deadline. No shell."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.errors import GloveboxError


def _is_news(record: logging.LogRecord) -> bool:
    """asyncio warns the user of a program that was over before its transport was closed.

    It reaps it there itself, and its watcher then finds nobody to wait for.
    """
    return "exit status already read" not in record.getMessage()


logging.getLogger("asyncio").addFilter(_is_news)


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended; `cut` is set when more than the cap came on stdout."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    cut: bool = False

    @property
    def text(self) -> str:
        """stdout without the final newline; bytes that are no UTF-8 survive a round trip."""
        return self.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    @property
    def problem(self) -> str:
        """stderr as printable text."""
        return self.stderr.decode("utf-8", "replace").strip()


class ProcessTimeout(GloveboxError):
    """The program did not end before its deadline and was killed."""


async def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | Path | None = None,
    stdin: bytes | int = b"",
    seconds: float = 60.0,
    limit: int = 64_000_000,
) -> Completed:
    """Run `argv` with exactly `env`, feed `stdin` (bytes or a descriptor), collect what it prints.

    At most `limit` bytes of each stream are kept; the rest is read and dropped. Raises
    `ProcessTimeout` after `seconds`, FileNotFoundError when the program is absent. The process
    group is killed when the deadline passes or the caller is cancelled.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(env),
        cwd=cwd,
        stdin=stdin if isinstance(stdin, int) else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            feed = _feed(process, stdin) if isinstance(stdin, bytes) else asyncio.sleep(0)
            (out, out_cut), (err, _), _ = await asyncio.gather(
                _collect(process.stdout, limit), _collect(process.stderr, limit), feed
            )
            code = await process.wait()
    except TimeoutError:
        raise ProcessTimeout(f"`{argv[0]}` did not end within {seconds:g} seconds") from None
    finally:
        await _end(process)
    return Completed(code, out, err, out_cut)


async def follow(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bytes = b"",
    on_output: Callable[[bytes], None],
) -> int:
    """Run `argv` with exactly `env`, hand on what it prints on both streams; its exit code.

    The process group is killed when the caller is cancelled. Raises OSError when it cannot start.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(env),
        cwd="/",
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    feeding = asyncio.ensure_future(_feed(process, stdin)) if stdin else None
    try:
        assert process.stdout is not None
        while piece := await process.stdout.read(65536):
            on_output(piece)
        return await process.wait()
    finally:
        if feeding is not None:
            feeding.cancel()
            await asyncio.wait({feeding})
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what still runs and close its pipes; returns also when somebody else holds them."""
    if process.returncode is None:
        kill_group(process.pid)
    # asyncio's `wait` waits for the end of every pipe, and for ever for one that it stopped reading
    # because of too much output, or that a program in another session keeps open.
    transport: asyncio.SubprocessTransport = process._transport  # pyright: ignore
    transport.close()
    await process.wait()


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _collect(stream: asyncio.StreamReader | None, limit: int) -> tuple[bytes, bool]:
    assert stream is not None
    kept, cut = bytearray(), False
    while chunk := await stream.read(65536):
        room = limit - len(kept)
        kept += chunk[:room]
        cut = cut or len(chunk) > room
    return bytes(kept), cut


@contextlib.contextmanager
def spare_threads() -> Generator[None]:
    """Have the running loop meanwhile hear of the end of programs without a thread for each.

    As newer Pythons do by themselves. Other loops of this process cannot start programs until then.
    """
    if sys.version_info >= (3, 12):
        yield
        return
    before = asyncio.get_child_watcher()  # pyright: ignore[reportDeprecated]
    watcher = asyncio.PidfdChildWatcher()
    watcher.attach_loop(asyncio.get_running_loop())
    asyncio.set_child_watcher(watcher)  # pyright: ignore[reportDeprecated]
    try:
        yield
    finally:
        asyncio.set_child_watcher(before)  # pyright: ignore[reportDeprecated]


def kill_group(pid: int) -> None:
    """SIGKILL the process group led by `pid`; one that is already gone is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def ourselves(*words: str) -> list[str]:
    """The command line of this glovebox, for a process that may start in any directory."""
    # Not `-m`: it would look for our package in the directory it starts in first.
    root = Path(__file__).resolve().parents[2]
    return [sys.executable, "-P", "-c", _OURSELVES, str(root), *words]


_OURSELVES = """
import sys
sys.path.append(sys.argv.pop(1))
from agent.__main__ import main
main()
"""


def detach(
    argv: Sequence[str], *, env: Mapping[str, str], log: Path, pass_fds: Sequence[int] = ()
) -> int:
    """Start `argv` so that it outlives us and our terminal; its process id.

    It leads a session of its own, has no stdin, and what it prints is appended to `log`.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    output = os.open(log, flags, 0o600)
    try:
        child = subprocess.Popen(
            argv,
            env=dict(env),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    finally:
        os.close(output)
    # If it ends before us after all, nothing is to be left of it in the table of processes.
    threading.Thread(target=child.wait, daemon=True, name=f"wait for {child.pid}").start()
    return child.pid


async def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
    user: int | None = None,
    **kwargs: Any,
) -> asyncio.subprocess.Process:
    """Start a long-lived program in a session of its own, with exactly `env` and `pass_fds`.

    `user` (root only) makes it run as that user and group id, without supplementary groups.
    """
    if user is not None:
        kwargs |= {"user": user, "group": user, "extra_groups": []}
    return await asyncio.create_subprocess_exec(
        *argv, env=dict(env), pass_fds=tuple(pass_fds), start_new_session=True, **kwargs
    )
