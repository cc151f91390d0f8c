"""A container engine's command line: which one, where it runs, what it can limit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from agent.core.errors import SandboxUnavailable, UserError
from agent.host import env, process, system
from agent.sandbox.docker import calls, troubles

ENGINES = ("docker", "podman")
PLACES = ("/usr/bin", "/usr/local/bin")
LOCAL_ADDRESS = "unix://"

_SECONDS = 120.0
_QUICK_SECONDS = 30.0
_OUTPUT_MAX_BYTES = 4_000_000
# What the command lines need to find their engine. Keys of providers are not among it.
_VARIABLES = (
    *("PATH", "HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
    "SSH_AUTH_SOCK",
)
_UNREACHABLE = ("Cannot connect to the Docker daemon", "connection refused", "error during connect")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where containers run."""

    processor: str
    cpus: int
    memory_bytes: int


class Engine:
    """Runs commands of docker or podman. Raises `SandboxUnavailable` with the remedy."""

    def __init__(self, name: str, program: str, address: str = "") -> None:
        self.name = name
        self._program = [program, *(["--host", address] if address else [])]
        self._address = address
        self._machine: Machine | None = None

    @classmethod
    def find(cls, wanted: str = "") -> Engine:
        """docker, or podman where there is none; `wanted` is the name of one or an address."""
        address = wanted if "://" in wanted else ""
        names = ENGINES if not wanted else ("docker",) if address else (wanted,)
        if not set(names) <= set(ENGINES):
            raise UserError(
                f"there is no container engine `{wanted}`",
                "`engine` takes docker, podman or an address such as ssh://HOST",
            )
        for name in names:
            if program := system.find_program(name, PLACES):
                return cls(name, program, address)
        raise troubles.missing(system.os_release())

    @property
    def is_podman(self) -> bool:
        return self.name == "podman"

    @property
    def remote(self) -> bool:
        """Whether it was told to be one on another machine."""
        return bool(self._address) and not self._address.startswith(LOCAL_ADDRESS)

    def command(self, *arguments: str) -> list[str]:
        """The command line for these arguments."""
        return [*self._program, *arguments]

    def environment(self) -> Mapping[str, str]:
        """What the command line sees of ours."""
        return {name: env.variable(name) for name in _VARIABLES if env.variable(name)}

    async def run(
        self, *arguments: str, stdin: bytes = b"", seconds: float = _SECONDS
    ) -> process.Completed:
        """Run a command and return how it ended."""
        try:
            return await process.run(
                self.command(*arguments),
                env=self.environment(),
                cwd="/",
                stdin=stdin,
                seconds=seconds,
                limit=_OUTPUT_MAX_BYTES,
            )
        except process.ProcessTimeout as error:
            raise SandboxUnavailable(
                f"`{self.name} {arguments[0]}` did not end within {seconds:g} seconds",
                f"see whether `{self.name} info` answers",
            ) from error

    async def do(self, *arguments: str, stdin: bytes = b"", seconds: float = _SECONDS) -> str:
        """Run a command that must succeed; what it printed."""
        done = await self.run(*arguments, stdin=stdin, seconds=seconds)
        if done.exit_code:
            raise self._problem(done.problem)
        return done.text

    async def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """What the engine knows of an image or a container; None when there is no such thing."""
        done = await self.run(kind, "inspect", name, seconds=_QUICK_SECONDS)
        if done.exit_code:
            if "no such" in done.problem.lower() or "not known" in done.problem.lower():
                return None
            raise self._problem(done.problem)
        return _first(_loaded(done.text))

    async def machine(self) -> Machine:
        """The machine it runs on; raises when it is not what was meant or cannot keep limits."""
        if self._machine is None:
            await self._refuse_elsewhere()
            told = _first(_loaded(await self._info()))
            self._machine = _podman(told) if self.is_podman else _docker(told)
        return self._machine

    async def _refuse_elsewhere(self) -> None:
        if self.is_podman or self._address:
            return
        template = "{{.Endpoints.docker.Host}}"
        host = await self.do("context", "inspect", "--format", template, seconds=_QUICK_SECONDS)
        if not host.startswith(LOCAL_ADDRESS):
            raise troubles.remote(host)

    async def _info(self) -> str:
        return await self.do("info", "--format", "{{json .}}", seconds=_QUICK_SECONDS)

    def _problem(self, said: str) -> SandboxUnavailable:
        if any(sign in said for sign in _UNREACHABLE):
            return troubles.not_running(said, system.os_release())
        return troubles.failed(said)


def _docker(told: Mapping[str, Any]) -> Machine:
    if errors := told.get("ServerErrors"):
        said = " ".join(map(str, errors))
        if any(sign in said for sign in _UNREACHABLE):
            raise troubles.not_running(said, system.os_release())
        raise troubles.failed(said)
    for key, what in (("MemoryLimit", "memory"), ("PidsLimit", "the number of processes")):
        if not told.get(key):
            raise troubles.unbounded(what)
    if not any("seccomp" in str(option) for option in told.get("SecurityOptions") or ()):
        raise troubles.failed("seccomp is not among its security options")
    return _machine(told.get("Architecture"), told.get("NCPU"), told.get("MemTotal"))


def _podman(told: Mapping[str, Any]) -> Machine:
    host: dict[str, Any] = told.get("host") or {}
    controllers = host.get("cgroupControllers") or ()
    for key, what in (("memory", "memory"), ("pids", "the number of processes")):
        if key not in controllers:
            raise troubles.unbounded(what)
    if not (host.get("security") or {}).get("seccompEnabled"):
        raise troubles.failed("seccomp is not enabled")
    names = {"amd64": "x86_64", "arm64": "aarch64"}
    return _machine(names.get(host.get("arch", "")), host.get("cpus"), host.get("memTotal"))


def _machine(processor: Any, cpus: Any, memory: Any) -> Machine:
    if processor not in calls.MACHINES:
        raise SandboxUnavailable(
            f"the docker sandbox has no system call filter for `{processor}` processors",
            f"it runs on {' and '.join(calls.MACHINES)}",
        )
    return Machine(processor, int(cpus), int(memory))


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise troubles.failed(
            f"the engine answered with something else than JSON: {text}"
        ) from error


def _first(value: Any) -> dict[str, Any]:
    """The object in an answer, which some versions put in a list."""
    if isinstance(value, list) and value:
        return _first(cast("list[Any]", value)[0])
    if not isinstance(value, dict):
        raise troubles.failed("the engine answered with something else than an object")
    return cast("dict[str, Any]", value)
