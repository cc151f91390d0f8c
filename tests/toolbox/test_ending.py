"""What runs inside ends with the host, wherever its command is at that moment.

In a sandbox process 1 sees to it; here the toolbox alone has to.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from agent.core.errors import SandboxLost
from tests.sandbox_fixtures import bare_toolbox
from tests.toolbox.test_execute import run


async def test_what_runs_and_what_was_left_running(tmp_path: Path) -> None:
    script = "echo $$ >pid; (while :; do echo; sleep 0.01; done) & exec sleep 86391"
    async with bare_toolbox(tmp_path) as toolbox:
        await run(toolbox, "sh", "-c", "(while :; do echo; sleep 0.01; done) & echo >left")
        task = asyncio.create_task(run(toolbox, "sh", "-c", script))
        await appears(tmp_path / "pid")
        assert working_in(tmp_path).count("sh") >= 2
    with pytest.raises(SandboxLost):
        await task
    await nobody_works_in(tmp_path)


async def test_what_has_just_begun(tmp_path: Path) -> None:
    # They say so before the toolbox has heard from the kernel that they have begun.
    script = "echo >up.$$; exec sleep 86391"
    async with bare_toolbox(tmp_path) as toolbox:
        tasks = [asyncio.create_task(run(toolbox, "sh", "-c", script)) for _ in range(8)]
        while not any(tmp_path.glob("up.*")):
            await asyncio.sleep(0)
    await asyncio.wait(tasks)
    assert all(isinstance(task.exception(), SandboxLost) for task in tasks)
    await nobody_works_in(tmp_path)


async def test_what_is_deaf_while_its_command_is_being_ended(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 86391 & trap - TERM; echo $$ >pid; exec sleep 86391"
    async with bare_toolbox(tmp_path) as toolbox:
        task = asyncio.create_task(run(toolbox, "sh", "-c", script))
        await appears(tmp_path / "pid")
        task.cancel()
        leader = (tmp_path / "pid").read_text().strip()
        while Path("/proc", leader).exists():
            await asyncio.sleep(0.01)
    await asyncio.wait([task])
    await nobody_works_in(tmp_path)


async def test_what_was_left_running_without_a_way_to_say_anything(tmp_path: Path) -> None:
    async with bare_toolbox(tmp_path) as toolbox:
        await run(toolbox, "sh", "-c", "exec >/dev/null 2>&1; sleep 86391 &")
        while "sleep" not in working_in(tmp_path):
            await asyncio.sleep(0.01)
    await nobody_works_in(tmp_path)


async def test_what_a_held_program_leaves_running(tmp_path: Path) -> None:
    script = "exec >/dev/null 2>&1; sleep 86391 &"
    async with bare_toolbox(tmp_path) as toolbox:
        argv = ["sh", "-c", script]
        async with toolbox.interact(argv, cwd="", env={}, terminal=None) as program:
            assert [piece async for piece in program.output()] == []
        while "sleep" not in working_in(tmp_path):
            await asyncio.sleep(0.01)
    await nobody_works_in(tmp_path)


async def appears(path: Path) -> None:
    """Returns when there is something in the file."""
    while not path.exists() or not path.read_text():
        await asyncio.sleep(0.01)


def working_in(folder: Path) -> list[str]:
    """The programs that work in the folder, by name; the toolbox shows itself to root alone."""
    return [name for place in Path("/proc").iterdir() if (name := _working(place, folder))]


def _working(place: Path, folder: Path) -> str:
    try:
        here = place.name.isdigit() and os.readlink(place / "cwd") == str(folder.resolve())
        return (place / "comm").read_text().strip() if here else ""
    except OSError:  # it has ended
        return ""


async def nobody_works_in(folder: Path) -> None:
    """Returns when the last one has ended; the test's own time limit ends the wait."""
    while working_in(folder):
        await asyncio.sleep(0.01)
