"""Promises about how programs start: with what, where, and why not."""

from __future__ import annotations

import hashlib

from agent.sandbox.protocol import Sandbox
from agent.testing import chores, programs
from agent.testing.contracts.promise import done, of_sandbox

OWN_VARIABLES = {
    "LD_LIBRARY_PATH", "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", "PWD",
    "_", "SHLVL",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NODE_USE_ENV_PROXY",
    "PIP_BREAK_SYSTEM_PACKAGES",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "PIP_RETRIES", "NPM_CONFIG_FETCH_RETRIES", "UV_HTTP_RETRIES", "CARGO_NET_RETRY",
}  # fmt: skip
HARD = (
    "plain", "", " ", "two words", "-x", "--", "'", '"', "\\", "$HOME", "`id`", "a\nb", "\t", "*",
    "é", "日本", "\udcff",
)  # fmt: skip


@of_sandbox
async def arguments_arrive_unchanged(sandbox: Sandbox) -> None:
    result = await sandbox.exec(programs.print_arguments(*HARD))
    words = result.output.decode("utf-8", "surrogateescape").split("\0")
    assert words == [*HARD, ""]


@of_sandbox
async def stdin_arrives_whole(sandbox: Sandbox) -> None:
    for data in (b"x", bytes(range(256)) * 10, bytes(range(256)) * 20_000):
        result = await sandbox.exec(["sha256sum"], stdin=data)
        assert result.output.split()[0].decode() == hashlib.sha256(data).hexdigest()


@of_sandbox
async def a_program_that_does_not_read_its_stdin_is_no_problem(sandbox: Sandbox) -> None:
    assert (await sandbox.exec(["true"], stdin=b"x" * 5_000_000)).exit_code == 0


@of_sandbox
async def without_stdin_there_is_nothing_to_read(sandbox: Sandbox) -> None:
    result = await sandbox.exec(["cat"])
    assert (result.exit_code, result.output) == (0, b"")


@of_sandbox
async def only_the_given_environment_is_visible(sandbox: Sandbox) -> None:
    given = {"GIVEN": "a b\nc", "EMPTY": "", "PATH": "/usr/bin:/bin"}
    result = await sandbox.exec(["env", "-0"], env=given)
    seen = dict(pair.split("=", 1) for pair in result.output.decode().split("\0") if pair)
    assert {key: seen[key] for key in given} == given
    assert set(seen) - OWN_VARIABLES - set(given) == set()


@of_sandbox
async def programs_start_in_the_workdir_or_where_they_are_told(sandbox: Sandbox) -> None:
    await done(sandbox, chores.make_folder("deep/er"))
    seen = [
        (await sandbox.exec(programs.print_workdir(), cwd=cwd)).output.decode().strip()
        for cwd in ("", "deep/er", "/usr")
    ]
    assert seen == [sandbox.workdir, f"{sandbox.workdir}/deep/er", "/usr"]


@of_sandbox
async def exit_codes_are_the_programs_own(sandbox: Sandbox) -> None:
    ends = [programs.exit_with(code) for code in (0, 3, 255)]
    ends += [programs.die_by(number) for number in (9, 15)]
    codes = [(await sandbox.exec(end)).exit_code for end in ends]
    assert codes == [0, 3, 255, -9, -15]


@of_sandbox
async def a_program_that_cannot_start_says_why(sandbox: Sandbox) -> None:
    await sandbox.put("not-executable", b"#!/bin/cat\n", mode=0o644)
    await sandbox.put("no-interpreter", b"#!/no/such/thing\n", mode=0o755)
    absent = await sandbox.exec(["no-such-program"])
    refused = await sandbox.exec(["./not-executable"])
    broken = await sandbox.exec(["./no-interpreter"])
    nowhere = await sandbox.exec(["true"], cwd="no/such/dir")
    nul = await sandbox.exec(["echo", "a\0b"])
    codes = [r.exit_code for r in (absent, refused, broken, nowhere, nul)]
    assert codes == [127, 126, 127, 126, 126]
    assert b"no-such-program" in absent.output
    assert b"no/such/dir" in nowhere.output
    assert all(r.output.strip() for r in (refused, broken, nul))


@of_sandbox
async def stdout_and_stderr_come_as_one(sandbox: Sandbox) -> None:
    assert await done(sandbox, programs.print_both_ways()) == "1\n2\n3\n4\n"
