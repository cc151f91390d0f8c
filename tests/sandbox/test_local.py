"""Local sandboxes: what can go wrong around them, and what is left when it has."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core import limits
from agent.core.errors import SandboxError, SandboxLost, SandboxUnavailable, UserError
from agent.host import env, files, system
from agent.sandbox import bubblewrap, local, registry
from agent.sandbox.local import LocalBackend
from tests.sandbox_fixtures import local_sandbox, new_spec, sandbox_root

pytestmark = pytest.mark.sandbox


def processes_of(session: str) -> list[int]:
    """The processes that have the directories of a session mounted."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                mounts = (entry / "mountinfo").read_text()
            except OSError:
                continue
            if f"/{session}/work " in mounts:
                found.append(int(entry.name))
    return found


async def test_a_sandbox_that_died_is_lost_and_can_be_attached_again() -> None:
    with sandbox_root() as root:
        backend, spec = LocalBackend(root), new_spec()
        sandbox = await backend.create(spec)
        await sandbox.put("kept", b"x")
        with pytest.raises(SandboxLost) as lost:
            await sandbox.exec(["sh", "-c", "kill -9 $PPID; sleep 60"])
        assert lost.value.hint
        with pytest.raises(SandboxLost):
            await sandbox.toolbox.call("read", path="kept")
        again = await backend.attach(sandbox.ref, spec)
        assert await again.get("kept", limit=1) == b"x"
        await backend.destroy(again.ref)


async def test_a_stopped_toolbox_is_lost_and_its_programs_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TOOLBOX_LATE_SECONDS", 0.2)
    with sandbox_root() as root:
        backend, spec = LocalBackend(root), new_spec()
        sandbox = await backend.create(spec)
        with pytest.raises(SandboxLost):
            await sandbox.exec(["sh", "-c", "kill -STOP $PPID"], seconds=0.2)
        await backend.destroy(sandbox.ref)
        assert processes_of(spec.session) == []


async def test_a_start_that_takes_too_long_says_so_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TOOLBOX_START_SECONDS", 0.0)
    with sandbox_root() as root:
        spec = new_spec()
        with pytest.raises(SandboxUnavailable, match="did not answer within 0 s") as late:
            await LocalBackend(root).create(spec)
        assert "less busy" in late.value.hint
        assert processes_of(spec.session) == []


async def test_close_ends_every_process_at_once() -> None:
    with sandbox_root() as root:
        backend, spec = LocalBackend(root), new_spec()
        sandbox = await backend.create(spec)
        await sandbox.exec(["sh", "-c", "setsid sleep 86390 & (trap '' TERM HUP; sleep 86390) &"])
        busy = asyncio.create_task(sandbox.exec(["sleep", "86390"]))
        await sandbox.exec(["true"])
        assert len(processes_of(spec.session)) >= 4  # the toolbox hides from its own user
        await sandbox.close()
        assert processes_of(spec.session) == []
        with pytest.raises(SandboxLost):
            await busy
        await backend.destroy(sandbox.ref)


async def test_a_start_cancelled_at_any_moment_leaves_nothing() -> None:
    with sandbox_root() as root:
        backend = LocalBackend(root)
        for moment in range(20):
            spec = new_spec()
            task = asyncio.create_task(backend.create(spec))
            await asyncio.wait([task], timeout=moment / 200)
            task.cancel()
            await asyncio.wait([task])
            if task.cancelled():
                assert not (root / spec.session).exists()
            else:
                await backend.destroy(task.result().ref)
            assert processes_of(spec.session) == []


async def test_a_full_disk_is_said_and_leaves_the_file_as_it_was() -> None:
    async with local_sandbox() as sandbox:
        await sandbox.put("/var/tmp/file", b"before")
        fill = "head -c 100000000 /dev/zero >/var/tmp/filler"
        filled = await sandbox.exec(["sh", "-c", fill])
        assert b"No space left" in filled.output
        digest = hashlib.sha256(b"before").hexdigest()
        text = "x" * 100_000
        written = await sandbox.toolbox.call("write", path="/var/tmp/file", text=text, hash=digest)
        assert (written["ok"], written["reason"]) == (False, "no_space")
        with pytest.raises(SandboxError, match="No space left"):
            await sandbox.put("/var/tmp/file", b"x" * 3_000_000)
        assert await sandbox.get("/var/tmp/file", limit=10) == b"before"
        names = await sandbox.exec(["ls", "-A", "/var/tmp"])
        assert names.output == b"file\nfiller\n"


