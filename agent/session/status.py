"""What a badge shows of a session, by its records alone."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.messages import Usage
from agent.session.state import State, SyncState


@dataclass(frozen=True, slots=True)
class Status:
    """A session at this moment; `usage` has the running turn in it."""

    number: int
    model: str
    backend: str
    network: str
    sandbox: str
    branch: str
    sync: SyncState
    problem: str
    usage: Usage


def status_of(state: State) -> Status:
    """That of a session that has begun."""
    started = state.started
    assert started is not None
    return Status(
        number=started.number,
        model=state.model,
        backend=started.sandbox,
        network=state.network or started.network,
        sandbox=state.sandbox,
        branch=state.mirror,
        sync=state.sync,
        problem=state.problem,
        usage=state.used,
    )
