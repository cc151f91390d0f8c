"""This process's environment and where glovebox keeps things."""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.core.errors import UserError
from agent.host.territory import SHARED


def variable(name: str, default: str = "") -> str:
    """The environment variable `name`, or `default` when it is absent or empty."""
    return os.environ.get(name) or default


def variables(prefix: str = "") -> Mapping[str, str]:
    """All environment variables whose name begins with `prefix`."""
    return {k: v for k, v in os.environ.items() if k.startswith(prefix)}


def set_variable(name: str, value: str) -> None:
    """Set `name` for this process and for libraries that read the environment when imported."""
    os.environ[name] = value


def home() -> Path:
    """The user's home directory: `$HOME` if that can be one, else the account database."""
    given = Path(variable("HOME"))
    if given.is_absolute():
        return given
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError as error:
        raise UserError(
            f"there is no home directory for user {os.getuid()}, whom this computer does not know",
            "set HOME to a directory that you may write to",
        ) from error


def _xdg(name: str, fallback: str) -> Path:
    given = variable(name)
    base = Path(given) if given and Path(given).is_absolute() else home() / fallback
    return base / "glovebox"


def state_dir() -> Path:
    """Sessions and journals: `$XDG_STATE_HOME/glovebox`, by default under `~/.local/state`."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def config_dir() -> Path:
    """The user's configuration: `$XDG_CONFIG_HOME/glovebox`, by default under `~/.config`."""
    return _xdg("XDG_CONFIG_HOME", ".config")


def cache_dir() -> Path:
    """What can be made again: `$XDG_CACHE_HOME/glovebox`, by default under `~/.cache`."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def passable(path: Path) -> bool:
    """Whether the user that a local sandbox runs as can pass through `path`.

    That is the user itself; for root it is somebody else, who needs a directory open to all.
    """
    return not is_root() or _open_to_others(path)


def sandbox_dir(state: Path | None = None) -> Path:
    """Where local sandboxes keep their files, for the user's state directory or another `state`.

    An ordinary user's lie in the state directory. Root's sandboxes run as a user id of their own,
    who must be able to pass through every directory above: when the state directory is closed
    to others, as it is below `/root`, they lie under `/var/lib/glovebox`, named after it.
    """
    state = state or state_dir()
    inside = state / "sandboxes"
    if not is_root() or _open_to_others(inside.parent):
        return inside
    return SHARED / hashlib.sha256(os.fsencode(state)).hexdigest()[:16]


def _open_to_others(path: Path) -> bool:
    existing = next(p for p in (path, *path.parents) if p.is_dir())
    # Directories that are still to be made are made private, see `files.make_private_dir`.
    return existing == path and all(
        p.stat().st_mode & stat.S_IXOTH for p in (path, *path.resolve().parents)
    )


def is_root() -> bool:
    """Whether this process runs with user id 0."""
    return os.geteuid() == 0


def stdin_is_piped() -> bool:
    """Whether standard input is a pipe, a socket or a file: something that ends."""
    if sys.stdin is None:
        return False
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def interactive() -> bool:
    """Whether a person sits at both ends: stdin and stdout are terminals."""
    return sys.stdin.isatty() and sys.stdout.isatty()
