"""Extension modules of Python packages: found in this environment or in wheels, kept in a cache.

What is kept lies in a directory named by the hash of its content. It appears there whole or not at
all, is never written again, and is readable by whoever may pass through the directories above it.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from agent.core.errors import UserError
from agent.host import env, files, process, territory

_DIGITS = 32
_KEPT_SECONDS = 30 * 86_400.0
_STAMPS = "stamps"


def suffix() -> str:
    """The ending of extension modules that are for this very Python: version, processor, libc."""
    return importlib.machinery.EXTENSION_SUFFIXES[0]


def place() -> Path:
    """Where bundles lie: in the user's cache, for root where its sandboxes' users can pass."""
    own = env.cache_dir() / "grammars"
    if env.passable(own):
        files.make_private_dir(own)
        return own
    shared = territory.SHARED / "grammars"
    territory.make_passable(shared)
    return shared


def installed(names: Iterable[str]) -> dict[str, Path]:
    """The extension module `_binding` of each of these packages that this environment has."""
    found: dict[str, Path] = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for entry in sorted(Path(folder).glob("_binding.*.so")):
                found[name] = entry
    return found


def stamped(sources: Mapping[str, Path], stamp: str) -> Path | None:
    """The directory that `keep` made of these very files, if it is still there."""
    with contextlib.suppress(OSError):
        folder = place() / (place() / _STAMPS / _stamp(sources, stamp)).read_text("ascii")
        os.utime(folder)
        return folder
    return None


def keep(sources: Mapping[str, Path], stamp: str) -> Path:
    """A directory with a copy of each file below the name given to it; see the module.

    Raises `UserError` when it cannot be made.
    """
    try:
        root = place()
        contents = {name: path.read_bytes() for name, path in sources.items()}
        folder = _kept(root, contents)
        note = root / _STAMPS / _stamp(sources, stamp)
        files.write_whole(note, folder.name.encode("ascii"))
        _forget_old(root)
    except OSError as error:
        raise UserError(f"grammars cannot be kept in the cache: {error.strerror}") from error
    return folder


def archive(folder: Path) -> bytes:
    """A kept directory as a tar file, compressed. Made once, then read."""
    path = folder.with_name(f"{folder.name}.tar.gz")
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    data = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=data, mode="wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for file in sorted(folder.glob("*/*")):
            member = tarfile.TarInfo(str(file.relative_to(folder)))
            member.size, member.mode = file.stat().st_size, 0o444
            with file.open("rb") as content:
                tar.addfile(member, content)
    files.write_whole(path, data.getvalue())
    return data.getvalue()


def _kept(root: Path, contents: Mapping[str, bytes]) -> Path:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items())}
    folder = root / hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:_DIGITS]
    if folder.is_dir():
        return folder
    new = Path(tempfile.mkdtemp(dir=root, prefix=".new-"))
    try:
        for name, data in contents.items():
            path = new / name
            path.parent.mkdir(exist_ok=True)
            path.parent.chmod(0o755)
            path.write_bytes(data)
            path.chmod(0o444)
        new.chmod(0o755)
        new.rename(folder)
    except OSError:
        files.remove_tree(new)
        if not folder.is_dir():  # somebody else was faster
            raise
    return folder


def _stamp(sources: Mapping[str, Path], stamp: str) -> str:
    parts: list[object] = [stamp]
    for name, path in sorted(sources.items()):
        status = path.stat()
        parts.append([name, os.fspath(path), status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]


def _forget_old(root: Path) -> None:
    """Remove what has not been used for long; whoever still has it bound keeps the files."""
    before = time.time() - _KEPT_SECONDS
    for path in (*root.iterdir(), *(root / _STAMPS).iterdir()):
        if path.name != _STAMPS and path.lstat().st_mtime < before:
            files.remove_tree(path)


# Wheels.


def wheels() -> Path:
    """Where wheels lie that were fetched for other machines than this one."""
    return files.make_private_dir(env.cache_dir() / "wheels")


def unpacked(wheel: Path, digest: str, member: str) -> Path | None:
    """The file `member` of a wheel, beside it; None unless the wheel is there and is that one.

    `member` ends at its first `*`, as extension modules are named by what they were built for.
    """
    target = wheel.with_name(f"{wheel.stem}.{digest[:_DIGITS]}.so")
    if target.is_file():
        return target
    try:
        data = wheel.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            return None
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            start = member.partition("*")[0]
            name = next(n for n in opened.namelist() if n.startswith(start) and n.endswith(".so"))
            files.write_whole(target, opened.read(name))
    except (OSError, StopIteration, zipfile.BadZipFile):
        return None
    return target


async def download(words: Iterable[str], requirements: str, seconds: float) -> str:
    """Have pip fetch these wheels, by hash and nothing but wheels; what went wrong, or "".

    At most one process does at a time, and after a failure nobody for a day.
    """
    folder = wheels()
    lock, failed = files.FileLock(folder / ".lock"), folder / ".failed"
    if time.time() - files.modified(failed) < 86_400:
        return files.read_text(failed)
    if not lock.acquire():
        return "another session is fetching them"
    try:
        with files.temporary_dir() as place_:
            files.write_whole(place_ / "wanted.txt", requirements.encode())
            argv = [
                *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"),
                *("download", "--quiet", "--require-hashes", "--no-deps"),
                *("--only-binary=:all:", "--dest", str(folder), *words),
                *("-r", str(place_ / "wanted.txt")),
            ]
            done = await process.run(argv, env=env.variables(), seconds=seconds)
        said = done.problem[-500:] or "pip failed" if done.exit_code else ""
    except (OSError, process.ProcessTimeout) as error:
        said = str(error)
    finally:
        lock.release()
    if said:
        files.write_whole(failed, said.encode())
    return said
