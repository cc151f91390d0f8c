"""The two ports of this room: `Sandbox`, a machine in use, and `Backend`, where machines come from.

Nothing above this room can tell which backend it has. Paths are paths *inside*, POSIX, absolute or
relative to `workdir`. All byte counts are bytes, all times seconds.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

OnOutput = Callable[[bytes], None]
Sink = Callable[[bytes], None]

POLICIES = ("none", "list", "registries", "open")
"""What a sandbox may reach: nothing, hosts that were named, those of the user's package managers
besides, or every public host."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a program ended.

    `exit_code` is None when it was killed at its deadline, negative for death by a signal.
    `output` is stdout and stderr as they came, cut to head and tail; `dropped` counts the bytes cut
    from the middle; `log` is the path inside of the whole output when some was cut.
    """

    exit_code: int | None
    output: bytes
    dropped: int = 0
    timed_out: bool = False
    seconds: float = 0.0
    log: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a port of the sandbox can be reached from the host."""

    port: int
    url: str
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the prompt may say of a sandbox; known before the sandbox is up."""

    backend: str
    workdir: str
    system: str
    network: str
    programs: tuple[str, ...] = ()


class Gate(Protocol):
    """The way out of one sandbox: a proxy on the host that enforces the network policy.

    A backend opens it before what is inside starts, makes its socket reachable inside, gives the
    toolbox `forwards`, and closes it with the sandbox. Closed, or dead, means no network.
    """

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables with which programs inside find the proxy, registries and certificates."""
        ...

    @property
    def files(self) -> Mapping[str, bytes]:
        """Files that these variables name, by their path inside."""
        ...

    @property
    def forwards(self) -> tuple[int, ...]:
        """Ports of the host's loopback that are offered on the one inside."""
        ...

    def answer(self, identity: str, *, allow: bool, remember: bool) -> bool:
        """A person's answer to `EgressAsked`; False when that question is over."""
        ...

    def allow(self, entry: str) -> None:
        """A person's word that a host may be reached from now on. Raises `UserError`."""
        ...

    async def open(self, socket: str, owner: int | None = None) -> None:
        """Answer at a unix socket, which `owner` alone may use. Raises `SandboxUnavailable`."""
        ...

    async def close(self) -> None:
        """Cut every connection and answer no more. Safe to call twice; `open` may follow."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sandbox may use of its machine; 0 leaves it to the backend."""

    memory_bytes: int = 0
    processes: int = 0
    open_files: int = 0
    disk_bytes: int = 0
    files: int = 0
    cpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do and cannot, said honestly.

    `policies` are the network policies it enforces, `limits` the fields of `Limits`. `notes` is
    text for people.
    """

    policies: tuple[str, ...] = ("none",)
    expose: bool = False
    fork: bool = False
    stop: bool = True
    limits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What to make: `session` is `[a-z0-9]+` and names it; `environment` is all that is visible.

    `network` is one of `POLICIES`, `hosts` what it allows by name, in the form of
    `egress.names.rule_of`. With a `gate` that one decides; a backend makes its own otherwise.
    `image` is what it is made of, `engine` the container engine, where there are such things.
    """

    session: str
    network: str = "none"
    hosts: tuple[str, ...] = ()
    gate: Gate | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    limits: Limits = Limits()
    image: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Size:
    """What a terminal shows at once, in characters."""

    rows: int
    columns: int


Stream = Literal["stdout", "stderr"]


class Program(Protocol):
    """A program that runs, its streams held by whoever started it: whole, in order, uncut."""

    def output(self) -> AsyncGenerator[tuple[Stream, bytes]]:
        """What it prints, until it has ended. It waits while nobody takes what it printed."""
        ...

    @property
    def exit_code(self) -> int | None:
        """Negative for death by a signal; None until `output` has come to its end."""
        ...

    async def send(self, data: bytes) -> None:
        """Write to its stdin; waits while it does not read. What it never reads is dropped."""
        ...

    async def end(self) -> None:
        """End its stdin."""
        ...

    async def resize(self, size: Size) -> None:
        """Tell its terminal how large it is now."""
        ...

    async def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        ...


