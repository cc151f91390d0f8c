"""What runs in a session's sandbox, for people: jobs, ports, a link to one."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from agent.core.errors import SandboxError, ToolboxError, UserError
from agent.core.text import one_line
from agent.tools.base import ToolContext

WAIT_SECONDS = 30.0


class Listener(msgspec.Struct, frozen=True):
    """A port that something listens on; `program` is its command line, where it is known."""

    port: int
    program: str = ""


class Shown(msgspec.Struct, frozen=True):
    """Where a port can be opened on this machine, and what it says to an HTTP request."""

    port: int
    url: str
    says: str = ""
    expires_at: float | None = None


class Running(msgspec.Struct, frozen=True):
    """A job, and how it is: running, ended with an exit code, or lost with its sandbox."""

    name: str
    state: str
    command: str
    exit_code: int | None = None


class Ended(msgspec.Struct, frozen=True):
    """How a job is that was told to end."""

    state: str
    exit_code: int | None = None


class _Jobs(msgspec.Struct, frozen=True):
    jobs: tuple[Running, ...]


class _Ports(msgspec.Struct, frozen=True):
    ports: tuple[Listener, ...]


class _Port(msgspec.Struct, frozen=True):
    answers: bool
    says: str = ""
    ports: tuple[Listener, ...] = ()


_T = TypeVar("_T", bound=msgspec.Struct)


async def jobs(context: ToolContext) -> tuple[Running, ...]:
    """All jobs, the newest first. Raises `SandboxError`, `ToolboxError`."""
    return _as(_Jobs, "job_list", await context.sandbox.toolbox.call("job_list")).jobs


async def kill(context: ToolContext, name: str) -> Ended:
    """End a job. Raises `SandboxError`, `ToolboxError`, and `UserError` when there is none."""
    raw = await context.sandbox.toolbox.call("job_kill", name=name)
    if raw.get("ok") is not True:
        raise UserError(f"there is no job `{one_line(name)}`", "`/jobs` lists them")
    return _as(Ended, "job_kill", raw)


async def listening(context: ToolContext) -> tuple[Listener, ...]:
    """What can be shown. Raises `SandboxError`, `ToolboxError`."""
    return _as(_Ports, "ports", await context.sandbox.toolbox.call("ports")).ports


async def shown(context: ToolContext, port: int, seconds: float = WAIT_SECONDS) -> Shown:
    """Wait until `port` answers, and make it reachable. Raises `SandboxError` when it does not."""
    raw = await context.sandbox.toolbox.call("port", port=port, seconds=seconds)
    answer = _as(_Port, "port", raw)
    if not answer.answers:
        others = ", ".join(str(one.port) for one in answer.ports) or "none"
        raise SandboxError(
            f"nothing answers at port {port} in the sandbox", f"ports that do: {others}"
        )
    endpoint = await context.sandbox.expose(port)
    return Shown(port, endpoint.url, answer.says, endpoint.expires_at)


def _as(kind: type[_T], op: str, raw: object) -> _T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ToolboxError(f"the toolbox answered `{op}` with something else: {error}") from error
