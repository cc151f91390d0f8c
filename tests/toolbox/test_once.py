"""One process for each request, as on backends that cannot hold a channel open."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.sandbox_fixtures import once_argv

TICKING = "(n=0; while echo tick; do n=$((n + 1)); echo $n >ticks; sleep 0.01; done) & echo $! >pid"


def begin(folder: Path, op: str, **arguments: Any) -> subprocess.Popen[bytes]:
    """The process that answers, in a session of its own."""
    return subprocess.Popen(
        once_argv(folder, op, **arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def execute(folder: Path, script: str) -> subprocess.Popen[bytes]:
    """The process that runs a script."""
    argv = ["sh", "-c", script]
    return begin(folder, "exec", argv=argv, cwd="", env={}, seconds=60, log="", live=False)


def descendants(pid: int) -> list[int]:
    """The process and all that descends from it."""
    children = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *(below for child in children for below in descendants(child))]


def number(path: Path) -> int:
    """What a file counts, 0 while nothing is in it."""
    return int(path.read_text().strip() or 0) if path.exists() else 0


def test_what_is_left_running_outlives_whoever_answered(tmp_path: Path) -> None:
    try:
        with execute(tmp_path, TICKING) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"@x 0 ")
            # The service does so as soon as its client knows the answer.
            for pid in descendants(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.stdout.read()  # to its end: nobody else holds it open
        before = number(tmp_path / "ticks")
        while number(tmp_path / "ticks") < before + 20:
            assert Path(f"/proc/{number(tmp_path / 'pid')}").exists()
            time.sleep(0.01)
    finally:
        if left := number(tmp_path / "pid"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
