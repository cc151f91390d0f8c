"""Files of the host: private by default, written whole or not at all, read with a cap.

What this computer refuses (a full disk, a closed directory, a limit) is raised as `HostError`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import itertools
import os
import secrets
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from agent.core.errors import HostError, UserError
from agent.host.trouble import named, told

PRIVATE_DIR = 0o700
PRIVATE_FILE = 0o600
_PIECE_BYTES = 1_000_000
_LOCK_TRIES, _LOCK_SECONDS = 5, 0.01
OURS = 0o1000  # the sticky bit on a temporary directory of ours; nobody else would set it


def make_private_dir(path: Path) -> Path:
    """Create `path` and its parents; those made here are readable by the user alone."""
    # One by one: `parents=True` would make the parents with whatever mode the umask leaves.
    for folder in (*reversed(path.parents), path):
        with told(folder):
            if not folder.is_dir() and not claim_dir(folder) and not folder.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return path


def claim_dir(path: Path) -> bool:
    """Create `path` if nobody has; True for the one process that did. Parents must exist."""
    try:
        with told(path):
            path.mkdir(mode=PRIVATE_DIR)
    except FileExistsError:
        return False
    return True


def read_text(path: Path, *, limit: int = 10_000_000) -> str:
    """A text file of at most `limit` bytes. Raises `UserError` naming the path and the reason."""
    return read_bytes(path, limit=limit).decode("utf-8", "replace")


def read_bytes(path: Path, *, limit: int = 10_000_000) -> bytes:
    """A file of at most `limit` bytes. Raises `UserError` naming the path and the reason."""
    try:
        with open(path, "rb") as file:
            data = b"".join(_pieces(file, limit + 1))
    except OSError as error:
        refused = named(error, path)
        hint = refused.hint if refused else ""
        raise UserError(f"cannot read `{path}`: {error.strerror}", hint) from error
    if len(data) > limit:
        raise UserError(f"`{path}` is larger than {limit} bytes")
    return data


def _pieces(file: BinaryIO, most: int) -> Iterator[bytes]:
    """What is there, up to `most` bytes; memory is asked for what is there and not for all that."""
    while most and (piece := file.read(min(most, _PIECE_BYTES))):
        yield piece
        most -= len(piece)


def read_head(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file; nothing when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError:
        return b""


def read_from(path: Path, start: int) -> bytes:
    """What a file holds from byte `start` on; nothing when it is absent or shorter."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read()
    except FileNotFoundError:
        return b""


def contains(path: Path, wanted: bytes) -> bool:
    """Whether a file holds `wanted` on one line; a file that cannot be read might."""
    try:
        with open(path, "rb") as file:
            return any(wanted in line for line in file)
    except OSError:
        return True


@contextlib.contextmanager
def written_beside(path: Path, data: bytes) -> Generator[str]:
    """A new file beside `path` with `data`, all of it on the disk, until it takes a name."""
    make_private_dir(path.parent)
    with told(path):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_beside(path))
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            with contextlib.suppress(FileNotFoundError):  # it was renamed
                os.unlink(temporary)


def write_whole(path: Path, data: bytes, *, mode: int = PRIVATE_FILE) -> None:
    """Replace `path` by `data` so that a crash leaves the old or the new content, never a part."""
    with written_beside(path, data) as temporary:
        os.chmod(temporary, mode)
        os.replace(temporary, path)


