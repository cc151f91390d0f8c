"""Stop, start, attach: what a sandbox keeps, what lives on in it, and who may have it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Generator
from pathlib import Path

import pytest

from agent.core.errors import SandboxLost
from agent.sandbox.local import LocalBackend
from agent.sandbox.protocol import Sandbox, SandboxSpec
from tests.sandbox.test_local import processes_of
from tests.sandbox_fixtures import local_sandbox, new_spec, sandbox_root

pytestmark = pytest.mark.sandbox

HOST = """
    import asyncio, os, sys
    from pathlib import Path
    from agent.sandbox.local import LocalBackend
    from agent.sandbox.protocol import SandboxSpec
    async def main():
        backend = LocalBackend(Path(sys.argv[1]))
        spec = SandboxSpec(sys.argv[2], labels={"glovebox.session": sys.argv[2]})
        sandbox = await backend.create(spec)
        await sandbox.put("file", b"kept")
        script = "echo kept >~/file; echo kept >/tmp/file; mkdir -m 000 shut; setsid sleep 86371 &"
        await sandbox.exec(["sh", "-c", script])
        print("up", flush=True)
        sys.stdin.readline()
        if sys.argv[3] == "closes": await sandbox.close()
        if sys.argv[3] == "leaves": os._exit(0)
    asyncio.run(main())
"""


@contextlib.contextmanager
def host(root: Path, session: str, how: str) -> Generator[subprocess.Popen[bytes]]:
    """Another process of ours that has made a sandbox, and is about to end as `how` says."""
    root.mkdir(mode=0o711, exist_ok=True)
    argv = [sys.executable, "-c", textwrap.dedent(HOST), str(root), session, how]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, env=environment) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"up\n"
        yield process
        if how == "is killed":
            process.send_signal(signal.SIGKILL)
        else:
            process.communicate(b"\n")


async def runs(sandbox: Sandbox, argument: str) -> bool:
    found = await sandbox.exec(["pgrep", "-f", f"[{argument[0]}]{argument[1:]}"])
    return found.exit_code == 0


@pytest.mark.parametrize("how", ["closes", "leaves", "is killed"])
async def test_another_process_goes_on_with_the_files(how: str) -> None:
    with sandbox_root() as root:
        session = new_spec().session
        with host(root, session, how):
            assert len(processes_of(session)) >= 2
        while processes_of(session):
            await asyncio.sleep(0.01)
        backend = LocalBackend(root)
        ref = f"local:{session}"
        assert await backend.find({"glovebox.session": session}) == (ref,)
        for _ in range(3):
            sandbox = await backend.attach(ref, SandboxSpec(session))
            for path in ("file", "/home/agent/file", "/tmp/file"):
                assert (await sandbox.get(path, limit=10)).strip() == b"kept"
            assert not await runs(sandbox, "86371")
            await sandbox.close()
        await backend.destroy(ref)
        assert await backend.find({}) == ()


async def test_what_is_attached_again_is_a_new_start_of_the_same_place() -> None:
    with sandbox_root() as root:
        backend, spec = LocalBackend(root), new_spec()
        first = await backend.create(spec)
        await first.exec(["sh", "-c", "sleep 86372 & echo x >/dev/shm/gone"])
        second = await backend.attach(first.ref, spec)  # not closed before
        with pytest.raises(SandboxLost):
            await first.exec(["true"])
        assert not await runs(second, "86372")
        assert (await second.exec(["ls", "/dev/shm"])).output == b""
        assert second.ref == first.ref
        await backend.destroy(second.ref)
        with pytest.raises(SandboxLost):
            await backend.attach(first.ref, spec)


async def test_what_runs_in_the_background_lives_as_long_as_the_sandbox() -> None:
    async with local_sandbox() as sandbox:
        server = "exec python3 -I -m http.server 8010 --bind 127.0.0.1 >/tmp/server.log 2>&1"
        await sandbox.exec(["sh", "-c", f"({server}) & (sleep 86373; echo) &"])
        await sandbox.exec(["sleep", "60"], seconds=0.1)  # a deadline
        task = asyncio.create_task(sandbox.exec(["sleep", "60"]))
        await sandbox.exec(["true"])
        task.cancel()  # an interrupt
        await asyncio.wait([task])
        for _ in range(5):
            asked = await sandbox.exec(["sh", "-c", "pgrep -f '[8]6373' && pgrep -f '[8]010'"])
            assert asked.exit_code == 0
        fetch = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8010/').status)"
        again = f'for n in 1 2 3 4 5 6 7 8 9; do python3 -I -c "{fetch}" && exit; sleep 1; done'
        fetched = await sandbox.exec(["sh", "-c", again], env={"no_proxy": "*"})
        assert fetched.output.endswith(b"200\n")
        # Somebody else's command can find it and end it.
        assert (await sandbox.exec(["pkill", "-f", "[8]6373"])).exit_code == 0
        gone = "for n in $(seq 300); do pgrep -f '[8]6373' || exit 0; sleep 0.1; done; exit 1"
        assert (await sandbox.exec(["sh", "-c", gone])).exit_code == 0  # a signal takes its time
