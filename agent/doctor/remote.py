"""The sandboxes that are not made here: containers of an engine, machines at Daytona."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.core.errors import SandboxUnavailable, UserError
from agent.doctor.report import Finding, Section, tried
from agent.host import system
from agent.sandbox.auto import trial
from agent.sandbox.daytona import account
from agent.sandbox.docker.engine import ENGINES, PLACES, Engine
from agent.sandbox.protocol import SandboxSpec
from agent.sandbox.registry import open_backend

_REACH_SECONDS = 20.0


async def docker(spec: SandboxSpec, root: Path) -> Section:
    """Client, daemon and permission, then a sandbox as a whole."""
    title = "Sandbox `docker`"
    clients = [name for name in ENGINES if system.find_program(name, PLACES)]
    if not clients and not spec.engine:
        finding = Finding(
            "client",
            "skipped",
            "neither docker nor podman is installed",
            "needed only where the local sandbox cannot be used",
        )
        return Section(title, (finding,), backend="docker")
    client = Finding("client", "ok", ", ".join(clients) or spec.engine)
    engine = await tried("engine", lambda: _engine(spec))
    if engine.state != "ok":
        return Section(title, (client, engine), backend="docker")
    whole = await tried("a sandbox as a whole", lambda: _whole(spec, root))
    usable = whole.state == "ok"
    return Section(title, (client, engine, whole), backend="docker", usable=usable)


async def _engine(spec: SandboxSpec) -> str:
    engine = Engine.find(spec.engine)
    machine = await engine.machine()
    gigabytes = machine.memory_bytes / 1e9
    return f"{engine.name} answers: {machine.processor}, {machine.cpus} cpus, {gigabytes:.1f} GB"


async def _whole(spec: SandboxSpec, root: Path) -> str:
    network = await trial(open_backend("docker", root), spec)
    return f"it starts and holds, with the network `{network}`"


async def daytona(spec: SandboxSpec, root: Path) -> Section:
    """Credentials and whether the service takes them; no machine is made, which would cost."""
    title = "Sandbox `daytona`"
    if not account.configured():
        finding = Finding(
            "credentials", "skipped", "none are configured", "set DAYTONA_API_KEY to use it"
        )
        return Section(title, (finding,), backend="daytona")
    credentials = Finding("credentials", "ok", "there is an API key")
    service = await tried("service", lambda: _service(spec, root))
    usable = service.state == "ok"
    return Section(title, (credentials, service), backend="daytona", usable=usable)


async def _service(spec: SandboxSpec, root: Path) -> str:
    try:
        async with asyncio.timeout(_REACH_SECONDS):
            found = await open_backend("daytona", root).find(spec.labels)
    except TimeoutError:
        raise SandboxUnavailable(
            f"the service did not answer within {_REACH_SECONDS:g} seconds",
            "see whether DAYTONA_API_URL is right and the network is up",
        ) from None
    except ImportError as error:
        raise UserError(
            f"the daytona library is missing ({error})", "`pip install 'glovebox-agent[daytona]'`"
        ) from error
    return f"it takes the credentials; {len(found)} of our machines are there"
