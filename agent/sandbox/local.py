"""Sandboxes on this machine: one long-lived bubblewrap each, with the toolbox resident inside."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from agent.core import limits
from agent.core.errors import GloveboxError, SandboxError, SandboxLost, SandboxUnavailable
from agent.host import files, system, territory, toolchains, usage
from agent.host.env import is_root
from agent.host.handles import Channel, Handed, Hold, Report
from agent.host.launch import Child, launch, settled
from agent.sandbox import bubblewrap, carry, grammars, remedies, seccomp
from agent.sandbox.egress.passage import SOCKET, Passage
from agent.sandbox.egress.policy import in_words
from agent.sandbox.preview import Previews
from agent.sandbox.protocol import (
    POLICIES,
    Capabilities,
    Endpoint,
    ExecResult,
    Facts,
    OnOutput,
    SandboxSpec,
)
from agent.sandbox.ration import MARK, Ration, enforced, notes, sweep
from agent.sandbox.resident import Resident
from agent.sandbox.toolbox import ToolboxClient, bundle
from agent.sandbox.watch import Watch

NAME = "local"
_LABELS, _GROUPS = ".labels", ".groups"
PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
FIRST_USER_ID, USER_IDS = 0x7000_0000, 0x100_0000
LEAST_MAPPED_IDS = 2_000
NESTED = (
    "this kernel does not let bubblewrap forbid user namespaces inside; "
    "the system call filter does so alone"
)
_nested: list[str] = []

# Looked for in what is visible inside, for the model to know what it can count on.
PROGRAMS = (
    "bash", "git", "python3", "pip3", "uv", "node", "npm", "pnpm", "yarn", "bun", "deno", "go",
    "cargo", "rustc", "gcc", "clang", "make", "cmake", "ninja", "java", "javac", "mvn", "gradle",
    "ruby", "bundle", "php", "composer", "perl", "lua", "julia", "dotnet", "swift", "ghc", "rg",
    "fd", "jq", "curl", "wget", "sqlite3", "psql", "zip", "unzip", "patch", "gdb", "strace",
)  # fmt: skip


class LocalSandbox(Resident):
    """One running bubblewrap; see `protocol.Sandbox` for what it promises."""

    def __init__(self, ref: str, process: _Process, toolbox: ToolboxClient) -> None:
        super().__init__(ref, bubblewrap.WORKDIR, toolbox)
        self._process = process

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
        watch = self._process.watch
        watch.stir()
        await watch.calm()
        before = watch.stops
        result = await super().exec(
            argv, cwd=cwd, env=env, stdin=stdin, seconds=seconds, on_output=on_output, log=log
        )
        if watch.stops == before:
            return result
        await watch.calm()
        return replace(result, output=result.output + watch.reason.encode())

    async def expose(self, port: int) -> Endpoint:
        return await self._process.previews.expose(port)

    async def close(self) -> None:
        await asyncio.shield(self._process.end(self._toolbox))


class LocalBackend:
    """Makes local sandboxes whose files lie under `root`; see `protocol.Backend`."""

    name = NAME

    def __init__(self, root: Path) -> None:
        self._root = root
        self._running: dict[str, LocalSandbox] = {}
        # Each start holds many descriptors, and has a deadline that waiting must not use up.
        self._starting = asyncio.Semaphore(limits.SANDBOX_STARTS_MAX)

    @property
    def capabilities(self) -> Capabilities:
        said = (*notes(), *carry.notes(), *grammars.notes(), *([NESTED] if _nested else []))
        return Capabilities(policies=POLICIES, expose=True, limits=enforced(), notes=said)

    def facts(self, spec: SandboxSpec) -> Facts:
        return Facts(
            backend=NAME,
            workdir=bubblewrap.WORKDIR,
            system=system.os_release().get("PRETTY_NAME", "Linux"),
            network=in_words(spec),
            programs=tuple(name for name in PROGRAMS if _visible(name)),
        )

    async def create(self, spec: SandboxSpec) -> LocalSandbox:
        starter = _Starter(spec)
        place = self._place(spec.session)
        if starter.for_root:
            territory.make_passable(self._root)
        else:
            files.make_private_dir(self._root)
        # Before the first directory: whoever is killed from here on leaves something `find` finds.
        files.write_whole(self._labels(spec.session), msgspec.json.encode(dict(spec.labels)))
        if not territory.claim(place, tuple(bubblewrap.DIRECTORIES), starter.owner):
            raise SandboxError(f"there is already a sandbox named `{spec.session}`")
        try:
            return await self._start(starter, place)
        except BaseException:
            files.remove_tree(place)
            files.remove_written(self._labels(spec.session))
            raise

    async def attach(self, ref: str, spec: SandboxSpec) -> LocalSandbox:
        session = _session(ref)
        if session != spec.session:
            raise SandboxError(f"`{ref}` is not the sandbox of session `{spec.session}`")
        if ref in self._running:
            await self._running.pop(ref).close()
        starter = _Starter(spec)
        place = self._place(session)
        if not territory.check(place, tuple(bubblewrap.DIRECTORIES), starter.owner):
            raise SandboxLost(
                f"the files of `{ref}` are gone",
                "`--fork` with its number goes on with the conversation and with what came home",
            )
        return await self._start(starter, place)

    async def find(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        found: list[str] = []
        for path in files.children(self._root):
            if path.suffix != _LABELS:
                continue
            carried = msgspec.json.decode(files.read_bytes(path), type=dict[str, str])
            if labels.items() <= carried.items():
                found.append(f"{NAME}:{path.stem}")
        return tuple(found)

    async def destroy(self, ref: str) -> None:
        place = self._place(_session(ref))
        if ref in self._running:
            await self._running.pop(ref).close()
        await asyncio.to_thread(sweep, place.name, place.with_suffix(_GROUPS))
        await asyncio.to_thread(files.remove_tree, place)
        files.remove_written(self._labels(_session(ref)))

    async def _start(self, starter: _Starter, place: Path) -> LocalSandbox:
        ref = f"{NAME}:{place.name}"
        _require_room(place)
        async with self._starting:
            sandbox = LocalSandbox(ref, *await starter.start(place))
            sandbox.notes = starter.notes
        self._running[ref] = sandbox
        return sandbox

    def _labels(self, session: str) -> Path:
        return self._place(session).with_suffix(_LABELS)

    def _place(self, session: str) -> Path:
        # The name becomes a path: nothing but what we gave out ourselves may pass.
        if not re.fullmatch(r"[a-z0-9]+", session):
            raise SandboxError(f"`{session}` cannot name a sandbox")
        return self._root / session


def _require_room(place: Path) -> None:
    """Refuse to start where the watch would end whatever is run."""
    left, least = usage.free(place).bytes, limits.SANDBOX_DISK_RESERVE_BYTES
    if left < least:
        raise SandboxUnavailable(
            f"the disk with `{place.parent}` is nearly full: {left / 1e6:.0f} MB are left,"
            f" a sandbox needs {least / 1e6:.0f} MB",
            "free some space there; `glovebox reap` and `glovebox rm N` remove what sandboxes hold",
        )


def _session(ref: str) -> str:
    backend, _, session = ref.partition(":")
    if backend != NAME:
        raise SandboxError(f"`{ref}` is not a local sandbox")
    return session


class _Starter:
    """What is needed to start; making one raises `SandboxUnavailable` when something is missing."""

    def __init__(self, spec: SandboxSpec) -> None:
        if not system.is_linux():
            raise SandboxUnavailable(
                "the local sandbox needs Linux", "run glovebox in a Linux virtual machine"
            )
        self._passage = Passage(spec)
        self._bwrap = system.find_program("bwrap", bubblewrap.PROGRAM_PLACES)
        if not self._bwrap:
            raise remedies.missing(system.os_release())
        self._python = _python()
        self._seccomp = _filter(system.machine())
        self._environment = spec.environment
        self._spec = spec
        self._carried = carry.Carried()
        self._grammars = ""
        self._user = _user_for(spec.session) if is_root() else None
        self.for_root = self._user is not None
        self.owner = system.user_ids()[0] if self._user is None else self._user

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing in what was started."""
        return grammars.told(grammars.local_target(self._python), here=bool(self._grammars))

    async def start(self, place: Path) -> tuple[_Process, ToolboxClient]:
        """Start bubblewrap on the directories of `place`; leaves nothing running when it fails."""
        try:
            return await self._start_once(place)
        except SandboxUnavailable as error:
            if _nested or not remedies.refuses_to_forbid(error):
                raise
            _nested.append(error.message)
            return await self._start_once(place)

    async def _start_once(self, place: Path) -> tuple[_Process, ToolboxClient]:
        try:
            if self._passage.gated:
                territory.add(self._socket(place).parent, self.owner)
                await self._passage.open(str(self._socket(place)), self.owner)
            return await self._start(place)
        except BaseException:
            await settled(asyncio.ensure_future(self._passage.close()))
            raise

    async def _start(self, place: Path) -> tuple[_Process, ToolboxClient]:
        ration = Ration(self._spec.session, self._spec.limits, place.with_suffix(_GROUPS))
        try:
            await _to_the_end(ration.open)
            self._carried = await carry.carry()
            self._grammars = await asyncio.to_thread(grammars.for_local, self._python)
            return await self._begin(place, ration)
        except BaseException:
            await settled(asyncio.ensure_future(ration.close()))
            raise

    async def _begin(self, place: Path, ration: Ration) -> tuple[_Process, ToolboxClient]:
        launching = asyncio.ensure_future(self._launch(place, ration))
        cancelled = await settled(launching)
        process, toolbox = launching.result()
        if cancelled:
            await settled(asyncio.ensure_future(process.end(toolbox)))
            raise asyncio.CancelledError
        try:
            async with asyncio.timeout(limits.TOOLBOX_START_SECONDS):
                await process.let_in()
                toolbox.autopsy = lambda: ration.autopsy() or process.watch.gave_up
                inside = grammars.PLACE if self._grammars else ""
                ways = self._passage.ways
                await toolbox.start(bounds=ration.bounds, ways=ways, grammars=inside)
        except TimeoutError:
            await process.end(toolbox)
            raise remedies.late(process.stderr, limits.TOOLBOX_START_SECONDS) from None
        except GloveboxError:
            await process.end(toolbox)
            raise remedies.failed(process.stderr, process.exit_code) from None
        except BaseException:
            await settled(asyncio.ensure_future(process.end(toolbox)))
            raise
        return process, toolbox

    async def _launch(self, place: Path, ration: Ration) -> tuple[_Process, ToolboxClient]:
        plan = bubblewrap.Plan(
            place,
            {**self._passage.environment, **self._environment},
            bundle(),
            self._seccomp,
            files=self._passage.files,
            sockets={SOCKET: self._socket(place)} if self._passage.gated else {},
            carried=self._carried,
            grammars=self._grammars,
            nested=bool(_nested),
        )
        channel = Channel()
        with contextlib.ExitStack() as failing, Handed() as handed:
            failing.callback(channel.close)
            report = handed.report()
            failing.callback(report.close)
            hold = handed.hold()
            failing.callback(hold.release)
            told = ["--info-fd", str(report.theirs), "--block-fd", str(hold.theirs)]
            options = [*told, *bubblewrap.options(plan, handed.data)]
            # Not on the command line, which everybody on this machine may read.
            listed = str(handed.data(bubblewrap.listed(options)))
            inside = str(channel.theirs(handed))
            child = await self._run(["--args", listed, "--", *self._toolbox(inside)], handed)
            failing.pop_all()
        folders = [place / name for name in bubblewrap.DIRECTORIES]
        toolbox = ToolboxClient(*await channel.streams())
        process = _Process(child, toolbox, report, hold, self._passage, ration, folders)
        return process, toolbox

    def _socket(self, place: Path) -> Path:
        # In a directory of its own: bound as a file, so that nothing inside can replace it.
        return place / "net" / "proxy"

    def _toolbox(self, channel: str) -> list[str]:
        # The last two say whose it is, to whoever finds it after us.
        words = [self._python, "-I", "-S", "-X", "utf8", bubblewrap.TOOLBOX, "init", channel]
        return [*words, MARK, self._spec.session]

    async def _run(self, arguments: list[str], handed: Handed) -> Child:
        try:
            return await launch(
                [self._bwrap, *arguments],
                pass_fds=handed.descriptors,
                # Besides `--clearenv`, which does not change what bubblewrap was started with.
                env={},
                user=self._user,
            )
        except OSError as error:
            raise remedies.failed(str(error), None) from error


