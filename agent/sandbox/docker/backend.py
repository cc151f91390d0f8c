"""One container per session, its main process the toolbox, spoken to over its stdin and stdout.

So nothing outlives us: when this process dies, the container's stdin closes, its main process ends
and everything else in there with it. The stopped container keeps the files for `attach`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from agent.core import limits
from agent.core.errors import (
    GloveboxError,
    SandboxError,
    SandboxLost,
    SandboxUnavailable,
)
from agent.host import files, territory
from agent.host.handles import Channel, Handed, Streams
from agent.host.launch import Child, launch, settled
from agent.sandbox import grammars
from agent.sandbox.bubblewrap import TOOLBOX, WORKDIR
from agent.sandbox.docker import calls, inside, troubles
from agent.sandbox.docker.engine import ENGINES, Engine
from agent.sandbox.docker.plain import DockerShell, PlainContainer
from agent.sandbox.docker.removal import START, going, kill, remove, remove_started
from agent.sandbox.egress.passage import IMPATIENT, Passage
from agent.sandbox.egress.policy import POLICIES, in_words
from agent.sandbox.plain.shell import NETWORK_NOTE, NOTE
from agent.sandbox.preview import Previews
from agent.sandbox.protocol import Capabilities, Endpoint, Facts, SandboxSpec
from agent.sandbox.resident import Resident
from agent.sandbox.toolbox import BOUNDS, ToolboxClient, bundle

_T = TypeVar("_T")

NAME = "docker"
DEFAULT_IMAGE = "python:3.12-bookworm"

SESSION = "glovebox.session"
PLAIN = "glovebox.plain"
"""Says of a container that our toolbox does not run in it, and what there is for Python."""
NETWORK = "glovebox.network"
"""Says whether the proxy's socket is to be found inside, which is settled when it is made."""

_SOCKETS = "docker.net"
_GRAMMARS = f"{inside.OWN}/grammars"

_END_SECONDS = 15.0


class DockerSandbox(Resident):
    """One running container; see `protocol.Sandbox` for what it promises."""

    def __init__(
        self, ref: str, engine: Engine, child: Child, toolbox: ToolboxClient, passage: Passage
    ) -> None:
        super().__init__(ref, WORKDIR, toolbox)
        self._engine = engine
        self._child = child
        self._passage = passage
        self._previews = Previews(toolbox)
        self._bringing: asyncio.Task[str] | None = None

    def bring_grammars(self) -> None:
        """Begin to have them inside, behind whatever comes first."""
        self.notes = grammars.told(self._toolbox.target)
        work = grammars.bring(self, self._toolbox.target, _GRAMMARS, carry=self._carry)
        self._bringing = asyncio.create_task(work, name="grammars")

    async def _carry(self, source: str, target: str) -> None:
        await _copy(self._engine, source, _name(self._ref), target)

    async def expose(self, port: int) -> Endpoint:
        return await self._previews.expose(port)

    async def close(self) -> None:
        await asyncio.shield(self._end())

    async def settle(self) -> None:
        """Return once the engine is doing nothing more for us in there."""
        if self._bringing is not None:
            self._bringing.cancel()
            await asyncio.wait([self._bringing])

    async def _end(self) -> None:
        await self.settle()
        await self._previews.close()
        await self._passage.close()
        await _end(self._engine, _name(self._ref), self._child, self._toolbox)


Container = DockerSandbox | PlainContainer


