"""What the sandbox port promises, as tests that any backend can be put to.

`SANDBOX` holds functions of one running sandbox, `BACKEND` of a backend and a spec for it. Each is
one promise and leaves the sandbox as it found it. In a test module:

    @pytest.mark.parametrize("promise", contracts.SANDBOX, ids=contracts.name)
    async def test_sandbox(promise, sandbox): await promise(sandbox)
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

from agent.core.errors import SandboxError, SandboxLost
from agent.core.limits import LIVE_MAX_BYTES, OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES
from agent.sandbox.protocol import Backend, Sandbox, SandboxSpec, Size

Promise = Callable[[Sandbox], Awaitable[None]]
BackendPromise = Callable[[Backend, SandboxSpec], Awaitable[None]]

SANDBOX: list[Promise] = []
BACKEND: list[BackendPromise] = []

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


def name(promise: object) -> str:
    """The promise in words, for test ids."""
    return getattr(promise, "__name__", str(promise))


def _sandbox(promise: Promise) -> Promise:
    SANDBOX.append(promise)
    return promise


def _backend(promise: BackendPromise) -> BackendPromise:
    BACKEND.append(promise)
    return promise


async def _sh(sandbox: Sandbox, script: str, seconds: float = 60.0) -> str:
    result = await sandbox.exec(["sh", "-c", script], seconds=seconds)
    assert result.exit_code == 0, result
    return result.output.decode()


async def _running(sandbox: Sandbox, marker: str) -> bool:
    """Whether a program with `marker` as a whole argument runs inside."""
    script = 'for p in /proc/[0-9]*; do tr "\\0" "\\n" <$p/cmdline 2>/dev/null | grep -qx "$1" && exit; done; exit 9'  # noqa: E501
    pattern = f"[{marker[0]}]{marker[1:]}"  # does not find itself
    result = await sandbox.exec(["sh", "-c", script, "sh", pattern])
    return result.exit_code == 0


def _raises(error: BaseException | None, kind: type[BaseException]) -> None:
    assert isinstance(error, kind), f"{kind.__name__} expected, got {error!r}"


async def _error(awaitable: Awaitable[object]) -> BaseException | None:
    try:
        await awaitable
    except SandboxError as error:
        return error
    return None


# exec


@_sandbox
async def arguments_arrive_unchanged(sandbox: Sandbox) -> None:
    script = 'for word; do printf "%s\\0" "$word"; done'
    result = await sandbox.exec(["sh", "-c", script, "sh", *HARD])
    words = result.output.decode("utf-8", "surrogateescape").split("\0")
    assert words == [*HARD, ""]


@_sandbox
async def stdin_arrives_whole(sandbox: Sandbox) -> None:
    for data in (b"x", bytes(range(256)) * 10, bytes(range(256)) * 20_000):
        result = await sandbox.exec(["sha256sum"], stdin=data)
        assert result.output.split()[0].decode() == hashlib.sha256(data).hexdigest()


@_sandbox
async def a_program_that_does_not_read_its_stdin_is_no_problem(sandbox: Sandbox) -> None:
    assert (await sandbox.exec(["true"], stdin=b"x" * 5_000_000)).exit_code == 0


@_sandbox
async def without_stdin_there_is_nothing_to_read(sandbox: Sandbox) -> None:
    result = await sandbox.exec(["cat"])
    assert (result.exit_code, result.output) == (0, b"")


@_sandbox
async def only_the_given_environment_is_visible(sandbox: Sandbox) -> None:
    given = {"GIVEN": "a b\nc", "EMPTY": "", "PATH": "/usr/bin:/bin"}
    result = await sandbox.exec(["env", "-0"], env=given)
    seen = dict(pair.split("=", 1) for pair in result.output.decode().split("\0") if pair)
    assert {key: seen[key] for key in given} == given
    assert set(seen) - OWN_VARIABLES - set(given) == set()


@_sandbox
async def programs_start_in_the_workdir_or_where_they_are_told(sandbox: Sandbox) -> None:
    await _sh(sandbox, "mkdir -p deep/er")
    seen = [
        (await sandbox.exec(["sh", "-c", "pwd"], cwd=cwd)).output.decode().strip()
        for cwd in ("", "deep/er", "/usr")
    ]
    assert seen == [sandbox.workdir, f"{sandbox.workdir}/deep/er", "/usr"]


@_sandbox
async def exit_codes_are_the_programs_own(sandbox: Sandbox) -> None:
    codes = [
        (await sandbox.exec(["sh", "-c", script])).exit_code
        for script in ("exit 0", "exit 3", "exit 255", "kill -9 $$", "kill -15 $$")
    ]
    assert codes == [0, 3, 255, -9, -15]


@_sandbox
async def a_program_that_cannot_start_says_why(sandbox: Sandbox) -> None:
    await sandbox.put("not-executable", b"#!/bin/sh\n", mode=0o644)
    await sandbox.put("no-interpreter", b"#!/no/such/thing\n", mode=0o755)
    absent = await sandbox.exec(["no-such-program"])
    refused = await sandbox.exec(["./not-executable"])
    broken = await sandbox.exec(["./no-interpreter"])
    nowhere = await sandbox.exec(["true"], cwd="no/such/dir")
    nul = await sandbox.exec(["echo", "a\0b"])
    assert [r.exit_code for r in (absent, refused, broken, nowhere, nul)] == [
        127,
        126,
        127,
        126,
        126,
    ]
    assert b"no-such-program" in absent.output
    assert b"no/such/dir" in nowhere.output
    assert all(r.output.strip() for r in (refused, broken, nul))


@_sandbox
async def stdout_and_stderr_come_as_one(sandbox: Sandbox) -> None:
    script = "echo 1; echo 2 >&2; echo 3; echo 4 >&2"
    assert await _sh(sandbox, script) == "1\n2\n3\n4\n"


@_sandbox
async def at_the_deadline_the_whole_group_is_killed_and_output_kept(sandbox: Sandbox) -> None:
    script = "echo before; sleep 86399 & sleep 86399; echo after"
    result = await sandbox.exec(["sh", "-c", script], seconds=0.5)
    assert (result.exit_code, result.timed_out, result.output) == (None, True, b"before\n")
    assert not await _running(sandbox, "86399")


@_sandbox
async def a_program_that_ignores_the_end_is_killed_too(sandbox: Sandbox) -> None:
    script = "trap '' TERM; echo deaf; sleep 86398; sleep 86398; sleep 86398"
    result = await sandbox.exec(["sh", "-c", script], seconds=0.3)
    assert (result.exit_code, result.timed_out, result.output) == (None, True, b"deaf\n")
    assert not await _running(sandbox, "86398")


@_sandbox
async def a_program_may_tidy_up_when_it_is_told_to_end(sandbox: Sandbox) -> None:
    script = "trap 'echo tidied; exit 0' TERM; echo up; sleep 86397 & wait"
    result = await sandbox.exec(["sh", "-c", script], seconds=0.5)
    assert (result.timed_out, result.output) == (True, b"up\ntidied\n")


@_sandbox
async def a_cancel_kills_the_whole_group_and_keeps_output(sandbox: Sandbox) -> None:
    seen = bytearray()
    up = asyncio.Event()

    def hear(data: bytes) -> None:
        seen.extend(data)
        up.set()

    script = "trap 'echo told; exit' TERM; echo up; sleep 86396 & sleep 86396 & wait"
    task = asyncio.create_task(sandbox.exec(["sh", "-c", script], on_output=hear))
    await up.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert bytes(seen) == b"up\ntold\n"
    assert not await _running(sandbox, "86396")


@_sandbox
async def it_returns_when_the_program_ends_not_what_it_leaves_running(sandbox: Sandbox) -> None:
    result = await sandbox.exec(["sh", "-c", "sleep 86395 & echo started"], seconds=30)
    assert (result.exit_code, result.timed_out, result.output) == (0, False, b"started\n")
    assert await _running(sandbox, "86395")
    await _sh(sandbox, "pkill -f '[8]6395' || true")


@_sandbox
async def what_keeps_running_can_go_on_writing(sandbox: Sandbox) -> None:
    loop = "n=0; while echo tick; do n=$((n+1)); echo $n >ticks; sleep 0.01; done"
    await _sh(sandbox, f"({loop}) & echo $! >pid")
    pid = (await _sh(sandbox, "cat pid")).strip()
    before = await _sh(sandbox, "cat ticks 2>/dev/null || echo 0")
    await _sh(sandbox, f"until [ $(cat ticks || echo 0) -gt $(({before.strip()}+20)) ]; do :; done")
    await _sh(sandbox, f"kill -0 {pid} && kill {pid}")


# output


@_sandbox
async def output_beyond_the_cap_keeps_head_and_tail_and_counts_the_rest(sandbox: Sandbox) -> None:
    whole = b"".join(b"%06d\n" % n for n in range(20_000))
    result = await sandbox.exec(["sh", "-c", "seq -f %06.0f 0 19999"])
    assert result.output == whole[:OUTPUT_HEAD_BYTES] + whole[-OUTPUT_TAIL_BYTES:]
    assert result.dropped == len(whole) - OUTPUT_HEAD_BYTES - OUTPUT_TAIL_BYTES
    assert result.log == ""


@_sandbox
async def the_whole_of_cut_output_is_in_the_log(sandbox: Sandbox) -> None:
    whole = b"".join(b"%06d\n" % n for n in range(20_000))
    log = "/tmp/logs/whole.log"
    result = await sandbox.exec(["sh", "-c", "seq -f %06.0f 0 19999"], log=log)
    assert result.log == log
    assert await sandbox.get(log, limit=1_000_000) == whole


@_sandbox
async def output_that_fits_leaves_no_log(sandbox: Sandbox) -> None:
    size = OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES
    log = "/tmp/logs/fits.log"
    result = await sandbox.exec(["sh", "-c", f"head -c {size} /dev/zero"], log=log)
    assert (len(result.output), result.dropped, result.log) == (size, 0, "")
    _raises(await _error(sandbox.get(log, limit=10)), SandboxError)


@_sandbox
async def live_output_is_a_prefix_of_the_whole(sandbox: Sandbox) -> None:
    seen = bytearray()
    result = await sandbox.exec(["seq", "1", "3000"], on_output=seen.extend)
    assert result.output == bytes(seen)


@_sandbox
async def a_flood_of_output_does_not_reach_the_host(sandbox: Sandbox) -> None:
    seen = bytearray()
    script = "head -c 50000000 /dev/zero | tr '\\0' x"
    result = await sandbox.exec(["sh", "-c", script], on_output=seen.extend)
    kept = OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES
    assert (len(result.output), result.dropped) == (kept, 50_000_000 - kept)
    assert bytes(seen) == b"x" * LIVE_MAX_BYTES


@_sandbox
async def a_listener_that_fails_ends_the_program_and_nothing_else(sandbox: Sandbox) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    task = asyncio.create_task(sandbox.exec(["sh", "-c", "echo; sleep 86394"], on_output=fail))
    await asyncio.wait([task])
    assert isinstance(task.exception(), ZeroDivisionError)
    assert not await _running(sandbox, "86394")


@_sandbox
async def eight_programs_at_once_do_not_mix(sandbox: Sandbox) -> None:
    async def one(n: int) -> tuple[bytes, bytes]:
        live = bytearray()
        script = f"for i in $(seq 200); do echo {n}-$i; done"
        result = await sandbox.exec(["sh", "-c", script], on_output=live.extend)
        return result.output, bytes(live)

    for n, (output, live) in enumerate(await asyncio.gather(*(one(n) for n in range(8)))):
        expected = b"".join(b"%d-%d\n" % (n, i) for i in range(1, 201))
        assert (output, live) == (expected, expected)


# programs whose streams a person holds


async def _held(
    sandbox: Sandbox, script: str, stdin: bytes = b""
) -> tuple[int | None, bytes, bytes]:
    got = {"stdout": bytearray(), "stderr": bytearray()}
    async with sandbox.interact(["sh", "-c", script]) as program:

        async def feed() -> None:
            await program.send(stdin)
            await program.end()

        feeding = asyncio.create_task(feed())
        async for stream, piece in program.output():
            got[stream] += piece
        await feeding
    return program.exit_code, bytes(got["stdout"]), bytes(got["stderr"])


@_sandbox
async def the_streams_of_a_held_program_come_apart_and_uncut(sandbox: Sandbox) -> None:
    size = 3 * (OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES)
    script = f"head -c {size} /dev/zero; head -c {size} /dev/zero | tr '\\0' x >&2; exit 7"
    code, out, err = await _held(sandbox, script)
    assert (code, out == bytes(size), err == b"x" * size) == (7, True, True)


@_sandbox
async def a_held_program_reads_while_it_runs(sandbox: Sandbox) -> None:
    data = bytes(range(256)) * 1_000
    code, out, err = await _held(sandbox, "cat", data)
    assert (code, out == data, err) == (0, True, b"")
    async with sandbox.interact(["sh", "-c", "read x; echo got $x; read y; echo $y"]) as program:
        output = program.output()
        await program.send(b"one\n")
        assert (await anext(output))[1] == b"got one\n"
        await program.send(b"two\n")
        assert (await anext(output))[1] == b"two\n"
        assert [piece async for _, piece in output] == []
    assert program.exit_code == 0


@_sandbox
async def a_held_program_can_have_a_terminal_of_its_own(sandbox: Sandbox) -> None:
    script = "test -t 0 && test -t 1 && stty size; exit 4"
    async with sandbox.interact(["sh", "-c", script], terminal=Size(21, 77)) as program:
        shown = b"".join([piece async for _, piece in program.output()])
    assert (program.exit_code, shown.split()) == (4, [b"21", b"77"])


@_sandbox
async def leaving_a_held_program_ends_its_group(sandbox: Sandbox) -> None:
    script = "trap '' TERM HUP; sleep 86341 & echo up; sleep 86341; sleep 86341"
    async with sandbox.interact(["sh", "-c", script]) as program:
        await anext(program.output())
        assert await _running(sandbox, "86341")
    assert not await _running(sandbox, "86341")


# files


@_sandbox
async def put_and_get_are_binary_safe_and_make_parents(sandbox: Sandbox) -> None:
    data = bytes(range(256)) * 12_000
    for path in ("new/dir/a b.bin", f"{sandbox.workdir}/new/\udcff\n.bin", "/tmp/x/y/z"):
        await sandbox.put(path, data)
        assert await sandbox.get(path, limit=len(data)) == data


@_sandbox
async def put_takes_pieces_and_a_mode_and_replaces(sandbox: Sandbox) -> None:
    await sandbox.put("script", b"old", mode=0o600)
    await sandbox.put("script", (p for p in (b"#!/bin/sh\n", b"", b"echo ran\n")), mode=0o755)
    assert (await sandbox.exec(["./script"])).output == b"ran\n"
    assert await _sh(sandbox, "stat -c %a script; ls -A | grep -c glovebox || true") == "755\n0\n"


@_sandbox
async def get_hands_over_pieces_as_they_arrive(sandbox: Sandbox) -> None:
    data = bytes(range(256)) * 12_000
    await sandbox.put("pieces", data)
    pieces: list[bytes] = []
    assert await sandbox.get("pieces", limit=len(data), sink=pieces.append) == b""
    assert b"".join(pieces) == data
    assert len(pieces) > 1


@_sandbox
async def get_refuses_what_is_no_plain_file_of_that_size(sandbox: Sandbox) -> None:
    await _sh(sandbox, "rm -rf odd; mkdir odd; cd odd; mkfifo fifo; ln -s /dev/zero endless")
    await _sh(sandbox, "cd odd; truncate -s 1G sparse; head -c 11 /dev/zero >long; ln -s . self")
    for path in (
        "odd/fifo",
        "odd/endless",
        "odd/sparse",
        "odd/long",
        "odd",
        "odd/none",
        "odd/self",
    ):
        _raises(await _error(sandbox.get(path, limit=10)), SandboxError)
    await _sh(sandbox, "rm -rf odd")


@_sandbox
async def put_refuses_where_no_file_can_be(sandbox: Sandbox) -> None:
    await _sh(sandbox, "mkdir -p folder; touch file; rm -f pipe; mkfifo pipe")
    for path in ("folder", "file/below", "pipe", "/usr/new", "/proc/new"):
        _raises(await _error(sandbox.put(path, b"x" * 3_000_000)), SandboxError)
    await _sh(sandbox, "rm -r folder file pipe")


# backend


@_backend
async def closing_and_attaching_keeps_files_and_ends_programs(
    backend: Backend, spec: SandboxSpec
) -> None:
    sandbox = await backend.create(spec)
    try:
        script = "echo kept >file; echo kept >~/file; echo kept >/tmp/file; sleep 86393 &"
        await _sh(sandbox, script)
        await sandbox.close()
        await sandbox.close()
        _raises(await _error(sandbox.exec(["true"])), SandboxLost)
        again = await backend.attach(sandbox.ref, spec)
        assert again.ref == sandbox.ref
        assert await _sh(again, "cat file ~/file /tmp/file") == "kept\nkept\nkept\n"
        assert not await _running(again, "86393")
    finally:
        await backend.destroy(sandbox.ref)


@_backend
async def destroy_frees_everything_and_may_come_twice(backend: Backend, spec: SandboxSpec) -> None:
    sandbox = await backend.create(spec)
    await _sh(sandbox, "mkdir -p a/b; touch a/b/c; chmod 000 a/b; chmod 000 a")
    await backend.destroy(sandbox.ref)
    _raises(await _error(sandbox.exec(["true"])), SandboxLost)
    _raises(await _error(backend.attach(sandbox.ref, spec)), SandboxLost)
    await backend.destroy(sandbox.ref)
    fresh = await backend.create(spec)
    assert await _sh(fresh, "ls -A; ls -A ~; ls -A /tmp") == ""
    await backend.destroy(fresh.ref)


@_backend
async def two_sandboxes_share_nothing(backend: Backend, spec: SandboxSpec) -> None:
    first = await backend.create(spec)
    second = await backend.create(replace(spec, session=spec.session + "b"))
    try:
        for place in (".", "~", "/tmp", "/var/tmp", "/dev/shm"):
            await _sh(first, f"echo secret >{place}/from-first; sleep 86392 &")
            assert "from-first" not in await _sh(second, f"ls -A {place}")
        assert not await _running(second, "86392")
        assert await _running(first, "86392")
    finally:
        await backend.destroy(first.ref)
        await backend.destroy(second.ref)


@_backend
async def one_session_cannot_be_made_twice(backend: Backend, spec: SandboxSpec) -> None:
    sandbox = await backend.create(spec)
    try:
        await _sh(sandbox, "echo mine >file")
        _raises(await _error(backend.create(spec)), SandboxError)
        assert await _sh(sandbox, "cat file") == "mine\n"
    finally:
        await backend.destroy(sandbox.ref)


@_backend
async def the_environment_of_the_spec_is_visible(backend: Backend, spec: SandboxSpec) -> None:
    given = replace(spec, environment={"LANG": "C", "MINE": "a b"})
    sandbox = await backend.create(given)
    try:
        assert await _sh(sandbox, 'echo "$LANG $MINE"') == "C a b\n"
    finally:
        await backend.destroy(sandbox.ref)


@_backend
async def facts_are_true(backend: Backend, spec: SandboxSpec) -> None:
    facts = backend.facts(spec)
    sandbox = await backend.create(spec)
    try:
        assert facts.workdir == sandbox.workdir
        for program in facts.programs:
            assert await _sh(sandbox, f"command -v {program}")
    finally:
        await backend.destroy(sandbox.ref)


@_backend
async def a_port_can_be_reached_or_the_error_says_why(backend: Backend, spec: SandboxSpec) -> None:
    sandbox = await backend.create(spec)
    try:
        for port in (0, -1, 65_536):
            _raises(await _error(sandbox.expose(port)), SandboxError)
        if backend.capabilities.expose:
            endpoint = await sandbox.expose(8_000)
            assert endpoint.port == 8_000
            assert endpoint.url.startswith(("http://", "https://"))
        else:
            _raises(await _error(sandbox.expose(8_000)), SandboxError)
    finally:
        await backend.destroy(sandbox.ref)