class _Process:
    """A running bubblewrap, and the process inside without which nothing in there can live."""

    def __init__(
        self,
        child: Child,
        toolbox: ToolboxClient,
        report: Report,
        hold: Hold,
        passage: Passage,
        ration: Ration,
        folders: Sequence[Path],
    ) -> None:
        self._child = child
        self._passage = passage
        self._ration = ration
        self._report = report
        self._hold = hold
        self.previews = Previews(toolbox)
        self.watch = Watch(folders, ration.limits, child.kill)

    @property
    def stderr(self) -> str:
        return self._child.stderr

    @property
    def exit_code(self) -> int | None:
        return self._child.exit_code

    async def let_in(self) -> None:
        """Limit what is inside, and only then let it run.

        bubblewrap says which process is number 1 inside and waits. If it has failed it says
        nothing, and whoever speaks to the toolbox next learns of it.
        """
        if first := self._adopt(await self._report.until(b"}")):
            self._ration.admit(first)
            self.watch.start(first)
        self._hold.release()

    def _adopt(self, told: bytes) -> int:
        found = re.search(rb'"child-pid"\s*:\s*([0-9]+)', told)
        if found:
            self._child.adopt(int(found[1]))
        return int(found[1]) if found else 0

    async def end(self, toolbox: ToolboxClient) -> None:
        """Stop everything; returns when all of it is gone. Safe to call twice.

        Process 1 inside is killed before bubblewrap itself: killing bubblewrap in its first
        milliseconds would leave the inside running without a parent.
        """
        await self.watch.close()
        await self.previews.close()
        await self._passage.close()
        await toolbox.close()
        # It is told before what is inside goes on: untold, that is still in bubblewrap's group.
        self._adopt(self._report.so_far())
        self._child.kill()
        await self._child.wait()
        self._report.close()
        self._hold.release()
        await self._ration.close()


