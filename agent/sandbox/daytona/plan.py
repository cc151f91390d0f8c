"""What a sandbox of ours is at Daytona: its name, labels, size, and the net below it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from agent.core.errors import SandboxError
from agent.sandbox.daytona import network
from agent.sandbox.daytona.account import Account
from agent.sandbox.daytona.sdk import Plan
from agent.sandbox.protocol import Limits, SandboxSpec

MADE_BY = {"created-by": "glovebox"}
SESSION, MAKING = "glovebox.session", "glovebox.making"
SNAPSHOT = "snapshot:"
FORK_SECONDS = 300.0

AUTO_STOP_MINUTES = 30
AUTO_ARCHIVE_MINUTES = 24 * 60
AUTO_DELETE_MINUTES = 14 * 24 * 60
GIBIBYTE = 2**30
LEAST = {"cpu": 1, "memory": 1, "disk": 3}


def plan_of(spec: SandboxSpec, account: Account) -> Plan:
    """The plan for `spec`. `image` is a container image, or `snapshot:NAME` of the account."""
    if not spec.session.isalnum() or not spec.session.isascii():
        raise SandboxError(f"`{spec.session}` cannot name a sandbox")
    from_snapshot = not spec.image or spec.image.startswith(SNAPSHOT)
    return Plan(
        name=f"glovebox-{spec.session}",
        labels={
            **spec.labels,
            **MADE_BY,
            SESSION: spec.session,
            # Tells one that we made, when its answer got lost, from one that was there before.
            MAKING: secrets.token_hex(8),
        },
        auto_stop=AUTO_STOP_MINUTES,
        auto_archive=AUTO_ARCHIVE_MINUTES,
        auto_delete=AUTO_DELETE_MINUTES,
        image="" if from_snapshot else spec.image,
        snapshot=(spec.image.removeprefix(SNAPSHOT) or account.snapshot) if from_snapshot else "",
        resources={} if from_snapshot else _resources(spec.limits),
        network=network.settings(spec),
    )


def _resources(wanted: Limits) -> Mapping[str, int]:
    """Whole processors and gibibytes, rounded up; what is not said is the service's default."""
    sizes = {
        "cpu": wanted.cpus,
        "memory": wanted.memory_bytes / GIBIBYTE,
        "disk": wanted.disk_bytes / GIBIBYTE,
    }
    return {name: max(LEAST[name], -int(-size // 1)) for name, size in sizes.items() if size}
