"""`glovebox reap` and `glovebox rm`: what goes, and what must stay."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import upkeep
from agent.host import env, files, leftovers, owner
from agent.sandbox.local import LocalBackend
from agent.sandbox.protocol import SandboxSpec
from agent.session.catalog import Catalog
from agent.session.journal import Journal
from tests.e2e.rig import User
from tests.sandbox.test_local import processes_of

pytestmark = pytest.mark.sandbox


@pytest.fixture
def home(user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[User]:
    """A user whose state is ours too, and temporary files of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(user.state))
    monkeypatch.setenv("HOME", str(user.home))
    place = user.home / "reaped"
    place.mkdir(mode=0o711)
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(leftovers, "_YOUNG_SECONDS", -60.0)
    monkeypatch.setattr(leftovers, "VAR", tmp_path / "var")
    yield user


def labels(session: str, of: str | None = None) -> dict[str, str]:
    state = env.state_dir()
    return {"glovebox.session": session, "glovebox.owner": of or owner.owner_id(state)}


async def make(session: str, of: str | None = None) -> LocalBackend:
    """A sandbox as a session makes it, stopped."""
    backend = LocalBackend(env.sandbox_dir())
    sandbox = await backend.create(SandboxSpec(session, labels=labels(session, of)))
    await sandbox.close()
    return backend


def whats(found: tuple[upkeep.Leftover, ...]) -> list[str]:
    assert [one for one in found if one.problem] == []
    return [one.what for one in found]


async def test_a_sandbox_of_nobody_goes_and_every_other_stays(home: User) -> None:
    backend = await make("nobodys")
    await make("anothers", of="0123456789abcdef01234567")
    await make("claimed")
    catalog = Catalog(env.state_dir())
    (catalog.root / "sessions" / "kept").mkdir(parents=True)
    catalog.journal("kept").write_bytes(b"")
    await make("kept")
    starting = Journal(catalog.journal(catalog.new_id()))  # a session whose sandbox comes up
    living = starting.path.parent.name
    await make(living)
    try:
        with owner.claim("claimed"):
            assert whats(await upkeep.reap(dry=True)) == ["local:nobodys"]
            assert "local:nobodys" in await backend.find({})
            assert whats(await upkeep.reap()) == ["local:nobodys"]
            assert whats(await upkeep.reap()) == []
        left = {"local:anothers", "local:claimed", "local:kept", f"local:{living}"}
        assert set(await backend.find({})) == left
        assert whats(await upkeep.reap()) == ["local:claimed"]
    finally:
        starting.close()
        for ref in await backend.find({}):
            await backend.destroy(ref)


HOST = """
    import asyncio, sys
    from pathlib import Path
    from agent.host import env, files, owner
    from agent.sandbox.local import LocalBackend
    from agent.sandbox.protocol import SandboxSpec
    async def main():
        labels = {"glovebox.owner": owner.owner_id(env.state_dir())}
        backend = LocalBackend(env.sandbox_dir())
        make = files.temporary_dir
        with make() as one, make("glovebox-demo-", shared=True) as two:
            (one / "file").write_text("x")
            sandbox = await backend.create(SandboxSpec(sys.argv[1], labels=labels))
            print(one, two, flush=True)
            await sandbox.exec(["sleep", "86360"])
    asyncio.run(main())
"""


