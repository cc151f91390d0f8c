"""Each wall of a container taken away in turn: the attempt that it stops must then succeed."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from agent.core import limits
from agent.sandbox.docker import inside as container
from agent.sandbox.docker.inside import Plan
from agent.sandbox.protocol import Limits
from tests.docker.engine import docker_backend, docker_spec
from tests.security.conftest import inside
from tests.security.test_escape import OWN_PLACES, listening

pytestmark = [pytest.mark.docker, pytest.mark.sandbox]

Change = Callable[[list[str]], list[str]]


def without(*words: str) -> Change:
    """The flags less one of them."""

    def change(flags: list[str]) -> list[str]:
        size = len(words)
        at = next(n for n in range(len(flags)) if tuple(flags[n : n + size]) == words)
        return flags[:at] + flags[at + size :]

    return change


def without_value(name: str) -> Change:
    """The flags less `name` and its value."""

    def change(flags: list[str]) -> list[str]:
        at = flags.index(name)
        return flags[:at] + flags[at + 2 :]

    return change


def instead(name: str, value: str) -> Change:
    """The flags with another value for `name`; the last one counts."""
    return lambda flags: [name, value, *without_value(name)(flags)]


def plus(*words: str) -> Change:
    """The flags and another one."""
    return lambda flags: [*words, *flags]


def unfiltered(flags: list[str]) -> list[str]:
    return [f if not f.startswith("seccomp=") else "seccomp=unconfined" for f in flags]


def with_the_engines_filter(flags: list[str]) -> list[str]:
    return [f for n, f in enumerate(flags) if not (f"{f}{flags[n + 1 : n + 2]}").count("seccomp=")]


def as_root(flags: list[str]) -> list[str]:
    return instead("--user", "0:0")(flags)


def as_root_and_writable(flags: list[str]) -> list[str]:
    return without("--read-only")(as_root(flags))


def without_covers(flags: list[str]) -> list[str]:
    for name in ("/sys", "/dev/mqueue"):
        flags = without("--tmpfs", f"{name}:ro,size=4096")(flags)
    return flags


def shared_namespaces(flags: list[str]) -> list[str]:
    return instead("--ipc", "host")(["--pid", "host", *flags])


SHM = str(limits.SANDBOX_SHM_BYTES + 4096)
# What is taken away, how, and what must be found then: a probe, its arguments, a word it says.
Found = tuple[str, tuple[str, ...], str]
WEAKENED: dict[str, tuple[Change, list[Found]]] = {
    "capabilities": (without("--cap-drop", "ALL"), [("new_privileges", (), "CapBnd")]),
    "no new privileges": (
        without("--security-opt", "no-new-privileges"),
        [("new_privileges", (), "NoNewPrivs 0")],
    ),
    "filter": (
        unfiltered,
        [
            ("new_privileges", (), "Seccomp 0"),
            ("socket_families", (), "netlink generic"),
            ("namespace_by_unshare", (), "made"),
            ("calls_of_32_bits", (), "answered"),
            ("typing", (), "typed"),
            ("typing_with_high_bits", (), "typed"),
            ("dangerous_calls", (), "keyctl"),
        ],
    ),
    "filter of our own": (
        with_the_engines_filter,
        [("socket_families", (), "netlink generic"), ("calls_of_32_bits", (), "answered")],
    ),
    "user": (as_root, [("places_to_write", (OWN_PLACES,), "/etc")]),
    "read-only root": (as_root_and_writable, [("places_to_write", (OWN_PLACES,), "/, ")]),
    "covers": (
        without_covers,
        [("system_tree", (), "/sys"), ("places_to_write", (OWN_PLACES,), "mqueue")],
    ),
    "size": (instead("--shm-size", "8g"), [("memory_through_files", (SHM,), "/dev/shm")]),
    "own namespaces": (
        shared_namespaces,
        [("command_line", ("{marker}",), ""), ("shared_memory", ("{key}",), "attached")],
    ),
    "no mounts": (
        plus(
            *("-v", "{socket}:/mnt/s", "-v", "/etc:/mnt/etc:ro"),
            *("--device", "/dev/loop-control"),
        ),
        [
            ("unix_socket_files", ("/",), "/mnt/s"),
            ("file_by_path", ("/mnt/etc/hostname",), ""),
            ("devices", (), "loop-control"),
        ],
    ),
}


@pytest.fixture
def bait() -> Generator[dict[str, str]]:
    """What a weakened container can find: a process, a memory segment, a socket file."""
    import ctypes
    import tempfile

    libc = ctypes.CDLL(None, use_errno=True)
    key, marker = secrets.randbelow(2**30) + 1, secrets.token_hex(8)
    segment = libc.shmget(key, 4096, 0o1666)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        with (
            listening(socket.AF_UNIX, path),
            subprocess.Popen(["sh", "-c", "read line", marker], stdin=subprocess.PIPE) as process,
        ):
            yield {"marker": marker[::-1], "key": str(key), "socket": path}
            process.communicate(b"\n")
    libc.shmctl(segment, 0, None)


@contextmanager
def weakened(change: Change, bait: dict[str, str] | None = None) -> Generator[None]:
    """Containers are made with other flags meanwhile."""
    tight = container.flags

    def weak(plan: Plan) -> list[str]:
        before = tight(plan)
        after = [word.format(**bait) if bait and "{" in word else word for word in change(before)]
        assert after != before
        return after

    container.flags = weak
    try:
        yield
    finally:
        container.flags = tight


@pytest.mark.parametrize("what", WEAKENED)
async def test_the_matching_attempts_succeed_without(what: str, bait: dict[str, str]) -> None:
    change, found = WEAKENED[what]
    with docker_backend() as backend, weakened(change, bait):
        sandbox = await backend.create(docker_spec())
        try:
            for probe, arguments, evidence in found:
                said = await inside(sandbox, probe, *(word.format(**bait) for word in arguments))
                assert said.startswith("ESCAPED"), probe
                assert evidence in said
        finally:
            await backend.destroy(sandbox.ref)


async def test_with_the_hosts_network_its_services_can_be_reached() -> None:
    def hosts(flags: list[str]) -> list[str]:
        for name in ("--dns", "--dns-search", "--hostname"):
            flags = without_value(name)(flags)
        return instead("--network", "host")(flags)

    with listening(socket.AF_INET, ("127.0.0.1", 0)) as server, docker_backend() as backend:
        port = str(server.getsockname()[1])
        spec = docker_spec()
        with weakened(hosts):
            sandbox = await backend.create(spec)
        try:
            assert (await inside(sandbox, "connecting", "127.0.0.1", port)).startswith("ESCAPED")
            name = os.uname().nodename
            assert (await inside(sandbox, "host_name", name)).startswith("ESCAPED")
        finally:
            await backend.destroy(sandbox.ref)


FORK = """
import os, signal
children = []
try:
    for _ in range(200):
        child = os.fork() or signal.pause()
        children.append(child)
