"""Processes of our own, for work that may crash or never end: they can be killed.

What is asked of one is JSON on its stdin, what it answers JSON on its stdout.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, Optional

POLL_SECONDS = 0.1
ANSWER_MAX_BYTES = 32_000_000


def command(mode: str) -> List[str]:
    """How a process of ours is started: from the zip that we are in, or from a source tree."""
    place = os.path.abspath(__file__)
    for _ in ("programs", "toolbox", "agent", "the place of them"):
        place = os.path.dirname(place)
    python = [sys.executable, "-I", "-S", "-X", "utf8"]
    if os.path.isfile(place):
        return [*python, place, mode]
    start = "import sys; sys.path.insert(0, sys.argv.pop(1))"
    return [*python, "-c", start + "; from agent.toolbox.__main__ import main; main()", place, mode]


def answer_of(
    mode: str, ask: Dict[str, Any], seconds: float, cancelled: Callable[[], bool]
) -> Dict[str, Any]:
    """What a process started for this one request says; nothing of it is left.

    Raises `TimeoutError` when it takes too long or nobody wants it any more, `ValueError` when it
    ends without an answer.
    """
    until = time.monotonic() + seconds
    process = subprocess.Popen(
        command(mode),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    sent: Optional[bytes] = json.dumps(ask).encode("ascii")
    try:
        while True:
            try:
                said, _ = process.communicate(sent, timeout=POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                sent = None  # it has begun to send, and goes on by itself
                if cancelled() or time.monotonic() >= until:
                    raise TimeoutError from None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it did not read cannot be sent any more
                    pipe.close()
        process.wait()
    if len(said) > ANSWER_MAX_BYTES:
        raise ValueError("the answer is too long")
    return dict(json.loads(said.decode("ascii")))
