"""What must not be reachable from inside; each attempt is shown to succeed without a sandbox."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import pty
import resource
import secrets
import socket
import subprocess
import textwrap
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from agent.core import limits
from agent.host import files
from tests.backends import Kind, Shared, every_machine, machine
from tests.security.conftest import PROBE, inside, outside

__all__ = ["machine"]  # a fixture

ROOT = os.geteuid() == 0
X86 = platform.machine() == "x86_64"
OWN_PLACES = "/workspace:/home/agent:/tmp:/var/tmp:/dev/shm"
KEYS = (248, 250) if X86 else (217, 219)

libc = ctypes.CDLL(None, use_errno=True)


async def refused(kind: Kind, probe: str, *arguments: str) -> None:
    """The probe must find nothing in a sandbox started now."""
    async with kind.sandbox() as sandbox:
        assert await inside(sandbox, probe, *arguments) == "SAFE"


def succeeds(probe: str, *arguments: str, **more: object) -> None:
    """The probe must find its way where nothing is in it: otherwise it proves nothing."""
    assert outside(probe, *arguments, **more).startswith("ESCAPED")


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A secret in the home of the user, readable by all: what keeps it is not its mode."""
    with files.temporary_dir() as home:
        home.chmod(0o755)
        monkeypatch.setenv("HOME", str(home))
        (home / ".ssh").mkdir(mode=0o755)
        path = home / ".ssh" / f"id_{secrets.token_hex(8)}"
        path.write_text("canary")
        path.chmod(0o644)
        yield path


@every_machine
async def test_files_of_the_host(kind: Kind, canary: Path) -> None:
    succeeds("file_by_path", str(canary))
    succeeds("file_through_processes", str(canary))
    succeeds("file_by_name", str(canary.parent.parent), canary.name)
    async with kind.sandbox() as sandbox:
        assert await inside(sandbox, "file_by_path", str(canary)) == "SAFE"
        assert await inside(sandbox, "file_through_processes", str(canary)) == "SAFE"
        assert await inside(sandbox, "file_by_name", "/", canary.name) == "SAFE"