except OSError:
    print("held")
for child in children: os.kill(child, 9)
"""
FILL = """
import os
taken = []
for _ in range(4):
    child = os.fork()
    if child == 0:
        data = b"x" * 100_000_000
        os._exit(0 if len(data) else 1)
    taken.append(child)
    keep = b"y" * 60_000_000
    taken.append(keep)
statuses = [os.waitpid(c, 0)[1] for c in taken if isinstance(c, int)]
print("fits" if not any(statuses) else "held")
"""
SMALL = Limits(memory_bytes=200_000_000, processes=100, cpus=0.5)


@pytest.mark.parametrize(
    ("flag", "program"), [("--pids-limit", FORK), ("--memory", FILL)], ids=["processes", "memory"]
)
async def test_limits_hold_and_do_not_without_their_flag(flag: str, program: str) -> None:
    spec = replace(docker_spec(), limits=SMALL)
    with docker_backend() as backend:
        sandbox = await backend.create(spec)
        held = await sandbox.exec(["python3", "-I", "-c", program])
        await backend.destroy(sandbox.ref)

        def loose(flags: list[str]) -> list[str]:
            for name in (flag, "--memory-swap") if flag == "--memory" else (flag,):
                flags = without_value(name)(flags)
            return flags

        with weakened(loose):
            sandbox = await backend.create(spec)
        free = await sandbox.exec(["python3", "-I", "-c", program])
        await backend.destroy(sandbox.ref)
    assert held.output == b"held\n" or held.exit_code == -9
    assert b"held" not in free.output and free.exit_code == 0