def jot(path: Path, data: bytes) -> None:
    """Write a file that nobody needs after a crash, which may leave a part of it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with told(path), os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb") as file:
        file.write(data)


def remove_written(path: Path) -> None:
    """Remove a file that `write_whole` made, and what it left when it was killed on the way."""
    path.unlink(missing_ok=True)
    for unfinished in path.parent.glob(glob.escape(_beside(path)) + "*"):
        unfinished.unlink(missing_ok=True)


def _beside(path: Path) -> str:
    return f".{path.name}.new-"


class AppendFile:
    """An append-only file. Each `append` reaches the kernel before it returns; `flush` the disk."""

    def __init__(self, path: Path) -> None:
        make_private_dir(path.parent)
        self._path = path
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with told(path):
            self._fd = os.open(path, flags, PRIVATE_FILE)

    def append(self, data: bytes) -> None:
        """Write all of `data` at the end, or nothing of it where there is no room for it.

        A crash can leave at most a part of the last write.
        """
        view = memoryview(data)
        with told(self._path):
            try:
                while view:
                    view = view[os.write(self._fd, view) :]
            except OSError:
                # What came after a part of it would not be readable.
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - (len(data) - len(view)))
                raise

    @property
    def there(self) -> bool:
        """Whether it still is what lies at its path."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.lstat(self._path), os.fstat(self._fd))
        return False

    def content(self) -> bytes:
        """All of it, also when it was removed."""
        with open(f"/proc/self/fd/{self._fd}", "rb") as file:
            return file.read()

    def flush(self) -> None:
        """Return when everything appended is on the disk."""
        with told(self._path):
            os.fsync(self._fd)

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        with told(self._path):
            os.ftruncate(self._fd, size)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class FileLock:
    """An advisory lock that the kernel drops when its holder dies, kill -9 included."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def acquire(self) -> bool:
        """Take the lock; False when another process holds it.

        One that only looks, see `held`, is over in a moment, and waited for.
        """
        make_private_dir(self._path.parent)
        with told(self._path):
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            for left in reversed(range(_LOCK_TRIES)):
                if _locked(fd, fcntl.LOCK_EX):
                    self._fd = fd
                    return True
                if left:
                    time.sleep(_LOCK_SECONDS)
        finally:
            if self._fd != fd:
                os.close(fd)
        return False

    @property
    def held(self) -> bool:
        """Whether a process has the lock; asking does not take it."""
        try:
            with told(self._path):
                fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that two who look at the same time do not take each other for the holder.
            return not _locked(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def fileno(self) -> int:
        """The descriptor the lock hangs on: a child that inherits it holds the lock as well."""
        return self._fd

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


@contextlib.contextmanager
def temporary_dir(
    prefix: str = "glovebox-", *, shared: bool = False, keep: bool = False
) -> Generator[Path]:
    """A private directory that is gone afterwards, unless `keep`.

    With `shared` others may pass through it (not list it), as a sandbox's own user must. As long
    as this process lives it holds a lock on it: what a killed one left can be told by that.
    """
    root = temporary_root()
    with told(root):
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    lock = _open_directory(str(path))
    fcntl.flock(lock, fcntl.LOCK_EX)
    path.chmod(PRIVATE_DIR | (0o011 if shared else 0) | (0 if keep else OURS))
    try:
        yield path
    finally:
        if not keep:
            remove_tree(path)
        os.close(lock)


def temporary_root() -> str:
    """Where temporary directories go: never where we were started, which is the user's own."""
    named = ("/tmp", "/var/tmp", *(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")))
    with contextlib.suppress(FileNotFoundError):  # none can be written
        root = tempfile.gettempdir()
        if root != os.getcwd() or root in [os.path.abspath(place) for place in named if place]:
            return root
    raise HostError(
        errno.ENOSPC,
        "no temporary directory can be written, neither `/tmp` nor `/var/tmp`",
        "free some space there, or name another directory as TMPDIR",
    )


def remove_tree(path: Path) -> None:
    """Remove a tree whoever made it: links are removed and not followed, modes do not matter.

    Directories found on the way are moved up to the top and emptied there, so that neither the
    stack nor the number of open files grows with the depth. Nothing there is not an error.
    """
    try:
        top = _open_directory(str(path))
    except FileNotFoundError:
        return
    except NotADirectoryError:
        path.unlink()
        return
    try:
        while names := _some_names(top):
            for name, is_directory in names:
                _remove_one(top, name, is_directory)
    finally:
        os.close(top)
    path.rmdir()


def _open_directory(name: str, parent: int | None = None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=parent)


def _some_names(directory: int) -> list[tuple[str, bool]]:
    with os.scandir(directory) as entries:
        some = itertools.islice(entries, 10_000)
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in some]


def _remove_one(top: int, name: str, is_directory: bool) -> None:
    if not is_directory:
        os.unlink(name, dir_fd=top)
        return
    os.chmod(name, PRIVATE_DIR, dir_fd=top)
    directory = _open_directory(name, top)
    try:
        while names := _some_names(directory):
            for inner, inner_is_directory in names:
                _lift_or_unlink(directory, inner, inner_is_directory, top)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=top)


def _lift_or_unlink(directory: int, name: str, is_directory: bool, top: int) -> None:
    if is_directory:
        os.chmod(name, PRIVATE_DIR, dir_fd=directory)  # moving it changes its `..`
        os.rename(name, f".{secrets.token_hex(16)}", src_dir_fd=directory, dst_dir_fd=top)
    else:
        os.unlink(name, dir_fd=directory)


def package_texts(folder: str) -> Mapping[str, str]:
    """The text files of a data folder shipped with glovebox, by path relative to it.

    In a checkout or an editable install the folder lies beside the package, in a wheel inside it.
    """
    package = Path(__file__).resolve().parent.parent
    for root in (package / folder, package.parent / folder):
        if root.is_dir():
            return {
                str(p.relative_to(root)): p.read_text("utf-8")
                for p in sorted(root.rglob("*"))
                if p.is_file() and "__pycache__" not in p.parts
            }
    raise UserError(f"the `{folder}` folder of glovebox is missing", "reinstall glovebox-agent")


def exists(path: Path) -> bool:
    """Whether there is something at `path` (a link that leads nowhere counts as nothing)."""
    with told(path):
        return path.exists()


def children(path: Path) -> list[Path]:
    """What lies in a directory, sorted by name; nothing when it is absent."""
    with told(path):
        return sorted(path.iterdir()) if path.is_dir() else []


def modified(path: Path) -> float:
    """When a file was last written, in seconds since the epoch; 0.0 when it is absent."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def set_modified(path: Path, seconds: float) -> None:
    """Have a file be last written then, in seconds since the epoch."""
    with told(path):
        os.utime(path, (seconds, seconds))


def enclosing(start: Path, name: str) -> Path | None:
    """The nearest directory from `start` upwards that holds an entry called `name`."""
    here = start.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / name).exists()), None)


def move_aside(path: Path) -> None:
    """Give what lies at `path`, if anything does, a name that ends in `.aside`."""
    with contextlib.suppress(FileNotFoundError), told(path):
        os.replace(path, f"{path}.aside")


def remove_file(path: Path) -> None:
    """Remove a file; one that is not there is fine."""
    path.unlink(missing_ok=True)


def matching(folder: Path, pattern: str) -> list[Path]:
    """The files below `folder` that fit a pattern with `*`, sorted; none without the folder."""
    return sorted(folder.glob(pattern)) if folder.is_dir() else []