# what is refused


async def test_a_network_policy_that_does_not_exist_is_an_error() -> None:
    with sandbox_root() as root:
        for network in ("host", "", "None", "all"):
            with pytest.raises(UserError, match="network policy") as error:
                await LocalBackend(root).create(replace(new_spec(), network=network))
            assert "none" in error.value.hint


@pytest.mark.parametrize("session", ["", "../x", "a/b", "A", "a\n", ".", "ü", "a b"])
async def test_a_name_that_is_not_ours_never_becomes_a_path(session: str) -> None:
    with sandbox_root() as root:
        backend, spec = LocalBackend(root), replace(new_spec(), session=session)
        for act in (
            lambda: backend.create(spec),
            lambda: backend.attach(f"local:{session}", spec),
            lambda: backend.destroy(f"local:{session}"),
            lambda: backend.destroy(f"docker:{session}"),
        ):
            with pytest.raises(SandboxError):
                await act()


async def test_environment_that_would_become_options_is_refused() -> None:
    with sandbox_root() as root:
        spec = replace(new_spec(), environment={"A": "x\0--bind\0/\0/host"})
        with pytest.raises(SandboxError, match="NUL"):
            await LocalBackend(root).create(spec)
        assert list(root.iterdir()) == []


async def test_directories_that_were_swapped_are_not_used() -> None:
    with sandbox_root() as root, files.temporary_dir() as canary:
        backend, spec = LocalBackend(root), new_spec()
        sandbox = await backend.create(spec)
        await sandbox.close()
        work = root / spec.session / "work"
        work.rename(work.with_name("moved"))
        work.symlink_to(canary)
        with pytest.raises(UserError, match="not the directory"):
            await backend.attach(sandbox.ref, spec)
        await backend.destroy(sandbox.ref)
        assert canary.is_dir()


# what is missing


async def test_a_missing_bubblewrap_is_said_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bubblewrap, "PROGRAM_PLACES", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with sandbox_root() as root:
        with pytest.raises(SandboxUnavailable, match="bubblewrap") as error:
            await LocalBackend(root).create(new_spec())
        assert "install" in error.value.hint
        assert not root.exists()


async def test_a_missing_python_or_filter_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with sandbox_root() as root:
        with monkeypatch.context() as patch:
            patch.setattr(local, "PYTHONS", ("/usr/bin/no-python",))
            with pytest.raises(SandboxUnavailable, match="Python"):
                await LocalBackend(root).create(new_spec())
        monkeypatch.setattr(system, "machine", lambda: "riscv64")
        with pytest.raises(SandboxUnavailable, match="riscv64"):
            await LocalBackend(root).create(new_spec())
        assert not root.exists()


async def test_a_bubblewrap_that_fails_is_explained_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho 'bwrap: Unknown option --disable-userns' >&2; exit 1\n")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    old.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "PROGRAM_PLACES", (str(tmp_path),))
    with sandbox_root() as root:
        with pytest.raises(SandboxUnavailable, match="too old") as error:
            await LocalBackend(root).create(new_spec())
        assert "0.8.0" in error.value.hint
        assert list(root.iterdir()) == []


REFUSING = """#!/bin/sh
while test "$1" != --args; do shift; done
if tr '\\0' '\\n' </proc/self/fd/$2 | grep -qx -e --disable-userns; then
    echo 'bwrap: cannot open /proc/sys/user/max_user_namespaces: Permission denied' >&2
    exit 1
fi
exec /usr/bin/bwrap "$@"
"""


async def test_a_kernel_that_cannot_forbid_user_namespaces_leaves_it_to_the_filter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "_nested", [])
    with files.temporary_dir(shared=True) as folder:
        (folder / "bwrap").write_text(REFUSING)
        (folder / "bwrap").chmod(0o755)
        monkeypatch.setattr(bubblewrap, "PROGRAM_PLACES", (str(folder),))
        assert LocalBackend(folder).capabilities.notes.count(local.NESTED) == 0
        async with local_sandbox() as sandbox:
            script = "unshare -U true; echo $?"
            said = (await sandbox.exec(["sh", "-c", script])).output
            assert b"not permitted" in said
            assert said.endswith(b"1\n")
        assert local.NESTED in LocalBackend(folder).capabilities.notes