@every_machine
async def test_the_hosts_environment(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_hex(16)
    monkeypatch.setenv("PROVIDER_API_KEY", secret)
    succeeds("environment", secret)
    async with kind.sandbox() as sandbox:
        # Not as an argument of a probe alone: process 1 keeps what it was started with.
        assert await inside(sandbox, "environment", secret) == "SAFE"


@every_machine
async def test_processes_of_the_host(kind: Kind) -> None:
    marker = secrets.token_hex(8)
    with subprocess.Popen(["sh", "-c", "read line", marker], stdin=subprocess.PIPE) as process:
        succeeds("command_line", marker[::-1])
        await refused(kind, "command_line", marker[::-1])
        process.communicate(b"\n")


@every_machine
async def test_host_paths_in_command_lines(kind: Kind) -> None:
    succeeds("command_line", str(PROBE.parent)[::-1])
    await refused(kind, "command_line", "/tmp/gb"[::-1])


@every_machine
async def test_descriptors_of_the_host(kind: Kind, canary: Path) -> None:
    descriptor = os.open(canary, os.O_RDONLY)
    os.dup2(descriptor, 200, inheritable=True)
    try:
        succeeds("descriptors", pass_fds=[200])
        await refused(kind, "descriptors")
    finally:
        os.close(descriptor)
        os.close(200)


@every_machine
async def test_the_users_terminal(kind: Kind) -> None:
    _, slave = pty.openpty()
    succeeds("terminal", stdin=slave)
    await refused(kind, "terminal")


@every_machine
async def test_typing_into_a_terminal(kind: Kind) -> None:
    if ROOT:  # others need a kernel that still permits it
        succeeds("typing")
        succeeds("typing_with_high_bits")
    await refused(kind, "typing")
    await refused(kind, "typing_with_high_bits")


@contextlib.contextmanager
def listening(family: int, address: object) -> Generator[socket.socket]:
    with socket.socket(family) as server:
        server.bind(address)  # type: ignore[arg-type]
        server.listen()
        server.settimeout(60)
        stop = threading.Event()
        threading.Thread(target=_accept, args=(server, stop), daemon=True).start()
        yield server
        stop.set()


def _accept(server: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            server.accept()[0].close()
        except OSError:
            return


def addresses() -> list[str]:
    """Addresses of this machine: loopback, and where there is one the outward address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return ["127.0.0.1"]
        return ["127.0.0.1", probe.getsockname()[0]]


@every_machine
async def test_services_of_the_host_by_number(kind: Kind) -> None:
    with listening(socket.AF_INET, ("0.0.0.0", 0)) as server:
        port = str(server.getsockname()[1])
        for address in addresses():
            succeeds("connecting", address, port)
            await refused(kind, "connecting", address, port)


@every_machine
async def test_abstract_sockets_of_the_host(kind: Kind) -> None:
    name = f"glovebox-{secrets.token_hex(8)}"
    with listening(socket.AF_UNIX, b"\0" + name.encode()):
        succeeds("abstract_socket", name)
        await refused(kind, "abstract_socket", name)


@every_machine
async def test_socket_files_of_the_host(kind: Kind) -> None:
    with files.temporary_dir(shared=True) as folder:
        path = str(folder / "agent.sock")
        with listening(socket.AF_UNIX, path):
            os.chmod(path, 0o777)
            succeeds("socket_file", path)
            succeeds("unix_socket_files", str(folder))
            async with kind.sandbox() as sandbox:
                assert await inside(sandbox, "socket_file", path) == "SAFE"
                assert await inside(sandbox, "unix_socket_files", "/") == "SAFE"


@every_machine
async def test_keys_of_the_kernel(kind: Kind) -> None:
    add_key, keyctl = KEYS
    name = f"glovebox-{secrets.token_hex(8)}"
    key = libc.syscall(add_key, b"user", name.encode(), b"secret", 6, -3)
    if key < 0:
        pytest.skip("this kernel or container has no keyrings")
    try:
        succeeds("keyring", name)
        async with kind.sandbox() as sandbox:
            assert await inside(sandbox, "keyring", name) == "SAFE"
            assert await inside(sandbox, "list_of_keys") == "SAFE"
    finally:
        libc.syscall(keyctl, 9, key, -3)
    succeeds("list_of_keys")


@every_machine
async def test_shared_memory_of_the_host(kind: Kind) -> None:
    key = secrets.randbelow(2**30) + 1
    segment = libc.shmget(key, 4096, 0o1666)
    assert segment >= 0
    try:
        succeeds("shared_memory", str(key))
        await refused(kind, "shared_memory", str(key))
    finally:
        libc.shmctl(segment, 0, None)


@every_machine
async def test_the_name_of_the_host(kind: Kind) -> None:
    succeeds("host_name", os.uname().nodename)
    await refused(kind, "host_name", os.uname().nodename)


# (probe, arguments outside, arguments inside, whether it can succeed outside)
PROBES: list[tuple[str, tuple[str, ...], tuple[str, ...], Callable[[], bool]]] = [
    ("accounts", (), (), lambda: True),
    ("core_dumps", (), (), lambda: _core() != 0),
    ("programs_of_the_host", (), (), lambda: ROOT),
    ("memory_of_the_parent", (), (), lambda: ROOT),
    ("tracing_the_parent", (), (), lambda: ROOT),
    ("namespace_by_unshare", (), (), lambda: True),
    ("namespace_by_clone", (), (), lambda: True),
    ("namespace_by_clone3", (), (), lambda: True),
    ("mounting", ("/mnt",), ("/tmp",), lambda: True),
    ("mounting_the_new_way", (), (), lambda: True),
    ("mounted_again_for_writing", (), (), lambda: False),
    ("socket_families", (), (), lambda: True),
    ("calls_of_32_bits", (), (), lambda: X86),
    ("io_uring", (), (), lambda: True),
    ("file_handles", (), (), lambda: True),
    ("dangerous_calls", (), (), lambda: False),
    ("new_privileges", (), (), lambda: True),
    ("devices", (), (), lambda: True),
    ("kernel_settings", (), (), lambda: ROOT),
    ("system_tree", (), (), lambda: True),
    ("interfaces", (), (), lambda: len(os.listdir("/sys/class/net")) > 1),
    ("places_to_write", ("/nowhere",), (OWN_PLACES,), lambda: True),
    (
        "memory_through_files",
        ("0",),
        (str(limits.SANDBOX_SHM_BYTES + 4096), "/workspace:/home/agent:/tmp"),
        lambda: True,
    ),
    ("many_processes", ("40",), ("40",), lambda: ROOT),
    (
        "limits",
        ("1", "1"),
        (str(limits.SANDBOX_PROCESSES_MAX), str(limits.SANDBOX_FILE_MAX_BYTES)),
        lambda: True,
    ),
    ("large_file", (), (), lambda: True),
]


def _core() -> int:
    return resource.getrlimit(resource.RLIMIT_CORE)[1]


def _id(value: object) -> str | None:
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(("probe", "bare", "boxed", "possible"), PROBES, ids=_id)
def test_probe(
    probe: str,
    bare: tuple[str, ...],
    boxed: tuple[str, ...],
    possible: Callable[[], bool],
    tmp_path: Path,
    machine: Shared,
) -> None:
    if possible():
        succeeds(probe, *bare, cwd=tmp_path)
    assert machine.run(lambda sandbox: inside(sandbox, probe, *boxed)) == "SAFE"


SCRIPTS = {
    "git": """
        git init -q r && cd r && git config user.email a@b && git config user.name n
        echo x >f && git add f && git commit -qm works && git bundle create -q ../b HEAD
        git log --format=%s
    """,
    "temporary files": "d=$(mktemp -d) && echo works >$d/f && cat $d/f",
    "home": "mkdir -p ~/.cache && echo works >~/.cache/f && cat ~/.cache/f",
    "names": """
        test $(id -un) = agent && test $(whoami) = agent && test $(hostname) = sandbox
        echo works
    """,
}
PROGRAMS = {
    "threads": """
        import threading
        threads = [threading.Thread(target=lambda: 0) for _ in range(50)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """,
    "semaphores": """
        import multiprocessing
        multiprocessing.Semaphore(2).acquire()
    """,
    "unix sockets": """
        import socket
        server, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        server.bind("k"); server.listen(); client.connect("k")
    """,
    "loopback": """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(server.getsockname())
    """,
    "pseudo terminals": """
        import pty
        pty.openpty()
    """,
    "many processes": """
        import subprocess
        for p in [subprocess.Popen(["sleep", "0.1"]) for _ in range(100)]: p.wait()
    """,
    "debuggers": """
        import ctypes, os
        child = os.fork() or os.execvp("sleep", ["sleep", "9"])
        assert ctypes.CDLL(None).ptrace(0x4206, child, None, None) == 0
        os.kill(child, 9)
    """,
}
COMPILER = """
command -v cc >/dev/null || exit 127
echo 'int main(){return 42;}' >c.c && cc c.c -o c && { ./c; test $? = 42; }
"""


@pytest.mark.parametrize("what", SCRIPTS)
def test_a_shell_is_still_of_use(what: str, machine: Shared) -> None:
    result = machine.run(lambda sandbox: sandbox.exec(["sh", "-ec", SCRIPTS[what]]))
    assert (result.exit_code, result.output) == (0, b"works\n")


@pytest.mark.parametrize("what", PROGRAMS)
def test_programs_can_still_use(what: str, machine: Shared) -> None:
    program = textwrap.dedent(PROGRAMS[what])
    result = machine.run(lambda sandbox: sandbox.exec(["python3", "-I", "-c", program]))
    assert (result.exit_code, result.output) == (0, b"")


def test_a_compiler_works_inside(machine: Shared) -> None:
    result = machine.run(lambda sandbox: sandbox.exec(["sh", "-c", COMPILER]))
    if result.exit_code == 127:
        pytest.skip("no compiler inside")
    assert (result.exit_code, result.output) == (0, b"")
