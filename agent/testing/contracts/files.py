"""Promises about whole files in and out."""

from __future__ import annotations

from agent.core.errors import SandboxError
from agent.sandbox.protocol import Sandbox
from agent.testing import chores
from agent.testing.contracts.promise import done, error_of, of_sandbox, raised, same


@of_sandbox
async def put_and_get_are_binary_safe_and_make_parents(sandbox: Sandbox) -> None:
    data = bytes(range(256)) * 12_000
    for path in ("new/dir/a b.bin", f"{sandbox.workdir}/new/\udcff\n.bin", "/tmp/x/y/z"):
        await sandbox.put(path, data)
        same(await sandbox.get(path, limit=len(data)), data)


@of_sandbox
async def put_takes_pieces_and_a_mode_and_replaces(sandbox: Sandbox) -> None:
    before = await done(sandbox, chores.list_folder("."))
    await sandbox.put("script", b"old", mode=0o600)
    await sandbox.put("script", (p for p in (b"#!/bin/cat\n", b"", b"shown\n")), mode=0o755)
    # Runs as `/bin/cat ./script`.
    assert (await sandbox.exec(["./script"])).output == b"#!/bin/cat\nshown\n"
    assert await done(sandbox, chores.show_mode("script")) == "755\n"
    after = await done(sandbox, chores.list_folder("."))
    assert set(after.split()) - set(before.split()) == {"script"}  # no temporary file is left
    await done(sandbox, chores.remove("script"))


@of_sandbox
async def get_hands_over_pieces_as_they_arrive(sandbox: Sandbox) -> None:
    data = bytes(range(256)) * 12_000
    await sandbox.put("pieces", data)
    pieces: list[bytes] = []
    assert await sandbox.get("pieces", limit=len(data), sink=pieces.append) == b""
    same(b"".join(pieces), data)
    assert len(pieces) > 1


@of_sandbox
async def get_refuses_what_is_no_plain_file_of_that_size(sandbox: Sandbox) -> None:
    odd = ("fifo", "endless", "sparse", "long", "self", "none", "")
    for chore in (
        chores.remove("odd"),
        chores.make_folder("odd"),
        chores.make_fifo("odd/fifo"),
        chores.make_link("/dev/zero", "odd/endless"),
        chores.make_sparse(1 << 30, "odd/sparse"),
        chores.make_link(".", "odd/self"),
    ):
        await done(sandbox, chore)
    await sandbox.put("odd/long", b"x" * 11)
    for name in odd:
        raised(await error_of(sandbox.get(f"odd/{name}", limit=10)), SandboxError)
    await sandbox.put("odd/fits", b"x" * 10)
    await done(sandbox, chores.make_link("fits", "odd/link"))
    assert await sandbox.get("odd/link", limit=10) == b"x" * 10
    await done(sandbox, chores.remove("odd"))


@of_sandbox
async def put_refuses_where_no_file_can_be(sandbox: Sandbox) -> None:
    await done(sandbox, chores.make_folder("folder"))
    await done(sandbox, chores.write_line("x", "file"))
    await done(sandbox, chores.make_fifo("pipe"))
    for path in ("folder", "file/below", "pipe", "/usr/new", "/proc/new"):
        raised(await error_of(sandbox.put(path, b"x" * 3_000_000)), SandboxError)
    await done(sandbox, chores.remove("folder", "file", "pipe"))