async def _to_the_end(work: Callable[[], None]) -> None:
    """Do `work` in a thread, which goes on when we are cancelled: then wait for it all the same."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    if await settled(working):
        raise asyncio.CancelledError
    working.result()


def _python() -> str:
    for path in PYTHONS:
        if system.exists(path) and system.real_path(path).startswith("/usr/"):
            return path
    raise SandboxUnavailable(
        "the local sandbox needs Python 3.8 or newer in `/usr`, where it is visible inside",
        "install it with your package manager (Debian and Ubuntu: `sudo apt install python3`)",
    )


def _filter(machine: str) -> bytes:
    if machine not in seccomp.MACHINES:
        raise SandboxUnavailable(
            f"the local sandbox has no system call filter for `{machine}` processors",
            f"it runs on {' and '.join(seccomp.MACHINES)}",
        )
    return seccomp.program(machine)


def _user_for(session: str) -> int:
    """The user id of root's sandbox: one of its own, which owns nothing else on this machine.

    With host user id 0 every file that root alone may use would be one mistake away from a program
    inside.
    """
    number = int(hashlib.sha256(session.encode()).hexdigest()[:6], 16)
    mapped = system.mapped_ids()
    if mapped >= FIRST_USER_ID + USER_IDS:
        return FIRST_USER_ID + number
    if mapped < LEAST_MAPPED_IDS:
        raise SandboxUnavailable(
            "root cannot start a local sandbox here: there is no other user id to run it with",
            "run glovebox as an ordinary user",
        )
    # A container with few ids: the upper half, away from the accounts of its system.
    return mapped // 2 + number % (mapped // 2 - 1)


def _visible(name: str) -> bool:
    paths = (f"/usr/bin/{name}", f"/usr/local/bin/{name}")
    if any(system.exists(p) and system.real_path(p).startswith("/usr/") for p in paths):
        return True
    return any(toolchains.has(one, name) for one in carry.found().toolchains)
