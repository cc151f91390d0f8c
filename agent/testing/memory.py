"""A sandbox in memory: files are a dictionary, programs are functions a test gives it.

For tests of what lies above the sandbox room, many at once and without a kernel. It has no shell
and no isolation, and runs nothing: what it claims of the port it is held to by
`contracts.SANDBOX`, those promises that need no shell.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agent.core.errors import SandboxError, SandboxLost, ToolboxError
from agent.core.limits import LIVE_MAX_BYTES, OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES
from agent.sandbox.protocol import (
    Capabilities,
    Endpoint,
    ExecResult,
    Facts,
    OnOutput,
    Program,
    SandboxSpec,
    Sink,
    Size,
)

WORKDIR = "/workspace"
_PIECE = 65536


@dataclass(slots=True)
class Run:
    """A program's view of its run: what it was given, the files, and where it writes."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    stdin: bytes
    files: dict[str, bytes]
    write: Callable[[bytes], None]


Function = Callable[[Run], Awaitable[int]]
"""A program: returns its exit code, ends early when it is cancelled."""


@dataclass(slots=True)
class _Machine:
    """What outlives `close`: the files and labels of one sandbox."""

    labels: dict[str, str]
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])


class MemoryToolbox:
    """`read`, `write` and `edit` as far as a test of the loop needs them."""

    def __init__(self, sandbox: MemorySandbox) -> None:
        self._sandbox = sandbox

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        files = self._sandbox.open_files()
        path = self._sandbox.path(arguments.get("path", "."))
        if op == "write":
            files[path] = arguments["text"].encode()
            size = {"lines": arguments["text"].count("\n"), "bytes": len(files[path])}
            return _changed(files, path) | {"created": True} | size
        if op not in ("read", "edit"):
            raise ToolboxError(f"the sandbox in memory has no operation `{op}`")
        if path not in files:
            return {"ok": False, "reason": "absent", "path": path, "nearest": []}
        text = files[path].decode()
        return self._edit(files, path, text, arguments) if op == "edit" else _read(path, text)

    def _edit(
        self, files: dict[str, bytes], path: str, text: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        old, new = arguments["old"], arguments["new"]
        found = text.count(old)
        if found == 0:
            return {"ok": False, "reason": "not_found", "path": path, "nearest": []}
        if found > 1 and not arguments.get("all"):
            return {"ok": False, "reason": "ambiguous", "path": path, "count": found, "lines": []}
        files[path] = text.replace(old, new).encode()
        first = text[: text.index(old)].count("\n") + 1
        place = {"first": first, "last": first + new.count("\n"), "text": new}
        return _changed(files, path) | {"replaced": found} | place


def _changed(files: Mapping[str, bytes], path: str) -> dict[str, Any]:
    return {"ok": True, "path": path, "hash": _hash(files[path]), "diff": ""}


def _read(path: str, text: str) -> dict[str, Any]:
    lines = text.splitlines()
    return {
        "ok": True, "path": path, "hash": _hash(text.encode()), "size": len(text),
        "text": "\n".join(lines), "first": 1, "last": len(lines), "total": len(lines),
        "encoding": "utf-8", "newline": "\n", "bom": False, "cut": "", "long_lines": [],
    }  # fmt: skip


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class MemorySandbox:
    """See `protocol.Sandbox`; ports and terminals are refused."""

    def __init__(
        self,
        ref: str,
        machine: _Machine,
        programs: Mapping[str, Function],
        environment: Mapping[str, str],
    ) -> None:
        self.ref = ref
        self.workdir = WORKDIR
        self.toolbox = MemoryToolbox(self)
        self._machine = machine
        self._programs = programs
        self._environment = dict(environment)
        self._closed = False

    def open_files(self) -> dict[str, bytes]:
        """The files by absolute path. Raises `SandboxLost` when it is closed."""
        if self._closed:
            raise SandboxLost(f"the sandbox `{self.ref}` is closed")
        return self._machine.files

    def path(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(WORKDIR, path))

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
        files, output = self.open_files(), bytearray()

        def write(data: bytes) -> None:
            live = data[: max(0, LIVE_MAX_BYTES - len(output))]
            output.extend(data)
            if on_output is not None and live:
                on_output(live)

        program = self._programs.get(argv[0])
        if program is None:
            return ExecResult(127, f"{argv[0]}: not found\n".encode())
        given = self._environment | dict(env or {})
        run = Run(tuple(argv), given, self.path(cwd or "."), stdin, files, write)
        code: int | None = None
        try:
            async with asyncio.timeout(seconds):
                code = await program(run)
        except TimeoutError:
            code = None
        return self._result(code, bytes(output), log)

    def _result(self, code: int | None, output: bytes, log: str) -> ExecResult:
        dropped = max(0, len(output) - OUTPUT_HEAD_BYTES - OUTPUT_TAIL_BYTES)
        if dropped and log:
            self._machine.files[self.path(log)] = output
        kept = output
        if dropped:
            kept = output[:OUTPUT_HEAD_BYTES] + output[-OUTPUT_TAIL_BYTES:]
        return ExecResult(code, kept, dropped, code is None, 0.0, log if dropped else "")

    @asynccontextmanager
    async def interact(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        terminal: Size | None = None,
    ) -> AsyncGenerator[Program]:
        raise SandboxError("the sandbox in memory holds no running programs")
        yield  # what makes this a generator

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        whole = data if isinstance(data, bytes) else b"".join(data)
        self.open_files()[self.path(path)] = whole

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        data = self.open_files().get(self.path(path))
        if data is None or len(data) > limit:
            raise SandboxError(f"`{path}` is absent or larger than {limit} bytes")
        if sink is None:
            return data
        for at in range(0, len(data), _PIECE):
            sink(data[at : at + _PIECE])
        return b""

    async def expose(self, port: int) -> Endpoint:
        raise SandboxError("the sandbox in memory has no ports")

    async def close(self) -> None:
        self._closed = True


class MemoryBackend:
    """Sandboxes that live as long as this object; `programs` is what can be run in them."""

    name = "memory"
    capabilities = Capabilities(notes=("runs only functions a test gives it",))

    def __init__(self, programs: Mapping[str, Function] | None = None) -> None:
        self._programs = {**PROGRAMS, **(programs or {})}
        self._machines: dict[str, _Machine] = {}
        self._open: dict[str, MemorySandbox] = {}

    def facts(self, spec: SandboxSpec) -> Facts:
        return Facts("memory", WORKDIR, "none", spec.network, tuple(self._programs))

    async def create(self, spec: SandboxSpec) -> MemorySandbox:
        ref = f"memory:{spec.session}"
        if ref in self._machines:
            raise SandboxError(f"there is already a sandbox named `{spec.session}`")
        self._machines[ref] = _Machine(dict(spec.labels))
        return await self.attach(ref, spec)

    async def attach(self, ref: str, spec: SandboxSpec) -> MemorySandbox:
        if ref not in self._machines:
            raise SandboxLost(f"the files of `{ref}` are gone")
        if ref in self._open:
            await self._open[ref].close()
        sandbox = MemorySandbox(ref, self._machines[ref], self._programs, spec.environment)
        self._open[ref] = sandbox
        return sandbox

    async def find(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        wanted = labels.items()
        return tuple(r for r, m in self._machines.items() if wanted <= m.labels.items())

    async def destroy(self, ref: str) -> None:
        if ref in self._open:
            await self._open.pop(ref).close()
        self._machines.pop(ref, None)


async def _true(run: Run) -> int:
    return 0


async def _cat(run: Run) -> int:
    run.write(run.stdin)
    return 0


async def _env(run: Run) -> int:
    run.write(b"".join(f"{k}={v}\0".encode() for k, v in run.env.items()))
    return 0


async def _seq(run: Run) -> int:
    for n in range(int(run.argv[1]), int(run.argv[2]) + 1):
        run.write(b"%d\n" % n)
        await asyncio.sleep(0)
    return 0


async def _sha256sum(run: Run) -> int:
    run.write(f"{_hash(run.stdin)}  -\n".encode())
    return 0


async def _sleep(run: Run) -> int:
    await asyncio.sleep(float(run.argv[1]))
    return 0


PROGRAMS: Mapping[str, Function] = {
    "true": _true,
    "cat": _cat,
    "env": _env,
    "seq": _seq,
    "sha256sum": _sha256sum,
    "sleep": _sleep,
}
"""What every sandbox in memory can run."""