async def test_what_a_killed_process_left_goes_once_it_is_dead(home: User) -> None:
    argv = [sys.executable, "-c", textwrap.dedent(HOST), "killed1"]
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(argv, env=settings, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        folders = [Path(word) for word in process.stdout.readline().decode().split()]
        assert all(folder.is_dir() for folder in folders)
        # It lives: its folders stay. Its sandbox has no session and no claim.
        found = await upkeep.reap(dry=True)
        assert not set(map(str, folders)) & {one.what for one in found}
        process.kill()
    while processes_of("killed1"):
        await asyncio.sleep(0.01)
    theirs = home.home / "reaped" / "glovebox-worktree"  # a folder of the user's with such a name
    theirs.mkdir()
    found = whats(await upkeep.reap())
    assert sorted(found) == sorted(["local:killed1", *map(str, folders)])
    assert [p.name for p in (home.home / "reaped").iterdir()] == ["glovebox-worktree"]
    assert list(env.sandbox_dir().iterdir()) == []


async def test_a_process_in_a_sandbox_of_the_dead_is_ended(home: User) -> None:
    session = Catalog(env.state_dir()).new_id()
    held = Journal(Catalog(env.state_dir()).journal(session))
    backend = LocalBackend(env.sandbox_dir())
    sandbox = await backend.create(SandboxSpec(session, labels=labels(session)))
    running = asyncio.create_task(sandbox.exec(["sleep", "86361"]))
    await sandbox.exec(["true"])
    try:
        # While somebody holds the session nothing of it is touched.
        assert [one for one in await upkeep.reap() if one.kind == "process"] == []
        held.close()
        found = await upkeep.reap()
        assert [one.kind for one in found].count("process") >= 1
        await asyncio.wait([running])
        while processes_of(session):  # they are being ended; the test's time limit ends the wait
            await asyncio.sleep(0.01)
    finally:
        held.close()
        await asyncio.gather(running, return_exceptions=True)
        await backend.destroy(sandbox.ref)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's sandboxes lie there")
def test_empty_places_for_roots_sandboxes_go_when_they_are_old(
    home: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(leftovers, "VAR", tmp_path)
    old, young, full, own, other = (
        tmp_path / name for name in ("a" * 16, "b" * 16, "c" * 16, "d" * 16, "etc")
    )
    for path in (old, young, full, own, other):
        path.mkdir()
    (full / "x").mkdir()
    for path in (old, full, own, other):
        os.utime(path, (time.time() - 1e6,) * 2)
    assert leftovers.empty_roots(own) == (old,)


def shell(user: User, *words: str) -> int:
    return user.glovebox("shell", *words).code


def test_a_session_is_removed_with_all_it_made_but_its_branch(user: User) -> None:
    user.start()
    assert shell(user, "--new", "--", "sh", "-c", "echo x >new.txt") == 0
    assert shell(user, "--new", "--", "true") == 0
    before = user.fingerprint()
    done = user.glovebox("rm", "1")
    assert (done.code, "session 1" in done.out, "glovebox/1 stays" in done.out) == (0, True, True)
    assert user.git("show", "glovebox/1:new.txt") == "x"
    refs = user.git("for-each-ref", "--format=%(refname)", "refs/glovebox").splitlines()
    assert len({ref.split("/")[2] for ref in refs}) == 1  # those of session 2
    assert len(user.journals()) == 1
    assert user.fingerprint() == before
    assert user.glovebox("rm", "1").code == 2
    assert shell(user, "2", "--", "true") == 0
    assert user.glovebox("rm", "2").code == 0
    assert not user.has_session()


def unsynced(user: User) -> None:
    """A session whose process was killed with work inside."""
    argv = user.argv("shell", "--new", "--", "sh", "-c", "echo x >lost.txt; echo up; sleep 86362")
    with subprocess.Popen(
        argv, cwd=user.repo, env=user.environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGKILL)


def lose_sandbox(user: User) -> None:
    """As after a disk that was cleared."""
    shutil.rmtree(user.state / "glovebox" / "sandboxes" / user.journals()[-1].parent.name)


def test_unsynced_work_is_not_removed_but_by_force_which_rescues_it(user: User) -> None:
    user.start()
    unsynced(user)
    refused = user.glovebox("rm", "1")
    assert refused.code == 2
    assert "not on its branch" in refused.err
    assert "--force" in refused.err
    assert user.has_session()
    forced = user.glovebox("rm", "1", "--force")
    assert forced.code == 0, forced.err
    bundle = next((user.state / "glovebox" / "rescued").glob("*.bundle"))
    assert str(bundle) in forced.out
    user.git("fetch", "-q", str(bundle), "refs/glovebox/out:refs/heads/rescued")
    assert user.git("show", "rescued:lost.txt") == "x"
    assert not user.has_session()


def test_a_session_whose_sandbox_died_is_removed_by_force(user: User) -> None:
    user.start()
    unsynced(user)
    lose_sandbox(user)
    refused = user.glovebox("rm", "1")
    assert (refused.code, "not on its branch" in refused.err) == (2, True)
    forced = user.glovebox("rm", "1", "--force")
    assert (forced.code, user.has_session()) == (0, False), forced.err
    assert not list((user.state / "glovebox").glob("rescued/*"))


def test_what_was_on_its_way_home_when_the_sandbox_died_arrives(user: User) -> None:
    user.start()
    assert shell(user, "--new", "--", "sh", "-c", "echo x >carried.txt") == 0
    (place,) = (user.repo / ".git" / "glovebox" / "mirrors").iterdir()
    tip, seed = (user.git("rev-parse", f"refs/glovebox/{place.name}/{n}") for n in ("tip", "seed"))
    # As it was after the bundle had come and before anything was done with it.
    user.git("update-ref", "refs/glovebox/out", tip)
    user.git("bundle", "create", "-q", str(place / "bundle"), "refs/glovebox/out", f"^{seed}")
    user.git("update-ref", "-d", "refs/glovebox/out")
    user.git("branch", "-D", "glovebox/1")
    user.git("update-ref", f"refs/glovebox/{place.name}/tip", seed)
    with (place / "journal.jsonl").open("a") as log:
        at = {"step": "carried", "base": seed, "tip": seed, "since": seed, "new": tip}
        log.write(json.dumps(at) + "\n")
    lose_sandbox(user)
    removed = user.glovebox("rm", "1", "--force")
    assert removed.code == 0, removed.err
    assert user.git("show", "glovebox/1:carried.txt") == "x"


def test_work_in_a_repository_that_was_broken_inside_is_not_removed_unseen(user: User) -> None:
    user.start()
    done = user.glovebox("shell", "--new", "--", "sh", "-c", "echo x >a; rm -r .git/HEAD")
    assert done.code != 0
    forced = user.glovebox("rm", "1", "--force")
    assert forced.code != 0 and "could not be rescued" in forced.err
    assert "--no-rescue" in forced.err and user.has_session()
    assert user.glovebox("rm", "1", "--force", "--no-rescue").code == 0


def test_what_a_program_left_behind_made_after_the_sync_is_not_removed(home: User) -> None:
    home.start()
    assert shell(home, "--new", "--", "sh", "-c", "echo x >new.txt") == 0
    session = home.journals()[-1].parent.name
    late = env.sandbox_dir() / session / "work" / "late.txt"
    late.write_text("late\n")

    refused = home.glovebox("rm", "1")

    assert refused.code == 2
    assert "not on its branch: ahead 1" in refused.err
    assert late.exists() and home.has_session()
    assert shell(home, "1", "--", "true") == 0
    assert home.git("show", "glovebox/1:late.txt") == "late"
    assert home.glovebox("rm", "1").code == 0


def test_a_session_in_use_is_not_removed(user: User) -> None:
    user.start()
    argv = user.argv("shell", "--new", "--", "sh", "-c", "echo up; read x")
    with subprocess.Popen(
        argv, cwd=user.repo, env=user.environment, stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        refused = user.glovebox("rm", "1", "--force")
        assert (refused.code, "in use" in refused.err) == (2, True)
        listed = user.glovebox("reap", "--dry-run").out
        assert "remove sandbox" not in listed
        assert "remove process" not in listed
        process.communicate(b"\n")
    assert process.returncode in (0, 1)


def test_temporary_folders_are_locked_while_they_are_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leftovers, "_YOUNG_SECONDS", -60.0)
    with files.temporary_dir() as folder:
        assert folder not in leftovers.temporary_folders()
        assert not leftovers.remove_temporary_folder(folder)
    with files.temporary_dir(keep=True) as kept:
        pass
    assert not leftovers.remove_temporary_folder(kept)
    kept.rmdir()


def test_who_lives_in_a_sandbox_of_the_same_name_elsewhere_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another state directory on a file system of its own, or one in a container."""
    ours = tmp_path / "a b" / "glovebox" / "sandboxes"
    ours.mkdir(parents=True)
    shown = str(ours).replace(" ", "\\040")
    lines = {
        "self": ("8:1 / /", f"8:2 /@state {tmp_path}/a\\040b", f"8:3 / {tmp_path}/other"),
        "11": (f"8:2 {shown.replace(shown[: -len('/glovebox/sandboxes')], '/@state')}/abc1/work",),
        "12": ("8:3 /glovebox/sandboxes/abc2/work",),
        "13": ("0:9 /@state/glovebox/sandboxes/abc3/work",),
        "14": ("8:2 /elsewhere/@state/glovebox/sandboxes/abc4/work",),
    }
    for name, mounts in lines.items():
        (tmp_path / "proc" / name).mkdir(parents=True)
        told = [m if name == "self" else f"{m} /workspace" for m in mounts]
        text = "".join(f"1 2 {mount} rw shared:1 - ext4 x rw\n" for mount in told)
        (tmp_path / "proc" / name / "mountinfo").write_text(text)
    monkeypatch.setattr(leftovers, "PROC", tmp_path / "proc")
    assert leftovers.inhabitants(ours) == {"abc1": [11]}
