"""What a session's sandbox is made of and may reach, as the settings of its user say."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from agent.app.options import Options
from agent.config import DEFAULT_NETWORK, Settings, narrower, servers_of, size_of
from agent.core.errors import UserError
from agent.core.events import Notice, SessionStarted
from agent.core.limits import EGRESS_AUDIT_MAX_BYTES
from agent.host import env, files
from agent.host.owner import owner_id
from agent.sandbox.auto import AUTO, choose
from agent.sandbox.egress import registries
from agent.sandbox.egress.gate import Gate
from agent.sandbox.egress.policy import policy_of
from agent.sandbox.egress.roads import Roads
from agent.sandbox.egress.upstream import upstreams_of
from agent.sandbox.protocol import Backend, Limits, SandboxSpec
from agent.session.session import Session

AUDIT_FILE = "network.jsonl"
OWNER = "glovebox.owner"
SERVERS = "GLOVEBOX_SERVERS"
"""The variable with the commands of language servers, read by the toolbox."""


async def backend_of(options: Options, state: Path) -> tuple[str, Notice | None]:
    """The backend a new session gets and keeps, and what there is to say about it."""
    settings = options.settings
    if settings.sandbox != AUTO:
        return settings.sandbox, None
    labels = {OWNER: owner_id(state)}
    spec = SandboxSpec(
        session="trial",
        network=settings.network or "",
        labels=labels,
        image=settings.image,
        engine=settings.engine,
    )
    choice = await choose(spec, env.sandbox_dir(options.state), options.state)
    return choice.backend, choice.notice()


def network_of(settings: Settings, backend: Backend) -> tuple[str, Notice | None]:
    """The policy of a new session: what was chosen, or the default where the backend has it.

    Raises `UserError` for a host to allow that cannot be read.
    """
    policy_of("list", settings.allow_hosts)
    if settings.network is not None or DEFAULT_NETWORK in backend.capabilities.policies:
        return settings.network or DEFAULT_NETWORK, None
    text = f"the network is none: the sandbox `{backend.name}` has no policy `{DEFAULT_NETWORK}`"
    return "none", Notice("warning", text, "nothing can be downloaded inside")


def limits_of(settings: Settings, backend: Backend) -> Limits:
    """What the sandbox may use. Raises `UserError` for a limit that `backend` cannot keep."""
    wanted = settings.limits
    limits = Limits(
        memory_bytes=size_of(wanted.memory),
        processes=wanted.processes,
        open_files=wanted.open_files,
        disk_bytes=size_of(wanted.disk),
        files=wanted.files,
        cpus=wanted.cpus,
    )
    named = {name for name, value in dataclasses.asdict(limits).items() if value}
    # Asking a backend what it can do may take a moment.
    if named and (missing := sorted(named - set(backend.capabilities.limits))):
        words = ", ".join(name.removesuffix("_bytes") for name in missing)
        raise UserError(
            f"the sandbox `{backend.name}` cannot limit {words} here",
            "take that out of `limits` in your configuration; `glovebox doctor` says what can be "
            "limited",
        )
    return limits


def environment_of(settings: Settings) -> Mapping[str, str]:
    """What a person's settings add to what is visible inside."""
    if not settings.servers:
        return {}
    return {SERVERS: json.dumps(servers_of(settings.servers))}


def labels_of(started: SessionStarted, owner: str) -> Mapping[str, str]:
    return {"glovebox.session": started.id, "glovebox.project": started.project, OWNER: owner}


def gated(
    spec: SandboxSpec, settings: Settings, session: Session, audit: Path, *, asks: bool
) -> SandboxSpec:
    """`spec` with its network: chosen at the start; settings of today may narrow it, hosts add."""
    state = session.state
    assert state.started is not None
    network = narrower(state.started.network, settings.network or state.started.network)
    if network == "none":
        return spec
    known = registries.read()
    named = (*settings.allow_hosts, *state.allowed_hosts)
    hosts = (*known.hosts, *named) if network == "registries" else named
    upstreams, problems = upstreams_of(env.variables())
    gate = Gate(
        policy_of(network, hosts),
        inside=known.inside,
        emit=session.emit,
        asks=asks,
        audit=audit,
        roads=lambda: Roads(upstreams=upstreams),
    )
    for problem in problems:
        session.emit(Notice("warning", f"your proxy is not used: {problem}"))
    return dataclasses.replace(spec, network=network, hosts=hosts, gate=gate)


@dataclasses.dataclass(slots=True)
class Reached:
    """What came of a sandbox's wish to reach a host: how often what, and why not the last time."""

    host: str
    counts: Counter[str] = dataclasses.field(default_factory=Counter[str])
    why: str = ""


def reached(folder: Path) -> list[Reached]:
    """What programs in the sandbox of the session in `folder` wanted to reach, the newest last."""
    place = folder / AUDIT_FILE
    text = files.read_text(place, limit=2 * EGRESS_AUDIT_MAX_BYTES) if files.exists(place) else ""
    found: dict[str, Reached] = {}
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            host, verdict = f"{entry['host']}:{entry['port']}", str(entry["verdict"])
        except (ValueError, KeyError, TypeError):
            continue  # it is full, or was being written
        known = found.pop(host, Reached(host))
        known.counts[verdict] += 1
        known.why = "" if verdict == "allowed" else str(entry.get("why", ""))
        found[host] = known
    return list(found.values())


def explain_network(settings: Settings) -> tuple[str, ...]:
    """What the network policy in force allows, line by line, and where each line is from."""
    network = settings.network or DEFAULT_NETWORK
    lines = [f"{network}" + ("" if settings.network else " (the default)")]
    if network == "registries":
        found = [(f.entry.partition("=")[0], name, f.source) for name, f in registries.read().found]
        lines += [f"  {host:<32} {name:<6} {source}" for host, name, source in found]
    if network != "none":
        lines += [f"  {host:<32} allowed by you" for host in settings.allow_hosts]
    if network == "open":
        lines.append("  every public host, ports 80 and 443")
    return tuple(lines)
