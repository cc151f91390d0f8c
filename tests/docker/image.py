"""The image of the tests, made of this machine's own Debian packages: nothing can be pulled.

Named after what is in it, so a second run finds it. `GB_DOCKER_IMAGE` takes the place of it.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.host.files import FileLock

RECIPE = "1"
PACKAGES = (
    "bash", "coreutils", "python3", "git", "grep", "sed", "findutils", "procps", "tar", "gzip",
    "util-linux", "diffutils", "hostname", "base-files", "ca-certificates", "curl",
)  # fmt: skip
NO = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
UNUSED = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale")
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/nonexistent:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/shadow": "root:*:1:0:99999:7:::\n",
}


class NoImage(Exception):
    """Why the image of the tests cannot be made here."""


@functools.cache  # finding out what belongs in it takes longer than starting a container
def image(engine: str) -> str:
    """The name of an image with Python, git and a shell that `engine` has; made when absent."""
    if given := os.environ.get("GB_DOCKER_IMAGE"):
        return given
    packages = _packages()
    tag = f"glovebox-test:{_digest(packages)}"
    lock = FileLock(Path(tempfile.gettempdir()) / f"glovebox-test-image-{os.geteuid()}.lock")
    while not lock.acquire():
        _out(["sleep", "0.2"])
    try:
        if subprocess.run([engine, "image", "inspect", tag], capture_output=True).returncode:
            _import(engine, tag, packages)
    finally:
        lock.release()
    return tag


def _packages() -> list[str]:
    """The packages and all that they need, as installed here."""
    try:
        options = [f"--no-{what}" for what in NO]
        told = _out(["apt-cache", "depends", "--recurse", "--installed", *options, *PACKAGES])
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise NoImage(f"no Debian to make an image of ({error}); set GB_DOCKER_IMAGE") from error
    named = {line for line in told.splitlines() if line[:1].isalnum()}
    have = set(_out(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\\n"]).splitlines())
    return sorted(name for name in named if f"ii  {name}" in have)


def _digest(packages: Iterable[str]) -> str:
    versions = _out(["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *packages])
    return hashlib.sha256(f"{RECIPE}\n{versions}".encode()).hexdigest()[:16]


def _import(engine: str, tag: str, packages: Iterable[str]) -> None:
    with subprocess.Popen(
        [engine, "import", "-", tag], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as importing:
        assert importing.stdin is not None
        with tarfile.open(fileobj=importing.stdin, mode="w|") as archive:
            for path in files_of(packages):
                archive.add(path, path.lstrip("/"), recursive=False, filter=owned_by_root)
            _base(archive)
    if importing.returncode:
        raise NoImage(f"`{engine} import` ended with {importing.returncode}")


def files_of(packages: Iterable[str]) -> Iterator[str]:
    listed = _out(["dpkg-query", "-L", *packages]).splitlines()
    # `/bin/sh` is listed where it was before `/bin` became a link.
    real = {os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p)) for p in listed}
    for path in sorted(real - {"", "/", "/usr/bin/sh"}):
        if os.path.lexists(path) and not path.startswith(UNUSED):
            yield path


def owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _base(archive: tarfile.TarFile) -> None:
    """What packages make while they are installed."""
    for name, text in ACCOUNTS.items():
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(text), 0o600 if name == "etc/shadow" else 0o644
        archive.addfile(member, io.BytesIO(text.encode()))
    shell = tarfile.TarInfo("usr/bin/sh")
    shell.type, shell.linkname = tarfile.SYMTYPE, "bash"
    archive.addfile(shell)


def _out(argv: list[str]) -> str:
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout
