"""What a local sandbox may use: the kernel keeps it to that, and nothing of it stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import limits
from agent.core.errors import SandboxLost, SandboxUnavailable
from agent.host import cgroups, usage
from agent.sandbox import ration, watch
from agent.sandbox.local import LocalBackend
from agent.sandbox.protocol import Limits, Sandbox, SandboxSpec
from tests.sandbox_fixtures import local_sandbox, new_spec, sandbox_root

pytestmark = pytest.mark.sandbox

GROUPS = Path("/sys/fs/cgroup")
needs_groups = pytest.mark.skipif(
    "memory_bytes" not in cgroups.enforceable(), reason="no control group may be made here"
)


def groups_of(session: str) -> list[Path]:
    """What there is of the control groups of a session, wherever it is."""
    # Not `rglob`, which fails when the group of another test goes away while it looks.
    name = f"{cgroups.PREFIX}{session}"
    return [Path(at) / name for at, folders, _ in os.walk(GROUPS) if name in folders]


async def python(sandbox: Sandbox, script: str) -> str:
    result = await sandbox.exec(["python3", "-I", "-c", textwrap.dedent(script)], seconds=60)
    return f"{result.exit_code} {result.output.decode()}".strip()


async def limited(most: Limits, script: str) -> str:
    """What a program says in a sandbox with `most`, which must go on working after it."""
    with sandbox_root() as root:
        backend = LocalBackend(root)
        sandbox = await backend.create(replace(new_spec(), limits=most))
        try:
            said = await python(sandbox, script)
            assert (await sandbox.exec(["echo", "works"])).output == b"works\n"
            return said
        finally:
            await backend.destroy(sandbox.ref)


HOG = """
    import os, time
    for _ in range(4):
        if not os.fork():
            held = bytearray(60_000_000)
            time.sleep(1)
            os._exit(0)
    print(max(os.WTERMSIG(os.wait()[1]) for _ in range(4)))
