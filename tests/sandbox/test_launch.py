"""Starting long-lived children."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path

import pytest

from agent.host.handles import Handed
from agent.host.launch import launch


def running(marker: str) -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


async def test_a_launch_that_is_cancelled_leaves_nothing_running() -> None:
    marker = secrets.token_hex(8)
    argv = ["/bin/sh", "-c", f"sh -c 'sleep 86388; true' {marker}; true", marker]
    task = asyncio.create_task(launch(argv, pass_fds=(), env={"PATH": "/usr/bin:/bin"}))
    await asyncio.sleep(0)
    # The loop stands still meanwhile, so the launch cannot have returned.
    while len(running(marker)) < 2:
        time.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    # Only the leader was waited for; the rest is dying. The test's time limit ends the wait.
    while running(marker):
        await asyncio.sleep(0)


async def test_a_child_gets_what_it_is_handed_and_nothing_else() -> None:
    script = "cat /proc/self/fd/$1 >&2; env >&2; ls /proc/self/fd >&2"
    with Handed() as handed:
        given = handed.data(b"given ")
        child = await launch(
            ["/bin/sh", "-c", script, "sh", str(given)],
            pass_fds=handed.descriptors,
            env={"PATH": "/usr/bin:/bin"},
        )
    assert await child.wait() == 0
    words = child.stderr.split()
    assert words[0] == "given"
    assert [w for w in words if "=" in w and not w.startswith(("PWD", "SHLVL", "_"))] == [
        "PATH=/usr/bin:/bin"
    ]
    # 3 is the listing itself.
    assert {w for w in words if w.isdigit()} == {"0", "1", "2", "3", str(given)}


async def test_a_child_that_talks_without_end_neither_blocks_nor_fills_memory() -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 7"
    child = await launch(["/bin/sh", "-c", script], pass_fds=(), env={"PATH": "/usr/bin:/bin"})
    assert await child.wait() == 7
    assert 0 < len(child.stderr) <= 16_384


async def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(FileNotFoundError):
        await launch(["/no/such/program"], pass_fds=(), env={})