class Toolbox(Protocol):
    """Our helper inside: files, edits and searches in one trip each."""

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Run one operation inside and return its answer.

        An operation that cannot do what was asked (no such file, ambiguous edit) answers with
        `{"ok": false, "reason": CODE, …}`; that is data for the tool to put in words. Raises
        `ToolboxError` for an unknown operation or a broken answer, `SandboxLost` when it is gone.
        One that waits for something takes an argument `seconds`, and no longer than that.
        """
        ...


class Sandbox(Protocol):
    """A machine in use. Every promise here is a test in the contract suite."""

    @property
    def ref(self) -> str:
        """A string with which the backend finds this sandbox again."""
        ...

    @property
    def workdir(self) -> str:
        """Where the repository is, inside."""
        ...

    @property
    def toolbox(self) -> Toolbox: ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of this one: what it turned out not to have."""
        ...

    @property
    def network(self) -> str:
        """The policy that holds, where it had to become another than was asked for; else ""."""
        ...

    async def exec(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds: float = 120.0,
        on_output: OnOutput | None = None,
        log: str = "",
    ) -> ExecResult:
        """Run a program and wait for it (not for what it leaves running).

        Arguments arrive unchanged. `env` is added to the sandbox's own environment, nothing else
        is visible. At the deadline and on cancellation the process group is killed and the partial
        output kept. `on_output` gets live output, a prefix of the whole. With `log` the whole
        output is written to that path inside when some of it was cut. Raises `SandboxLost`; a
        program that cannot be started is exit code 127 (absent) or 126 (not executable) with the
        reason as output.
        """
        ...

    def interact(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        terminal: Size | None = None,
    ) -> AbstractAsyncContextManager[Program]:
        """Start a program and hold its streams; for people, who need no deadline and no cut.

        With `terminal` it gets one of its own, of that size, and everything comes as stdout.
        Leaving the block ends its process group. A program that cannot be started is exit code 127
        or 126 as for `exec`, the reason on stderr.
        """
        ...

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        """Write a file, creating parents. Raises `SandboxError` when it cannot be written."""
        ...

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        """Read a regular file of at most `limit` bytes; more raises `SandboxError`.

        With `sink` the pieces go there as they arrive and b"" is returned.
        """
        ...

    async def expose(self, port: int) -> Endpoint:
        """Make a port reachable from the host. Raises `SandboxError` where that is impossible."""
        ...

    async def close(self) -> None:
        """Stop it and everything it runs; files stay for `Backend.attach`. Safe to call twice."""
        ...


class Backend(Protocol):
    """Where sandboxes come from. Adding one is a file beside this one and a line in `registry`."""

    name: str

    @property
    def capabilities(self) -> Capabilities:
        """What it can do on this machine. May try things out, so it may take a moment."""
        ...

    def facts(self, spec: SandboxSpec) -> Facts:
        """What the prompt may say, without starting anything."""
        ...

    async def create(self, spec: SandboxSpec) -> Sandbox:
        """Make a new sandbox. Raises `SandboxUnavailable` with the remedy; never falls back."""
        ...

    async def attach(self, ref: str, spec: SandboxSpec) -> Sandbox:
        """Use one that exists, starting it again if it stopped. Raises `SandboxLost` if gone."""
        ...

    async def find(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The refs of all sandboxes, running or not, that carry at least these labels.

        One that `create` was killed in the middle of is among them.
        """
        ...

    async def destroy(self, ref: str) -> None:
        """Free everything `ref` had: processes, files. Nothing to free is not an error."""
        ...


@runtime_checkable
class Forks(Protocol):
    """A backend that can copy a sandbox; it says so in its capabilities."""

    async def fork(self, ref: str, spec: SandboxSpec) -> Sandbox:
        """A copy for another session, memory included. Raises `SandboxError` where it cannot be."""
        ...