WITHOUT_USER_NAMESPACES = ["--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns"]
MASKED_PROC = [
    *("--unshare-user", "--unshare-pid", "--uid", "1000", "--gid", "1000"),
    *("--dev-bind", "/", "/", "--proc", "/proc", "--ro-bind", "/dev/null", "/proc/keys"),
]


@pytest.mark.parametrize(
    ("around", "message"),
    [(WITHOUT_USER_NAMESPACES, "user namespaces"), (MASKED_PROC, "`/proc`")],
)
def test_a_machine_that_forbids_it_gets_the_reason(around: list[str], message: str) -> None:
    script = (
        "import asyncio, sys, pathlib\n"
        "from agent.core.errors import SandboxUnavailable\n"
        "from agent.sandbox.local import LocalBackend\n"
        "from agent.sandbox.protocol import SandboxSpec\n"
        "try: asyncio.run(LocalBackend(pathlib.Path(sys.argv[1])).create(SandboxSpec('s')))\n"
        "except SandboxUnavailable as error: print(error.message, '|', error.hint)\n"
    )
    with files.temporary_dir(shared=True) as folder:
        argv = ["bwrap", "--dev-bind", "/", "/", *around, sys.executable, "-c", script, str(folder)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
        assert list(folder.iterdir()) == []
    assert message in done.stdout
    assert done.stdout.partition("|")[2].strip()


def test_programs_are_not_taken_from_where_we_happen_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ":.:./")
    assert system.find_program("bwrap", ()) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert system.find_program("bwrap", ("/usr/bin",)) == "/usr/bin/bwrap"
    assert system.find_program("bwrap", ()) == str(tmp_path / "bwrap")


# who it runs as


@pytest.mark.parametrize("mapped", [0xFFFF_FFFF, 65_536, 5_000])
def test_roots_sandboxes_get_a_user_id_that_exists_and_is_nobodys(
    monkeypatch: pytest.MonkeyPatch, mapped: int
) -> None:
    monkeypatch.setattr(system, "mapped_ids", lambda: mapped)
    users = {local._user_for(f"session{n}") for n in range(500)}
    assert all(2_000 < user < mapped for user in users)
    assert len(users) > 200
    assert local._user_for("a") == local._user_for("a")


def test_root_without_other_user_ids_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "mapped_ids", lambda: 1)
    with pytest.raises(SandboxUnavailable, match="root"):
        local._user_for("session")


async def test_files_of_a_sandbox_are_closed_to_other_users() -> None:
    async with local_sandbox() as sandbox:
        place = next(Path(p) for p in local_places(sandbox.ref))
        for name in bubblewrap.DIRECTORIES:
            status = (place / name).stat()
            assert status.st_mode & 0o077 == 0
            assert (status.st_uid == 0) is False
        assert place.stat().st_mode & 0o066 == 0


def local_places(ref: str) -> list[str]:
    session = ref.partition(":")[2]
    return [str(p) for p in Path("/tmp").glob(f"gbs-*/root/{session}")]


def test_roots_sandboxes_lie_where_others_may_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "glovebox"
    monkeypatch.setenv("XDG_STATE_HOME", str(state.parent))
    monkeypatch.setattr(env, "is_root", lambda: False)
    assert env.sandbox_dir() == state / "sandboxes"
    monkeypatch.setattr(env, "is_root", lambda: True)
    elsewhere = env.sandbox_dir()
    assert elsewhere.parent == Path("/var/lib/glovebox")
    assert str(tmp_path) not in str(elsewhere)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert env.sandbox_dir() != elsewhere


async def test_a_place_that_another_backend_made_and_closed_is_opened_so_far() -> None:
    with sandbox_root() as root:
        files.make_private_dir(root)
        backend = LocalBackend(root)
        sandbox = await backend.create(new_spec())
        assert (await sandbox.exec(["echo", "works"])).output == b"works\n"
        assert root.stat().st_mode & 0o066 == 0
        await backend.destroy(sandbox.ref)


# where they come from


def test_the_registry_knows_its_backends(tmp_path: Path) -> None:
    assert registry.BACKENDS[:2] == ("local", "docker")
    assert registry.open_backend("local", tmp_path).name == "local"
    with pytest.raises(UserError) as error:
        registry.open_backend("locl", tmp_path)
    assert "local" in error.value.hint
