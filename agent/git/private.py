"""A repository of our own that borrows the user's objects.

Whatever may not happen in the user's repository happens here: blobs of uncommitted work are written
here, a pack from a sandbox is taken apart here. It has no remote, no hook and no configuration but
what this module writes, so nothing the user configured can react to what is done in it.
"""

from __future__ import annotations

from pathlib import Path

from agent.core.errors import GloveboxError, SyncError
from agent.git.guard import Git, Settings
from agent.git.repository import Repository
from agent.host import disk, files

CARRIED = "refs/glovebox/carried"
"""The ref under which a private repository offers its one commit."""
# Nothing here outlives a crash, so that git need not wait for the disk.
_CONFIG = b"""\
[core]
\trepositoryFormatVersion = 0
\tbare = true
\tfsync = none
\tfsyncObjectFiles = false
"""


def private_repository(
    path: Path,
    repository: Repository,
    *,
    settings: Settings = (),
    fails: type[GloveboxError] = SyncError,
) -> Git:
    """A fresh repository at `path` that sees the user's objects and none of their refs.

    It is cut where theirs is cut, else a shallow clone would look broken from here.
    """
    # By hand, not by `git init`: this is done at every sync, and a process costs more than files.
    for name in ("objects/info", "objects/pack", "refs"):
        files.make_private_dir(path / name)
    files.jot(path / "HEAD", b"ref: refs/heads/none\n")
    files.jot(path / "config", _CONFIG)
    alternates = f"{_quoted(repository.objects)}\n".encode("utf-8", "surrogateescape")
    files.jot(path / "objects" / "info" / "alternates", alternates)
    disk.copy_exactly(repository.common_dir / "shallow", path / "shallow")
    return Git(path, settings=settings, fails=fails)


def offer(git: Git, commit: str) -> None:
    """Have a private repository offer `commit`, which it has."""
    files.make_private_dir((git.git_dir / CARRIED).parent)
    files.jot(git.git_dir / CARRIED, f"{commit}\n".encode())


def _quoted(path: Path) -> str:
    # A line of this file that begins with a quote is read as a C string.
    text = str(path)
    if "\n" not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
