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
    files.write_whole(path / "HEAD", b"ref: refs/heads/none\n")
    files.write_whole(path / "config", b"[core]\n\trepositoryFormatVersion = 0\n\tbare = true\n")
    alternates = f"{_quoted(repository.objects)}\n".encode("utf-8", "surrogateescape")
    files.write_whole(path / "objects" / "info" / "alternates", alternates)
    disk.copy_exactly(repository.common_dir / "shallow", path / "shallow")
    return Git(path, settings=settings, fails=fails)


def _quoted(path: Path) -> str:
    # A line of this file that begins with a quote is read as a C string.
    text = str(path)
    if "\n" not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
