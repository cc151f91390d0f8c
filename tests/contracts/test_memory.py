"""The sandbox in memory beyond the contract: what tests that are built on it may count on."""

from __future__ import annotations

import pytest

from agent.core.errors import SandboxError, SandboxLost, SandboxUnavailable, ToolboxError
from agent.sandbox.protocol import SandboxSpec
from agent.testing import chores, programs
from agent.testing.memory.backend import MemoryBackend
from agent.testing.memory.process import Process
from agent.tools.base import Seen, ToolContext
from agent.tools.edit import tool as edit_tool
from agent.tools.read import tool as read_tool

SPEC = SandboxSpec("abc", labels={"glovebox.session": "abc"})


async def test_it_runs_what_a_test_gives_it():
    async def reverse(me: Process) -> int:
        data = b""
        while piece := await me.streams.stdin.read():
            data += piece
        await me.print(data[::-1])
        await me.complain(me.environment["WORD"])
        me.files.write(me.path("made"), b"x")
        return 3

    sandbox = await MemoryBackend({"reverse": reverse}).create(SPEC)
    result = await sandbox.exec(["reverse"], stdin=b"abc", env={"WORD": "!"})
    assert (result.exit_code, result.output) == (3, b"cba!")
    assert await sandbox.get("made", limit=1) == b"x"


async def test_a_defect_of_a_program_is_not_hidden():
    async def broken(me: Process) -> None:
        raise ZeroDivisionError

    sandbox = await MemoryBackend({"broken": broken}).create(SPEC)
    with pytest.raises(ZeroDivisionError):
        await sandbox.exec(["broken"])


async def test_there_is_no_shell():
    sandbox = await MemoryBackend().create(SPEC)
    for argv in (["sh", "-c", "echo x"], ["sh", "-c", "exit 1", "exit_with", "0"], ["sh"]):
        assert (await sandbox.exec(argv)).exit_code == 127


@pytest.mark.parametrize(
    ("chore", "says"),
    [
        (chores.write_line("x", "absent/file"), "No such file"),
        (chores.write_line("x", "/usr/file"), "Read-only"),
        (chores.write_line("x", "locked/file"), "Permission denied"),
        (chores.list_folder("locked"), "Permission denied"),
        (chores.make_fifo("locked"), "File exists"),
        (chores.show_mode("loop"), "Too many levels"),
        (chores.list_folder("file"), "Not a directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_files_refuse_as_a_kernel_does(chore: list[str], says: str):
    sandbox = await MemoryBackend().create(SPEC)
    await sandbox.put("file", b"x")
    for made in (
        chores.make_folder("locked"),
        chores.set_mode("000", "locked"),
        chores.make_link("loop", "loop"),
    ):
        assert (await sandbox.exec(made)).exit_code == 0
    result = await sandbox.exec(chore)
    assert result.exit_code == 1
    assert says in result.output.decode()


async def test_links_are_followed_and_leave_what_they_lead_to():
    sandbox = await MemoryBackend().create(SPEC)
    await sandbox.put("a/file", b"x")
    await sandbox.exec(chores.make_link("../a/./file", "a/link"))
    await sandbox.exec(chores.make_link("/workspace/a", "b"))
    assert await sandbox.get("b/link", limit=1) == b"x"
    await sandbox.put("b/link", b"y")
    assert await sandbox.get("a/file", limit=1) == b"y"
    await sandbox.exec(chores.remove("b"))
    assert await sandbox.get("a/file", limit=1) == b"y"


async def test_a_close_ends_what_runs_at_that_time():
    sandbox = await MemoryBackend().create(SPEC)
    with pytest.raises(SandboxLost):
        async with sandbox.interact(programs.ignore_the_end("1000")) as program:
            await anext(program.output())
            await sandbox.close()
            async for _ in program.output():
                pass


async def test_what_it_cannot_do_it_refuses():
    backend = MemoryBackend()
    with pytest.raises(SandboxUnavailable, match="no network"):
        await backend.create(SandboxSpec("abc", network="open"))
    sandbox = await backend.create(SPEC)
    with pytest.raises(SandboxError, match="no network"):
        await sandbox.expose(80)
    with pytest.raises(ToolboxError, match="no operation"):
        await sandbox.toolbox.call("unheard-of")


async def test_the_real_tools_work_over_it():
    sandbox = await MemoryBackend().create(SPEC)
    await sandbox.put("a.txt", b"one\ntwo\n")
    context = ToolContext(sandbox, "c", lambda text: None, Seen())
    read, edit = read_tool("reads"), edit_tool("edits")
    seen = await read.run(read.arguments(path="a.txt"), context)
    assert seen.ok and "2\ttwo" in seen.text
    done = await edit.run(edit.arguments(path="a.txt", old="two", new="2"), context)
    assert done.ok
    assert await sandbox.get("a.txt", limit=100) == b"one\n2\n"
    missing = await edit.run(edit.arguments(path="a.txt", old="two", new="2"), context)
    assert not missing.ok
    for path in ("absent.txt", "a.txt/below"):
        refused = await read.run(read.arguments(path=path), context)
        assert not refused.ok
