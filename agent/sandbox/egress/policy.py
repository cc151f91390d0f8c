"""What a sandbox may reach. A policy never changes: a host allowed later makes a new one.

Decided on the canonical name, before any look-up, and by nobody else: whoever uses a `Target`
connects to exactly what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.core.errors import UserError
from agent.sandbox.egress.names import (
    LOCALHOST,
    WEB_PORTS,
    BadName,
    Rule,
    canonical,
    rule_of,
)
from agent.sandbox.protocol import POLICIES, SandboxSpec

_SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class Target:
    """Where a client wants to go: `name` is canonical, or an address that a rule spells out."""

    name: str
    port: int
    literal: bool = False

    def __str__(self) -> str:
        host = f"[{self.name}]" if ":" in self.name else self.name
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Policy:
    """`kind` is one of `POLICIES`; `rules` is what is allowed by name, empty for nothing."""

    kind: str
    rules: tuple[Rule, ...] = ()

    def target(self, host: str, port: int) -> Target:
        """The canonical form of what was asked for. Raises `BadName`."""
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if any(rule.literal and rule.name == bare.lower() for rule in self.rules):
            return Target(bare.lower(), port, literal=True)
        return Target(canonical(host), port)

    def rule(self, target: Target) -> Rule | None:
        """What allows `target`, None when nothing does."""
        for rule in self.rules:
            if rule.literal == target.literal and rule.matches(target.name, target.port):
                return rule
        if self.kind == "open" and not target.literal and target.name != LOCALHOST:
            return Rule(target.name, (target.port,)) if target.port in WEB_PORTS else None
        return None

    @property
    def strict(self) -> bool:
        """Whether what travels must be for the host that was named, and is looked at for that."""
        return self.kind != "open"

    def allowing(self, target: Target) -> Policy:
        """This policy, and `target` as well."""
        return self.having(Rule(target.name, (target.port,)))

    def having(self, rule: Rule) -> Policy:
        """This policy with one more rule."""
        return self if rule in self.rules else replace(self, rules=(*self.rules, rule))


def policy_of(kind: str, entries: Sequence[str]) -> Policy:
    """The policy `kind` with what `entries` allow. Raises `UserError` for what cannot be read."""
    if kind not in POLICIES:
        raise UserError(
            f"there is no network policy `{kind}`", f"choose one of: {', '.join(POLICIES)}"
        )
    return Policy(kind, () if kind == "none" else tuple(rule_of(entry) for entry in entries))


def in_words(spec: SandboxSpec) -> str:
    """What the model and a person are told of a sandbox's network."""
    named = ", ".join(dict.fromkeys(_shown(entry) for entry in spec.hosts))
    if len(named) > _SHOWN_CHARS:
        named = named[:_SHOWN_CHARS].rpartition(", ")[0] + ", …"
    match spec.network:
        case "none":
            return "none; nothing outside can be reached, so nothing can be downloaded"
        case "open":
            return "open; every public host at ports 80 and 443, through the proxy that is set"
        case kind:
            return f"{kind}; through the proxy that is set, these hosts and no others: {named}"


def _shown(entry: str) -> str:
    return entry.partition("=")[0]


def forwarded(policy: Policy) -> tuple[int, ...]:
    """Ports of this machine's loopback that are offered under the same number inside.

    Programs never ask a proxy for `localhost`, so what is allowed there needs a door of its own.
    """
    found = [port for rule in policy.rules if rule.name == LOCALHOST for port in rule.ports]
    return tuple(dict.fromkeys(found))


__all__ = ["BadName", "Policy", "Target", "forwarded", "in_words", "policy_of"]