"""


@needs_groups
async def test_memory_is_limited_over_all_processes_together() -> None:
    assert await limited(Limits(memory_bytes=150_000_000), HOG) == "0 9"


@needs_groups
async def test_without_its_controller_memory_is_not_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cgroups, "_limit_memory", lambda *_: True)
    assert await limited(Limits(memory_bytes=150_000_000), HOG) == "0 0"


@needs_groups
async def test_what_is_not_admitted_is_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups.Group, "admit", lambda *_: True)
    assert await limited(Limits(memory_bytes=150_000_000), HOG) == "0 0"


@needs_groups
async def test_files_in_memory_count_as_memory() -> None:
    script = """
        import os, subprocess
        fill = "echo 1000 >/proc/self/oom_score_adj; exec head -c 200M /dev/zero >/dev/shm/fill"
        print(subprocess.run(["sh", "-c", fill]).returncode)
        os.unlink("/dev/shm/fill")
    """
    assert (await limited(Limits(memory_bytes=120_000_000), script)).split() == ["0", "-9"]


@pytest.mark.slow
@needs_groups
async def test_a_sandbox_that_died_of_its_memory_says_so() -> None:
    with sandbox_root() as root:
        backend = LocalBackend(root)
        spec = replace(new_spec(), limits=Limits(memory_bytes=100_000_000))
        sandbox = await backend.create(spec)
        try:
            # Nothing that could be ended would free this.
            fill = "import os\nfor n in range(99):\n if os.fork() == 0: os.execvp('dd', ['dd', 'if=/dev/zero', 'of=/dev/shm/%d' % n, 'bs=1M'])"  # noqa: E501
            with pytest.raises(SandboxLost, match="memory"):
                for _ in range(200):
                    await sandbox.exec(["python3", "-c", fill])
        finally:
            await backend.destroy(sandbox.ref)


async def test_processes_are_limited() -> None:
    script = """
        import os, time
        children = []
        try:
            while len(children) < 500:
                child = os.fork()
                if not child:
                    time.sleep(60)
                    os._exit(0)
                children.append(child)
        except OSError as error:
            print(error.errno, 50 < len(children) < 100)
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)
    """
    assert await limited(Limits(processes=100), script) == "0 11 True"


async def test_open_files_and_the_size_of_one_are_limited() -> None:
    script = """
        import resource
        print(resource.getrlimit(resource.RLIMIT_NOFILE)[1], resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    """  # noqa: E501
    assert await limited(Limits(open_files=99, disk_bytes=10**7), script) == "0 99 10000000"


@needs_groups
async def test_processor_time_is_limited_and_shared() -> None:
    with sandbox_root() as root:
        backend, spec = LocalBackend(root), replace(new_spec(), limits=Limits(cpus=0.2))
        sandbox = await backend.create(spec)
        try:
            script = "import time; t = time.time() + 1\nwhile time.time() < t: pass\n"
            assert await python(sandbox, f"{script}print(time.process_time() < 0.6)") == "0 True"
        finally:
            await backend.destroy(sandbox.ref)


@needs_groups
async def test_everything_inside_is_in_the_group_and_stays_there() -> None:
    with sandbox_root() as root:
        backend, spec = LocalBackend(root), new_spec()
        sandbox = await backend.create(spec)
        await sandbox.exec(["sh", "-c", "setsid sleep 86381 & sleep 86381 &"])
        for group in groups_of(spec.session):
            # Number 1 inside, the toolbox, what it started.
            assert len((group / "cgroup.procs").read_text().split()) >= 4
        inside = await sandbox.exec(["sh", "-c", "ls /sys/fs/cgroup"])
        assert b"No such file" in inside.output
        await sandbox.close()
        assert groups_of(spec.session) == []
        await (await backend.attach(sandbox.ref, spec)).close()
        await backend.destroy(sandbox.ref)
        assert groups_of(spec.session) == []


HOST = """
    import asyncio, sys
    from pathlib import Path
    from agent.sandbox.local import LocalBackend
    from agent.sandbox.protocol import SandboxSpec
    async def main():
        sandbox = await LocalBackend(Path(sys.argv[1])).create(SandboxSpec(sys.argv[2]))
        print("up", flush=True)
        await sandbox.exec(["sleep", "86380"], seconds=600)
    asyncio.run(main())
"""


@needs_groups
@pytest.mark.parametrize("again", [True, False])
async def test_what_a_killed_host_left_is_cleared_away(again: bool) -> None:
    with sandbox_root() as root:
        root.mkdir(mode=0o711)
        session = new_spec().session
        argv = [sys.executable, "-c", textwrap.dedent(HOST), str(root), session]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment) as host:
            assert host.stdout is not None
            assert host.stdout.readline() == b"up\n"
            host.send_signal(signal.SIGKILL)
        assert groups_of(session) != []
        backend = LocalBackend(root)
        assert await backend.find({}) == (f"local:{session}",)
        if again:
            sandbox = await backend.attach(f"local:{session}", SandboxSpec(session))
            assert (await sandbox.exec(["echo", "works"])).output == b"works\n"
        await backend.destroy(f"local:{session}")
        assert groups_of(session) == []


def test_a_note_of_groups_removes_nothing_else(tmp_path: Path) -> None:
    mine, other = tmp_path / "glovebox-mine", GROUPS / "memory" / "other"
    mine.mkdir()
    assert cgroups.remove("mine", [str(mine), str(other), f"{GROUPS}/memory/../../../etc"])
    assert mine.is_dir()


def test_where_nothing_may_be_made_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_places", list)
    cgroups.enforceable.cache_clear()
    try:
        can = LocalBackend(Path("/nowhere")).capabilities
        assert "memory_bytes" not in can.limits
        assert {"processes", "open_files", "disk_bytes"} <= set(can.limits)
        assert "memory" in can.notes[0]
        group = cgroups.make("x", cgroups.Bounds(1, 1, 1))
        assert (group.folders, group.enforced, group.remove()) == ((), (), True)
    finally:
        cgroups.enforceable.cache_clear()


def test_version_2_is_used_beside_us_where_controllers_are_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above, here = tmp_path / "app.slice", tmp_path / "app.slice" / "terminal.scope"
    here.mkdir(parents=True)
    for folder, on in ((tmp_path, "cpu io memory pids"), (above, "memory pids"), (here, "")):
        (folder / "cgroup.procs").write_text("")
        (folder / "cgroup.controllers").write_text("io memory pids" if folder == above else "")
        (folder / "cgroup.subtree_control").write_text(on)
    mounts = [("/", tmp_path, ())]
    monkeypatch.setattr(cgroups, "_mounts", lambda: mounts)
    monkeypatch.setattr(cgroups, "_own", lambda: {"": "/app.slice/terminal.scope"})
    assert cgroups._places() == [(above, ("memory", "pids"), 2)]
    monkeypatch.setattr(cgroups, "_mounts", lambda: [("/app.slice", above, ())])
    assert cgroups._places() == [(above, ("memory", "pids"), 2)]
    monkeypatch.setattr(cgroups, "_mounts", lambda: [("/app.slice/terminal.scope", here, ())])
    assert cgroups._places() == []


def test_version_2_takes_memory_without_swap_processes_and_shares(tmp_path: Path) -> None:
    bounds = cgroups.Bounds(10**9, 77, 1.5)
    assert all(cgroups._limit(tmp_path, c, bounds, 2) for c in cgroups.CONTROLLERS)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {
        "memory.max": "1000000000",
        "memory.swap.max": "0",
        "pids.max": "77",
        "cpu.max": "150000 100000",
        "cpu.weight": "50",
    }


FILLS = {
    "bytes": "while :; do head -c 1000000 /dev/zero >$(mktemp -p .); done",
    "at once": "fallocate -l 9000000 a; fallocate -l 9000000 b; exec sleep 60",
    "in the home": "cd; while :; do head -c 1000000 /dev/zero >$(mktemp -p .); done",
    "in the background": "(setsid sh -c 'while :; do head -c 1000000 /dev/zero >$(mktemp -p .); "
    "done' & ) ; exec sleep 60",
    "files": "n=0; while :; do n=$((n+1)); : >$n; done",
    "deep": "while :; do mkdir -p a/a/a/a/a/a/a/a/a/a; cd -P a/a/a/a/a/a/a/a/a/a || exit; done",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", FILLS)
async def test_the_disk_is_limited_and_there_is_a_way_back(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SANDBOX_WATCH_SECONDS", 0.1)
    monkeypatch.setattr(watch, "WALK_SECONDS", 0.1)
    wanted = Limits(disk_bytes=10_000_000, files=3_000)
    with sandbox_root() as root:
        backend = LocalBackend(root)
        sandbox = await backend.create(replace(new_spec(), limits=wanted))
        try:
            result = await sandbox.exec(["sh", "-c", FILLS[how]], seconds=60)
            assert result.timed_out is False, result
            assert b"glovebox ended the programs in here" in result.output
            assert (await sandbox.exec(["pgrep", "-x", "sleep"])).output == b""
            # It may get less again.
            clear = "find . ~ /tmp -mindepth 1 -depth -delete; sleep 0.5; ls -A . ~ | grep -c tmp"
            cleared = await sandbox.exec(["sh", "-c", clear])
            assert cleared.output == b"0\n", cleared
            assert (await sandbox.exec(["echo", "works"])).output == b"works\n"
        finally:
            await backend.destroy(sandbox.ref)


async def test_a_disk_that_is_nearly_full_stops_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SANDBOX_WATCH_SECONDS", 0.1)
    async with local_sandbox() as sandbox:
        task = asyncio.create_task(sandbox.exec(["sleep", "86379"]))
        await sandbox.exec(["true"])
        monkeypatch.setattr(limits, "SANDBOX_DISK_RESERVE_BYTES", 10**18)
        assert b"the disk of this machine is nearly full" in (await task).output


async def test_who_cannot_be_kept_off_a_full_disk_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SANDBOX_WATCH_SECONDS", 0.1)
    monkeypatch.setattr(usage, "end_programs", lambda _: False)  # they are begun too fast
    async with local_sandbox() as sandbox:
        task = asyncio.create_task(sandbox.exec(["sleep", "86378"]))
        await sandbox.exec(["true"])
        monkeypatch.setattr(limits, "SANDBOX_DISK_RESERVE_BYTES", 10**18)
        with pytest.raises(SandboxLost, match="the disk of this machine is nearly full"):
            await task
    with pytest.raises(SandboxUnavailable, match=r"nearly full: .* MB are left") as raised:
        async with local_sandbox():
            pass
    assert "free some space" in raised.value.hint


async def test_where_nothing_changes_it_is_looked_for_less_and_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steady = usage.Free(10**12, 10**9)
    monkeypatch.setattr(usage, "free", lambda _: steady)
    clock = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: clock[0])
    walks: list[float] = []
    measure = usage.measure

    def counted(*folders: object, **most: int) -> usage.Usage:
        walks.append(clock[0])
        return measure([tmp_path], **most)

    monkeypatch.setattr(usage, "measure", counted)
    watching = watch.Watch([tmp_path], ration.defaults(Limits()), lambda: None)
    for second in range(4_000):
        clock[0] = float(second)
        if second == 3_000:
            (tmp_path / "new").touch()
            watching.stir()
        await watching.look()
    assert 5 < len([walk for walk in walks if walk < 3_000]) < 9
    assert [walk for walk in walks if walk >= 3_000][:2] == [3_030.0, 3_060.0]


def test_a_walk_is_bounded_and_follows_nothing(tmp_path: Path) -> None:
    big, small = tmp_path / "big", tmp_path / "small"
    big.mkdir()
    small.mkdir()
    (big / "file").write_bytes(b"x" * 1_000_000)
    (small / "link").symlink_to(big)
    os.mkfifo(small / "fifo")
    os.link(big / "file", small / "again")
    found = usage.measure([small, tmp_path / "none"], bytes_max=10**9, files_max=100)
    assert (found.files, found.deep) == (3, False)
    assert 400_000 < found.bytes < 600_000  # half of what two names share
    for n in range(50):
        (small / f"d{n}").mkdir()
        (small / f"d{n}" / "f").touch()
    assert usage.measure([small], bytes_max=10**9, files_max=60).files < 64


def test_defaults_leave_the_machine_something() -> None:
    machine = cgroups.memory_of_the_machine()
    filled = ration.defaults(Limits())
    assert 0 < filled.memory_bytes < machine
    assert filled.processes == limits.SANDBOX_PROCESSES_MAX
    assert ration.defaults(Limits(memory_bytes=5)).memory_bytes == 5
