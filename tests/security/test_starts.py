"""Starting, starting again and being killed: what the inside can prepare for those moments."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agent.host import files
from agent.host.launch import launch
from agent.sandbox.local import LocalBackend
from tests.sandbox.test_limits import groups_of
from tests.sandbox.test_local import processes_of
from tests.sandbox_fixtures import local_sandbox, new_spec, sandbox_root

pytestmark = pytest.mark.sandbox

PLACES = "/oldroot /newroot /proc/1/root /../../../../../.."
NAMES = (
    "etc etc/passwd usr bin lib proc proc/keys dev dev/shm run run/agent run/agent/toolbox.zip tmp "
    "var var/tmp home home/agent workspace .git .env .ssh .config .cache .gitconfig toolbox.zip"
)


async def test_links_left_in_its_own_directories_lead_no_start_outside() -> None:
    with sandbox_root() as root, files.temporary_dir(shared=True) as outside:
        outside.chmod(0o777)
        backend, spec = LocalBackend(root), new_spec()
        sandbox = await backend.create(spec)
        # Every name that a mount could want, leading to a directory of the host by every way in
        # which bubblewrap might see it while it builds the root.
        script = f"""
            for place in /workspace ~ /tmp; do cd $place; for name in {NAMES}; do
              mkdir -p $(dirname $name) 2>/dev/null
              for way in {PLACES} ""; do
                rm -rf $name; ln -s $way{outside}/$(basename $name) $name
              done
            done; done
        """
        assert (await sandbox.exec(["sh", "-c", script])).exit_code == 0
        await sandbox.close()
        again = await backend.attach(sandbox.ref, spec)
        assert (await again.exec(["echo", "works"])).output == b"works\n"
        assert list(outside.iterdir()) == []
        outside.joinpath("canary").touch()
        await backend.destroy(again.ref)
        assert [p.name for p in outside.iterdir()] == ["canary"]


async def test_what_starts_the_toolbox_cannot_be_changed_from_inside() -> None:
    with sandbox_root() as root:
        backend, spec = LocalBackend(root), new_spec()
        sandbox = await backend.create(spec)
        script = """
            for d in . ~ /tmp; do
              for m in json struct os sitecustomize usercustomize subprocess; do
                echo 'open("/tmp/taken", "w")' >$d/$m.py
              done
              echo 'touch /tmp/taken' >$d/.bashrc; cp $d/.bashrc $d/.profile; cp $d/.bashrc $d/.bash_profile
              mkdir -p $d/bin; printf '#!/bin/sh\\ntouch /tmp/taken\\n' >$d/bin/python3
            done
            site=~/.local/lib/python3.11/site-packages; mkdir -p $site
            echo 'import os; open("/tmp/taken", "w")' >$site/x.pth
            echo x >/run/agent/toolbox.zip; rm /run/agent/toolbox.zip; touch /run/agent/json.py
        """  # noqa: E501
        await sandbox.exec(["sh", "-c", script])
        await sandbox.close()
        again = await backend.attach(sandbox.ref, spec)
        result = await again.exec(["sh", "-c", "ls /tmp/taken; ls /run/agent"], env={"ENV": "x"})
        assert b"No such file" in result.output
        assert result.output.endswith(b"toolbox.zip\n")
        await backend.destroy(again.ref)


async def test_nothing_inside_listens_for_requests() -> None:
    async with local_sandbox() as sandbox:
        script = "tail -n +2 /proc/net/unix | grep -v '^$' | grep -E ' 0001000[0-9] '; ls /proc/net"
        result = await sandbox.exec(["sh", "-c", script])
        assert b"unix" in result.output
        assert b"0001000" not in result.output


async def test_a_child_does_not_get_the_keyring_of_the_user() -> None:
    get_id = 0
    number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    script = f"""
        import ctypes, sys
        ring = ctypes.CDLL(None).syscall({number}, {get_id}, -3, 1)
        sys.stderr.write(str(ring))
    """
    argv = [sys.executable, "-I", "-c", textwrap.dedent(script)]
    ours = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stderr
    if ours.startswith("-"):
        pytest.skip("this kernel or container has no keyrings")
    second = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stderr
    if second != ours:
        pytest.skip("this login has no session keyring: each program makes one of its own")
    child = await launch(argv, pass_fds=(), env={})
    assert await child.wait() == 0
    assert child.stderr != ours
    again = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stderr
    assert again == ours


HOST = """
    import asyncio, sys
    from pathlib import Path
    from agent.sandbox.local import LocalBackend
    from agent.sandbox.protocol import SandboxSpec
    async def main():
        backend = LocalBackend(Path(sys.argv[1]))
        sandbox = await backend.create(SandboxSpec(sys.argv[2]))
        await sandbox.exec(["sh", "-c", "trap '' TERM HUP INT; setsid sleep 86389 & sleep 86389 &"])
        print("up", flush=True)
        await sandbox.exec(["sh", "-c", "trap '' TERM HUP INT; sleep 86389; sleep 86389"])
    asyncio.run(main())
"""


async def test_nothing_survives_a_host_that_is_killed_at_any_moment() -> None:
    chance = random.Random(7)
    with files.temporary_dir(shared=True) as folder:
        sessions = [f"kill{os.getpid()}x{n}" for n in range(25)]
        for n, session in enumerate(sessions):
            argv = [sys.executable, "-c", textwrap.dedent(HOST), str(folder / "root"), session]
            host = subprocess.Popen(argv, stdout=subprocess.PIPE, env=_environment())
            assert host.stdout is not None
            if n % 5 == 0:
                assert host.stdout.readline() == b"up\n"
            else:
                await _until((folder / "root" / session).exists, host)
                await asyncio.sleep(chance.uniform(0, 0.15))
            host.send_signal(signal.SIGKILL)
            host.wait()
            host.stdout.close()
        await _until(lambda: not any(processes_of(session) for session in sessions), None)
        # Not even one that was killed before anything of the session's was mounted.
        await _until(lambda: not any(_named(session) for session in sessions), None)
        backend = LocalBackend(folder / "root")
        for session in sessions:
            await backend.destroy(f"local:{session}")
            assert groups_of(session) == []
        assert list((folder / "root").iterdir()) == []


def _named(session: str) -> bool:
    """Whether a process says on its command line that it is this session's."""
    mark = f"\0session\0{session}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().endswith(mark):
                return True
        except OSError:
            continue  # It has ended meanwhile.
    return False


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


async def _until(condition: object, process: subprocess.Popen[bytes] | None) -> None:
    """Wait for something that must come; the test's time limit ends the wait."""
    while not condition():  # type: ignore[operator]
        assert process is None or process.poll() is None
        await asyncio.sleep(0.001)
