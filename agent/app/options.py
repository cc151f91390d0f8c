"""What a front end asks for when it wants a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.config import Settings
from agent.git.packing import Packing
from agent.llm.pace import Share
from agent.loop.brakes import Budget
from agent.session.questions import OnAsk


@dataclass(frozen=True, slots=True)
class Options:
    """What a front end asks for.

    `resume` names a session, "" the one used last, None a new one. `state` takes the place of the
    user's own state directory. `model` is one that a session is to go on with, instead of its own.
    Without `needs_model` a session that no model answers is fine.
    `asks` says that a person is there, who answers `EgressAsked` and `UserAsked`; without one the
    model's questions meet `on_ask`. `fork` names a session that the new one starts from, where it
    stands or after its turn `turn`. `base` is a commit, branch or tag that a new session begins at
    instead of what the user has; new ones with the same `packing` begin alike. Sessions with the
    same `tree` share what that may spend. A `child` does a piece of another's work. Programs inside
    see `environment` besides what the settings say. Sessions whose `pace` is a share of one slow
    down together when a provider is asked too much.
    """

    directory: Path
    settings: Settings
    record: Path | None = None
    resume: str | None = None
    state: Path | None = None
    needs_model: bool = True
    model: str | None = None
    asks: bool = False
    on_ask: OnAsk = "deny"
    fork: str | None = None
    turn: int | None = None
    base: str = ""
    packing: Packing | None = None
    tree: Budget | None = None
    child: bool = False
    pace: Share | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