class DockerBackend:
    """Makes containers; only the sockets of their proxies lie under `root`."""

    name = NAME
    capabilities = Capabilities(
        policies=POLICIES,
        expose=True,
        limits=("memory_bytes", "processes", "cpus"),
        notes=(
            "the engine has no quota for volumes: a single file is limited, the disk is not",
            "files stay in volumes of the container until the session is removed",
        ),
    )

    def __init__(self, root: Path) -> None:
        self._sockets = root / _SOCKETS
        self._engines: dict[str, Engine] = {}
        self._used: dict[str, Engine] = {}
        self._running: dict[str, Container] = {}

    def facts(self, spec: SandboxSpec) -> Facts:
        return Facts(
            backend=NAME,
            workdir=WORKDIR,
            system=f"Linux (container image {spec.image or DEFAULT_IMAGE})",
            network=in_words(spec),
            programs=("git", "python3"),
        )

    async def create(self, spec: SandboxSpec) -> Container:
        passage, engine = Passage(spec), self._engine(spec.engine)
        _refuse_remote(engine, passage)
        ref, token = f"{engine.name}:{spec.session}", secrets.token_hex(16)
        self._used[ref] = engine
        if passage.gated and not files.claim_dir(self._place(ref, made=True)):
            raise _twice(spec.session)
        try:
            await self._open(passage, ref)
            variables, poor = await _whole(self._make(engine, spec, token, passage))
            if poor:
                await passage.close()
                return await self._start_plain(engine, ref, spec, variables, poor)
            return await self._start(engine, ref, spec, variables, passage)
        except BaseException:
            # Also when it failed: the engine may have made the container and then not answered.
            await settled(asyncio.ensure_future(self._undo(engine, ref, token, passage)))
            raise

    async def attach(self, ref: str, spec: SandboxSpec) -> Container:
        if _session(ref) != spec.session:
            raise SandboxError(f"`{ref}` is not the sandbox of session `{spec.session}`")
        if ref in self._running:
            await self._running.pop(ref).close()
        engine = self._engine_of(ref, spec.engine)
        await engine.machine()
        known = await engine.inspect("container", _name(ref))
        if known is None or going(known):
            raise SandboxLost(f"the container of `{ref}` is gone", "start a new session")
        labels: dict[str, Any] = _config(known).get("Labels") or {}
        poor = str(labels.get(PLAIN, ""))
        passage = Passage(_without_network(spec) if poor else spec)
        _refuse_other(labels, spec.session, passage)
        if (known.get("State") or {}).get("Running"):
            await kill(engine, _name(ref))
        if poor:
            return await self._start_plain(engine, ref, spec, _variables(known), poor)
        try:
            await self._open(passage, ref)
            # The toolbox of this version, wherever the container comes from.
            await _put_own(engine, _name(ref), passage)
            return await self._start(engine, ref, spec, _variables(known), passage)
        except BaseException:
            await settled(asyncio.ensure_future(passage.close()))
            raise

    async def find(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        found: list[str] = []
        problems: list[SandboxUnavailable] = []
        engines = self._all()
        for engine in engines:
            try:
                found += await _found(engine, labels)
            except SandboxUnavailable as error:
                problems.append(error)
        if len(problems) == len(engines):
            raise problems[0]
        return tuple(found)

    def _all(self) -> list[Engine]:
        """Every engine that is installed: a session's may be another one than that of now."""
        for name in ENGINES:
            with contextlib.suppress(SandboxUnavailable):
                self._engine(name)
        if not self._engines:
            self._engine("")
        return list({tuple(e.command()): e for e in self._engines.values()}.values())

    async def destroy(self, ref: str) -> None:
        name = _name(ref)
        sandbox = self._running.pop(ref, None)
        engine = self._engine_of(ref)
        if isinstance(sandbox, DockerSandbox):
            await sandbox.settle()
        await remove(engine, name)
        if sandbox is not None:
            await sandbox.close()
        files.remove_tree(self._place(ref))

    def _place(self, ref: str, *, made: bool = False) -> Path:
        """The directory of a session's socket: ours alone, so the socket may be open to all."""
        if made:
            files.make_private_dir(self._sockets)
        return self._sockets / _session(ref)

    async def _open(self, passage: Passage, ref: str) -> None:
        if passage.gated:
            socket = files.make_private_dir(self._place(ref, made=True)) / "proxy"
            await passage.open(str(socket))
            # Whoever runs inside has another user id than we have.
            territory.share(socket)

    async def _undo(self, engine: Engine, ref: str, token: str, passage: Passage) -> None:
        await passage.close()
        with contextlib.suppress(SandboxError):  # its labels tell whose it is: it will be found
            await remove_started(engine, token)
        if passage.gated:
            files.remove_tree(self._place(ref))

    def _engine(self, wanted: str) -> Engine:
        if wanted not in self._engines:
            self._engines[wanted] = Engine.find(wanted)
        return self._engines[wanted]

    def _engine_of(self, ref: str, wanted: str = "") -> Engine:
        """The engine that has the container: the one used here, the address given, or by name."""
        if ref not in self._used:
            self._used[ref] = self._engine(wanted if "://" in wanted else ref.partition(":")[0])
        return self._used[ref]

    async def _make(
        self, engine: Engine, spec: SandboxSpec, token: str, passage: Passage
    ) -> tuple[list[str], str]:
        """Make and prepare the container; the variables of its image, and what it has for Python.

        The second is empty where that will do.
        """
        machine = await engine.machine()
        wanted = spec.image or DEFAULT_IMAGE
        image = await engine.inspect("image", wanted)
        if image is None:
            raise troubles.no_image(engine.name, wanted)
        with files.temporary_dir() as folder:
            filter_file = folder / "seccomp.json"
            files.write_whole(filter_file, calls.filter_for(machine.processor))
            plan = inside.Plan(
                name=_name(f"{NAME}:{spec.session}"),
                # By its id: what was looked at is what is used.
                image=str(image["Id"]),
                user=inside.user_of(spec.session),
                labels={
                    **spec.labels,
                    SESSION: spec.session,
                    START: token,
                    NETWORK: _networked(passage),
                },
                limits=spec.limits,
                machine=machine,
                filter_file=str(filter_file),
                socket=self._place(f"{NAME}:{spec.session}") / "proxy" if passage.gated else None,
                podman=engine.is_podman,
            )
            poor = await _prepared(engine, plan, wanted)
            if poor:
                await remove(engine, plan.name)
                labels = {**plan.labels, NETWORK: "none", PLAIN: poor}
                plan = replace(plan, plain=True, socket=None, labels=labels)
                await _prepared(engine, plan, wanted)
        if not poor:
            await _put_own(engine, plan.name, passage)
        return _variables(image), poor

    async def _start(
        self, engine: Engine, ref: str, spec: SandboxSpec, variables: list[str], passage: Passage
    ) -> DockerSandbox:
        launching = asyncio.ensure_future(_launch(engine, _name(ref)))
        cancelled = await settled(launching)
        child, toolbox = launching.result()
        sandbox = DockerSandbox(ref, engine, child, toolbox, passage)
        if cancelled:
            await settled(asyncio.ensure_future(sandbox.close()))
            raise asyncio.CancelledError
        try:
            async with asyncio.timeout(limits.TOOLBOX_START_SECONDS):
                given = {**passage.environment, **spec.environment}
                environment = inside.environment(variables, given)
                await toolbox.start(bounds=BOUNDS, environment=environment, ways=passage.ways)
        except (GloveboxError, TimeoutError):
            await sandbox.close()
            raise troubles.failed(child.stderr) from None
        except BaseException:
            await settled(asyncio.ensure_future(sandbox.close()))
            raise
        sandbox.bring_grammars()
        self._running[ref] = sandbox
        return sandbox

    async def _start_plain(
        self, engine: Engine, ref: str, spec: SandboxSpec, variables: list[str], poor: str
    ) -> PlainContainer:
        launching = asyncio.ensure_future(_launch_main(engine, _name(ref)))
        cancelled = await settled(launching)
        child, streams = launching.result()
        shell = DockerShell(engine, _name(ref), child, streams)

        async def end() -> None:
            shell.close()
            await _stop(engine, _name(ref), child)

        if cancelled:
            await settled(asyncio.ensure_future(end()))
            raise asyncio.CancelledError
        try:
            await shell.ready()
        except (GloveboxError, TimeoutError):
            await end()
            raise troubles.failed(child.stderr) from None
        except BaseException:
            await settled(asyncio.ensure_future(end()))
            raise
        environment = inside.environment(variables, {**IMPATIENT, **spec.environment})
        notes = [NOTE.format(what=poor), *([NETWORK_NOTE] if spec.network != "none" else [])]
        sandbox = PlainContainer(ref, shell, environment, notes, end)
        self._running[ref] = sandbox
        return sandbox


async def _prepared(engine: Engine, plan: inside.Plan, image: str) -> str:
    """Make a container and prepare it; what its image has in place of a Python that will do."""
    await _create(engine, plan)
    prepared = await engine.run("run", *inside.preparing(plan))
    if prepared.exit_code:
        said = prepared.problem
        if "lacks " in said:
            raise troubles.lacking(image, " and ".join(said.partition("lacks ")[2].split()))
        raise troubles.failed(said)
    return prepared.text.partition("@plain ")[2].strip()[:100]


def _without_network(spec: SandboxSpec) -> SandboxSpec:
    return replace(spec, network="none", hosts=(), gate=None)


async def _found(engine: Engine, labels: Mapping[str, str]) -> list[str]:
    """The refs of the containers that carry these labels."""
    wanted = [f"label={SESSION}", *(f"label={key}={value}" for key, value in labels.items())]
    filters = [word for label in wanted for word in ("--filter", label)]
    listed = await engine.do("ps", "--all", "--format", "{{.Names}}", *filters)
    names = [name for name in listed.splitlines() if re.fullmatch(r"glovebox-[a-z0-9]+", name)]
    return [f"{engine.name}:{name.removeprefix('glovebox-')}" for name in names]


async def _create(engine: Engine, plan: inside.Plan) -> None:
    done = await engine.run("create", *inside.flags(plan))
    if done.exit_code and "already in use" in done.problem:
        raise _twice(plan.labels[SESSION])
    if done.exit_code:
        raise troubles.failed(done.problem)


async def _put_own(engine: Engine, name: str, passage: Passage) -> None:
    """Copy what is ours to where only root can write, into a container that does not run."""
    with files.temporary_dir() as folder:
        for path, content in {TOOLBOX: bundle(), **passage.files}.items():
            if not path.startswith(f"{inside.OWN}/"):
                raise SandboxError(f"`{path}` cannot be put into the sandbox")
            files.write_whole(folder / path.removeprefix(f"{inside.OWN}/"), content, mode=0o444)
        await _copy(engine, f"{folder}/.", name, inside.OWN)


async def _copy(engine: Engine, source: str, name: str, target: str) -> None:
    """Copy into a container, to the end: the engine goes on with a copy whose client is killed.

    What comes next, such as a removal, would meet it at the container's mounts.
    """
    await _whole(engine.do("cp", source, f"{name}:{target}"))


async def _launch(engine: Engine, name: str) -> tuple[Child, ToolboxClient]:
    child, streams = await _launch_main(engine, name)
    return child, ToolboxClient(*streams)


async def _launch_main(engine: Engine, name: str) -> tuple[Child, Streams]:
    """Start a container's main process; what it reads and writes."""
    channel = Channel()
    with Handed() as handed:
        theirs = channel.theirs(handed)
        try:
            child = await launch(
                engine.command("start", "--attach", "--interactive", name),
                pass_fds=(),
                env=engine.environment(),
                channel=theirs,
            )
        except BaseException:
            channel.close()
            raise
    return child, await channel.streams()


async def _end(engine: Engine, name: str, child: Child, toolbox: ToolboxClient) -> None:
    """Stop everything; returns when all of it is gone. Safe to call twice."""
    await toolbox.close()
    await _stop(engine, name, child)


async def _stop(engine: Engine, name: str, child: Child) -> None:
    if child.exit_code is None:
        # The toolbox ends by itself now, unless something inside has stopped it.
        await kill(engine, name)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


async def _whole(work: Coroutine[Any, Any, _T]) -> _T:
    """Do `work` to its end although we are cancelled; the cancellation comes after it."""
    task = asyncio.ensure_future(work)
    if await settled(task):
        raise asyncio.CancelledError from task.exception()
    return task.result()


def _config(known: Mapping[str, Any]) -> dict[str, Any]:
    return known.get("Config") or {}


def _variables(known: Mapping[str, Any]) -> list[str]:
    return list(map(str, _config(known).get("Env") or []))


def _refuse_remote(engine: Engine, passage: Passage) -> None:
    if engine.remote and passage.gated:
        raise SandboxUnavailable(
            "a container on another machine cannot reach the proxy that enforces the policy here",
            "use `--network none`",
        )


def _refuse_other(labels: Mapping[str, str], session: str, passage: Passage) -> None:
    if labels.get(SESSION) != session:
        raise SandboxError(f"the container `glovebox-{session}` is not of this session")
    if passage.gated and labels.get(NETWORK) != _networked(passage):
        raise SandboxError(
            "this sandbox was made without a network and cannot get one", "start a new session"
        )


def _networked(passage: Passage) -> str:
    return "proxy" if passage.gated else "none"


def _twice(session: str) -> SandboxError:
    return SandboxError(f"there is already a sandbox named `{session}`")


def _name(ref: str) -> str:
    return f"glovebox-{_session(ref)}"


def _session(ref: str) -> str:
    engine, _, session = ref.partition(":")
    if engine not in ENGINES:
        raise SandboxError(f"`{ref}` is not a docker sandbox")
    # It becomes the name of a container, and part of a command line.
    if not re.fullmatch(r"[a-z0-9]+", session):
        raise SandboxError(f"`{session}` cannot name a sandbox")
    return session
