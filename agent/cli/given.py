"""What commands are given: flags they share, and what those become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agent import config
from agent.app import Options

FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
NEW = click.Path(resolve_path=True, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
AT = click.option("-C", "at", type=FOLDER, help="The repository in DIR.")


def settings_of(obj: Any, flags: dict[str, Any]) -> config.Settings:
    """The settings for a subcommand: its own flags win over those before its name."""
    directory, general = obj
    merged = general | {key: value for key, value in flags.items() if value is not None}
    return config.load(directory, {key: merged.get(key) for key in config.KEYS})


def options_of(obj: Any, at: Path | None, flags: dict[str, Any], **more: Any) -> Options:
    """What opens a session of the repository in `at`, or in the one named before the subcommand."""
    directory = at or obj[0]
    return Options(directory, settings_of((directory, obj[1]), flags), **more)


def reopened(obj: Any, session: str, at: Path | None) -> Options:
    """What opens a session again for something that needs no model."""
    return options_of(obj, at, {}, resume=session, needs_model=False)
