"""What is remembered of a repository, to find its sessions again when its random id is lost.

That id lies in the git directory, so moving, renaming and rewriting keep it and a new clone does
not have it. `<state>/projects/<project>/about` tells where the repository was and some of its
commits: a clone that has one of those has that history.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.core.errors import UserError
from agent.host import files

_MAX_BYTES = 100_000


class About(msgspec.Struct, frozen=True):
    """`path` is where its working tree was, `commits` some of its history, the newest first."""

    path: str
    commits: tuple[str, ...] = ()


def read(root: Path, project: str) -> About | None:
    """What is remembered of `project` below the state directory `root`."""
    place = root / "projects" / project / "about"
    if not files.exists(place):
        return None
    try:
        return msgspec.json.decode(files.read_bytes(place, limit=_MAX_BYTES), type=About)
    except (msgspec.MsgspecError, UserError):
        return None  # it is a help and no truth: the next session writes it again


def write(root: Path, project: str, about: About) -> None:
    path = about.path.encode("utf-8", "replace").decode()
    about = msgspec.structs.replace(about, path=path)
    files.write_whole(root / "projects" / project / "about", msgspec.json.encode(about))
