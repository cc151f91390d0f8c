"""A directory that is no git repository: its sessions have one of their own, kept with our state.

Nothing is written into the directory. The repository has no working tree of its own: what is in the
directory is a snapshot at the start of each session, and work comes home as a branch that nobody
sees but `glovebox diff`, `log` and `export`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from agent.core.errors import UserError
from agent.git.repository import NoRepository, Repository, read_config
from agent.host import env, files, system

FOLDER = "plain"
_CONFIG = b"[core]\n\trepositoryFormatVersion = 0\n\tbare = true\n"
# Nobody wrote an ignore file here. These are made by tools, large, and made again in a moment.
GENERATED = (
    *("node_modules/", "bower_components/", ".venv/", "venv/", "__pycache__/", ".pytest_cache/"),
    *(".mypy_cache/", ".ruff_cache/", ".tox/", ".nox/", ".gradle/", ".next/", ".terraform/"),
    *(".DS_Store", "*.pyc", ".cache/"),
)


async def repository_at(start: Path, state: Path) -> Repository:
    """The repository around `start`, or one of our own below `state` for a plain directory.

    Raises `UserError` with the remedy if neither can serve.
    """
    try:
        return await Repository.find(start)
    except NoRepository as error:
        place = Path(system.real_path(str(start)))
        if place in (Path(place.anchor), *(h for home in _homes() for h in (home, *home.parents))):
            raise UserError(
                f"`{start}` is not in a git repository, and too much lies in it to work on a copy",
                error.hint,
            ) from error
        return await _kept(place, state)


def _homes() -> tuple[Path, ...]:
    return (env.home(), Path(system.real_path(str(env.home()))))


async def _kept(root: Path, state: Path) -> Repository:
    name = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    place = state / FOLDER / name
    if not files.exists(place / "HEAD"):
        for folder in ("objects/info", "objects/pack", "refs", "info"):
            files.make_private_dir(place / folder)
        files.write_whole(place / "config", _CONFIG)
        files.write_whole(place / "info" / "exclude", "".join(f"{g}\n" for g in GENERATED).encode())
        files.write_whole(place / "path", f"{root}\n".encode("utf-8", "surrogateescape"))
        files.write_whole(place / "HEAD", b"ref: refs/heads/none\n")  # last: now it is one
    return Repository(
        root=root,
        git_dir=place,
        common_dir=place,
        head="",
        branch="",
        config=await read_config(root),
        plain=True,
    )
