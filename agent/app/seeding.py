"""What of a repository goes into a sandbox and how work comes home, as the settings say."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from agent.config import Settings, size_of
from agent.core.events import SessionStarted
from agent.git.packing import Packing
from agent.git.repository import Identity, Repository
from agent.git.rules import Rules
from agent.git.sync import Sync


def sync_of(
    repository: Repository,
    settings: Settings,
    started: SessionStarted,
    packing: Packing | None = None,
) -> Sync:
    return Sync(
        repository,
        rules=dataclasses.replace(rules_of(settings), base=started.base),
        name=started.id,
        branch=f"glovebox/{started.number}",
        author=_author(settings),
        shared=packing,
    )


def _author(settings: Settings) -> Identity | None:
    """Who commits are by, when that is not the user."""
    name, _, mail = settings.commit_author.partition(" <")
    return Identity(name, mail.removesuffix(">")) if name else None


def trailer_of(settings: Settings) -> Mapping[str, str]:
    """What commits say besides whose they are."""
    name, _, value = settings.commit_trailer.partition(": ")
    return {name: value} if name else {}


def rules_of(settings: Settings) -> Rules:
    """What of the repository goes in, as the user set it."""
    commits = {"auto": None, "all": 0}
    history = settings.history
    return Rules(
        history=commits[history] if isinstance(history, str) else history,
        uncommitted=settings.uncommitted,
        file_max=size_of(settings.largest_file),
        secrets=settings.not_secret,
    )
