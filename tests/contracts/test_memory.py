"""The fake is held to the promises it claims: those that need no shell and no kernel."""

from __future__ import annotations

import pytest

from agent.core.errors import SandboxError, SandboxLost
from agent.sandbox.protocol import SandboxSpec
from agent.testing import contracts
from agent.testing.memory import MemoryBackend, Run
from agent.tools.base import Seen, ToolContext
from agent.tools.edit import tool as edit_tool
from agent.tools.read import tool as read_tool

CLAIMED = (
    "stdin_arrives_whole",
    "a_program_that_does_not_read_its_stdin_is_no_problem",
    "without_stdin_there_is_nothing_to_read",
    "only_the_given_environment_is_visible",
    "live_output_is_a_prefix_of_the_whole",
    "put_and_get_are_binary_safe_and_make_parents",
    "get_hands_over_pieces_as_they_arrive",
)
SPEC = SandboxSpec("abc", labels={"glovebox.session": "abc"})


@pytest.mark.parametrize("name", CLAIMED)
async def test_the_fake_keeps_what_it_claims(name: str):
    (promise,) = [p for p in contracts.SANDBOX if contracts.name(p) == name]
    await promise(await MemoryBackend().create(SPEC))


async def test_closing_and_attaching_keeps_files():
    backend = MemoryBackend()
    sandbox = await backend.create(SPEC)
    await sandbox.put("file", b"kept")
    await sandbox.close()
    with pytest.raises(SandboxLost):
        await sandbox.exec(["true"])
    again = await backend.attach(sandbox.ref, SPEC)
    assert await again.get("file", limit=10) == b"kept"
    assert await backend.find({"glovebox.session": "abc"}) == (again.ref,)
    with pytest.raises(SandboxError):
        await backend.create(SPEC)
    await backend.destroy(again.ref)
    await backend.destroy(again.ref)
    with pytest.raises(SandboxLost):
        await backend.attach(again.ref, SPEC)


async def test_the_deadline_and_the_cap_hold():
    async def noisy(run: Run) -> int:
        run.write(b"x" * 100_000)
        return 3

    sandbox = await MemoryBackend({"noisy": noisy}).create(SPEC)
    late = await sandbox.exec(["sleep", "100"], seconds=0.01)
    assert (late.exit_code, late.timed_out) == (None, True)
    result = await sandbox.exec(["noisy"], log="/tmp/all")
    assert (result.exit_code, result.dropped, result.log) == (3, 70_000, "/tmp/all")
    assert len(await sandbox.get("/tmp/all", limit=200_000)) == 100_000
    assert (await sandbox.exec(["absent"])).exit_code == 127


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
