"""Images without Python: this machine's own Debian, and busybox where that is installed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.host.files import FileLock
from agent.sandbox.docker.plain import PlainContainer
from agent.sandbox.protocol import SandboxSpec
from tests.docker import image as made_of
from tests.docker.engine import docker_backend, docker_spec, program

RECIPE = "2"
GIT = ("git", "base-files", "ca-certificates")
DEBIAN = (
    *GIT, "bash", "dash", "coreutils", "grep", "sed", "findutils", "procps", "util-linux", "mawk",
)  # fmt: skip
LEFT_OUT = ("perl", "python", "libperl", "debconf", "adduser", "passwd", "dpkg", "libpython")
# A program that is called python3, and is too old for us.
OLD = """#!/bin/sh
case "$*" in *"sys.exit(sys.version_info"*) exit 1 ;; esac
echo python 3.6
"""
KINDS = ("debian", "busybox", "old")


@functools.cache
def plain_image(kind: str) -> str:
    """The name of an image of that kind; made when absent."""
    engine, busybox = program(), shutil.which("busybox")
    if kind == "busybox" and busybox is None:
        pytest.skip("busybox is not installed here; type: sudo apt-get install busybox-static")
    packages = _packages(GIT if kind == "busybox" else DEBIAN)
    digest = hashlib.sha256(f"{RECIPE} {kind} {' '.join(packages)}".encode()).hexdigest()[:16]
    tag = f"glovebox-test-plain:{digest}"
    lock = FileLock(Path(tempfile.gettempdir()) / "glovebox-test-plain.lock")
    while not lock.acquire():
        subprocess.run(["sleep", "0.2"], check=True)
    try:
        if subprocess.run([engine, "image", "inspect", tag], capture_output=True).returncode:
            _import(engine, tag, packages, busybox if kind == "busybox" else "", old=kind == "old")
    finally:
        lock.release()
    return tag


def _packages(wanted: tuple[str, ...]) -> list[str]:
    options = [f"--no-{what}" for what in made_of.NO]
    try:
        told = _out("apt-cache", "depends", "--recurse", "--installed", *options, *wanted)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no Debian to make an image of")
    have = set(_out("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\\n").splitlines())
    named = {line for line in told.splitlines() if line[:1].isalnum()}
    kept = (name for name in named if not name.startswith(LEFT_OUT) and f"ii  {name}" in have)
    return sorted(kept)


def _import(engine: str, tag: str, packages: list[str], busybox: str | None, *, old: bool) -> None:
    with subprocess.Popen(
        [engine, "import", "-", tag], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as importing:
        assert importing.stdin is not None
        with tarfile.open(fileobj=importing.stdin, mode="w|") as archive:
            taken: set[str] = set()
            for path in made_of.files_of(packages):
                taken.add(path.lstrip("/"))
                name = path.lstrip("/")
                archive.add(path, name, recursive=False, filter=made_of.owned_by_root)
            for member, data in _more(busybox, old=old):
                if member.name not in taken:
                    archive.addfile(member, io.BytesIO(data))
                taken.add(member.name)
    assert importing.returncode == 0


def _more(busybox: str | None, *, old: bool) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for name, text in made_of.ACCOUNTS.items():
        yield _file(name, text.encode(), 0o644)
    if busybox:
        yield _file("usr/bin/busybox", Path(busybox).read_bytes(), 0o755)
        for applet in _out(busybox, "--list").split():
            yield _link(f"usr/bin/{applet}", "busybox")
    else:
        yield _link("usr/bin/sh", "dash")
    if old:
        yield _file("usr/bin/python3", OLD.encode(), 0o755)


def _file(name: str, data: bytes, mode: int) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    return member, data


def _link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member, b""


def _out(*argv: str) -> str:
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout


def plain_spec(kind: str, network: str = "none") -> SandboxSpec:
    return replace(docker_spec(), image=plain_image(kind), network=network)


@contextlib.asynccontextmanager
async def plain_sandbox(kind: str, network: str = "none") -> AsyncGenerator[PlainContainer]:
    """One running container without Python."""
    with docker_backend() as backend:
        sandbox = await backend.create(plain_spec(kind, network))
        assert isinstance(sandbox, PlainContainer)
        try:
            yield sandbox
        finally:
            await backend.destroy(sandbox.ref)
