"""What Daytona can enforce of a network policy, and the proof from inside that it does.

Its own default is open egress, and an organisation's tier may overrule what is asked for. So the
settings are always sent, compared with what the service says it applies, and then tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.core.errors import SandboxUnavailable
from agent.sandbox.protocol import SandboxSpec

DOMAINS_MAX = 10
NOT_LISTED = (("1.1.1.1", 443), ("8.8.8.8", 53), ("9.9.9.9", 443), ("2606:4700:4700::1111", 443))
"""Public addresses that no policy but `open` lets through."""
REACH_SECONDS = 2.0
_ELSEWHERE = "choose `--network none` or `--network open`, or another sandbox"


def settings(spec: SandboxSpec) -> Mapping[str, Any]:
    """The policy in the service's words. Raises `SandboxUnavailable` for what it has none for."""
    hosts = spec.hosts
    match spec.network:
        case "none":
            return {"network_block_all": True}
        case "open":
            return {"network_block_all": False}
        case "list" | "registries" if not hosts:
            return {"network_block_all": True}
        case "list" | "registries" if len(hosts) <= DOMAINS_MAX:
            return {"network_block_all": False, "domain_allow_list": ",".join(map(_domain, hosts))}
        case "list" | "registries":
            raise SandboxUnavailable(
                f"Daytona allows at most {DOMAINS_MAX} hosts, and the network policy"
                f" `{spec.network}` has {len(hosts)}",
                _ELSEWHERE,
            )
        case _:
            raise SandboxUnavailable(
                f"Daytona cannot enforce the network policy `{spec.network}`", _ELSEWHERE
            )


def in_words(spec: SandboxSpec) -> str:
    """What the model and a person are told of the network."""
    match spec.network:
        case "none":
            return "none; nothing outside can be reached, so nothing can be downloaded"
        case "open":
            return "open; every public host"
        case kind:
            return f"{kind}; these hosts over HTTP and no others: {', '.join(spec.hosts)}"


def _domain(entry: str) -> str:
    # A host that may also lie at a mirror's address is by that name alone over there.
    host = entry.removesuffix("=mirror")
    name = host.removeprefix("*.").removeprefix(".")
    if set(name) & set(":/=,[] ") or not all(p for p in name.split(".")) or not name.isascii():
        raise SandboxUnavailable(f"Daytona cannot enforce a rule for `{entry}`", _ELSEWHERE)
    return host if not host.startswith(".") else f"*{host}"


def require_applied(asked: Mapping[str, Any], applied: Mapping[str, Any]) -> None:
    """Raise `SandboxUnavailable` unless the service says that it applies what was asked for."""
    for name, value in asked.items():
        if (applied.get(name) or "") != (value or ""):
            raise SandboxUnavailable(
                f"this Daytona service does not apply the network policy: {name} is"
                f" {applied.get(name)!r}, not {value!r}",
                "your organisation's tier may forbid it; " + _ELSEWHERE,
            )


def require_closed(reached: list[str]) -> None:
    """Judge what could be reached from inside under any policy but `open`."""
    if reached:
        raise SandboxUnavailable(
            f"the Daytona sandbox reaches {', '.join(reached)} although its network is closed",
            "your organisation's policy may overrule the setting; " + _ELSEWHERE,
        )
