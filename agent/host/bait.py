"""What a program that got out of a sandbox would find here: secrets and services, set out for it.

Nothing here is worth anything, and all of it is gone when the block ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import platform
import pty
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from agent.host.env import home
from agent.host.files import temporary_dir

SECONDS = 60.0
_KEYS = {"x86_64": (248, 250), "aarch64": (217, 219)}  # add_key, keyctl
_SESSION_KEYRING, _UNLINK, _REMOVE = -3, 9, 0
_VARIABLE = "SELFTEST_CANARY"


class Bait:
    """`values` are the arguments of attempts by name; `visits` counts who came to our services."""

    def __init__(self, values: Mapping[str, str], services: Sequence[_Service]) -> None:
        self.values = values
        self._services = services

    @property
    def visits(self) -> int:
        return sum(service.visits for service in self._services)


class _Service:
    """A socket that somebody listens on, and how often somebody came."""

    def __init__(self, family: int, kind: int, address: object) -> None:
        self.visits = 0
        self.socket = socket.socket(family, kind)
        self.socket.bind(address)  # pyright: ignore[reportArgumentType]: depends on the family
        if kind == socket.SOCK_STREAM:
            self.socket.listen()
        serve = self._accept if kind == socket.SOCK_STREAM else self._answer
        self._thread = threading.Thread(target=serve, daemon=True, name="bait")
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                self.visits += 1
                client.close()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                _, sender = self.socket.recvfrom(100)
                if sender is None:  # woken to end
                    return
                self.visits += 1
                self.socket.sendto(b"heard", sender)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread, which `close` would not
        self.socket.close()


@contextlib.contextmanager
def set_out() -> Generator[Bait]:
    """Set it out: before the sandbox is made, which could inherit some of it."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(temporary_dir(shared=True))
        values: dict[str, str] = {"host_name": os.uname().nodename}
        values |= _files(stack, folder) | _environment(stack) | _process(stack)
        values |= _kernel(stack)
        services, reached = _services(stack, folder)
        yield Bait(values | reached, services)


def _files(stack: contextlib.ExitStack, folder: Path) -> dict[str, str]:
    """A secret that everybody may read, in a folder that all may pass and in the user's home."""
    name = f"glovebox-canary-{secrets.token_hex(8)}"
    folders = {"file": folder, "home_file": home()}
    found: dict[str, str] = {"file_name": name, "folder": str(folder)}
    for key, place in folders.items():
        path = place / name
        try:
            path.write_text("canary")
        except OSError:
            path = folder / name
        else:
            path.chmod(0o644)
            stack.callback(path.unlink, missing_ok=True)
        found[key] = str(path)
    return found


def _environment(stack: contextlib.ExitStack) -> dict[str, str]:
    secret = secrets.token_hex(16)
    os.environ[_VARIABLE] = secret
    stack.callback(os.environ.pop, _VARIABLE, None)
    return {"secret": secret}


def _process(stack: contextlib.ExitStack) -> dict[str, str]:
    marker = f"canary{secrets.token_hex(8)}"
    argv = ["sh", "-c", "read line", marker]
    process = stack.enter_context(subprocess.Popen(argv, stdin=subprocess.PIPE, cwd="/"))
    stack.callback(process.kill)
    # Told backwards, so that an attempt does not find its own command line.
    return {"process_backwards": marker[::-1]}


def _kernel(stack: contextlib.ExitStack) -> dict[str, str]:
    """A shared memory segment and, where there are keyrings, a key."""
    libc = ctypes.CDLL(None, use_errno=True)
    found: dict[str, str] = {}
    number = secrets.randbelow(2**30) + 1
    segment = libc.shmget(number, 4096, 0o1666)
    if segment >= 0:
        stack.callback(libc.shmctl, segment, _REMOVE, None)
        found["shared_memory"] = str(number)
    if platform.machine() in _KEYS:
        add_key, keyctl = _KEYS[platform.machine()]
        name = f"canary-{secrets.token_hex(8)}"
        key = libc.syscall(add_key, b"user", name.encode(), b"secret", 6, _SESSION_KEYRING)
        if key > 0:
            stack.callback(libc.syscall, keyctl, _UNLINK, key, _SESSION_KEYRING)
            found["key"] = name
    return found


def _services(stack: contextlib.ExitStack, folder: Path) -> tuple[list[_Service], dict[str, str]]:
    abstract, path = f"canary-{secrets.token_hex(8)}", str(folder / "service.sock")
    everywhere = ("0.0.0.0", 0)
    services = [
        _Service(socket.AF_INET, socket.SOCK_STREAM, everywhere),
        _Service(socket.AF_INET, socket.SOCK_DGRAM, everywhere),
        _Service(socket.AF_UNIX, socket.SOCK_STREAM, b"\0" + abstract.encode()),
        _Service(socket.AF_UNIX, socket.SOCK_STREAM, path),
    ]
    for service in services:
        stack.callback(service.close)
    os.chmod(path, 0o777)
    tcp, udp = (str(s.socket.getsockname()[1]) for s in services[:2])
    return services, {
        "tcp_port": tcp,
        "udp_port": udp,
        "address": _outward_address(),
        "abstract_socket": abstract,
        "socket_file": path,
    }


def _outward_address() -> str:
    """An address of this machine that is not loopback; loopback where there is no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


async def attempt(program: Path, *arguments: str) -> str:
    """What a Python program prints when it is run on this machine as carelessly as can be.

    With our environment, a terminal and an open file: what a sandbox would have to keep away.
    """

    def run() -> str:
        ours, theirs = pty.openpty()
        leaked = os.open(program, os.O_RDONLY)
        with temporary_dir() as folder:
            try:
                done = subprocess.run(
                    [sys.executable, "-I", str(program), *arguments],
                    cwd=folder,
                    stdin=theirs,
                    pass_fds=[leaked],
                    capture_output=True,
                    timeout=SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return ""
            finally:
                for descriptor in (ours, theirs, leaked):
                    os.close(descriptor)
        return done.stdout.decode("utf-8", "replace").strip()

    return await asyncio.to_thread(run)
