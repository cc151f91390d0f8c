"""A session's sandbox with its repository in it: where the sandbox and the git room meet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from agent.core.errors import GloveboxError, SandboxError, ToolboxError, UserError
from agent.core.events import (
    AnyEvent,
    Notice,
    Pulled,
    SandboxState,
    Seeded,
    SyncFinished,
    Undone,
)
from agent.core.limits import PATHS_MAX
from agent.core.messages import ToolCall
from agent.core.text import one_line
from agent.git.seed import Origin
from agent.git.sync import Sync
from agent.sandbox.protocol import Backend, Forks, Sandbox, SandboxSpec
from agent.session.place import Chart, Note
from agent.session.state import State
from agent.tools.base import ToolContext

NOTES = ("AGENTS.md", "CLAUDE.md", "CONVENTIONS.md")
"""Files in which a repository says how to work on it."""

Answer = TypeVar("Answer", bound=msgspec.Struct)


class _Notes(msgspec.Struct, frozen=True):
    notes: list[Note] = msgspec.field(default_factory=list[Note])


class _Paths(msgspec.Struct, frozen=True):
    paths: list[str] = msgspec.field(default_factory=list[str])


class Workplace:
    """A session's sandbox with its repository: started once, on its own, behind everything else."""

    def __init__(
        self,
        backend: Backend,
        spec: SandboxSpec,
        sync: Sync,
        state: State,
        emit: Callable[[AnyEvent], None],
        trailers: Mapping[str, str] | None = None,
    ) -> None:
        self._backend = backend
        self._spec = spec
        self._sync = sync
        self._state = state
        self._emit = emit
        self._trailers = dict(trailers or {})
        self._starting: asyncio.Task[Sandbox] | None = None
        self._indexing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to make or wake the sandbox, unless that is under way or done."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._bring_up())
            # Whoever needs the sandbox awaits this and gets the error; nobody may need it at all.
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def ready(self) -> None:
        await self._sandbox()

    async def _sandbox(self) -> Sandbox:
        self.start()
        assert self._starting is not None
        try:
            return await asyncio.shield(self._starting)
        except GloveboxError:
            self._starting = None  # The next message tries again.
            raise

    async def _bring_up(self) -> Sandbox:
        name, ref = self._backend.name, self._state.sandbox_ref
        self._emit(SandboxState("creating", name))
        if ref and self._state.planted:
            await self._replay()
            sandbox = await self._backend.attach(ref, self._spec)
        else:
            sandbox = await self._plant()
        for note in sandbox.notes:
            self._emit(Notice("warning", note))
        self._emit(SandboxState("ready", name, sandbox.ref, network=sandbox.network))
        self._indexing = asyncio.create_task(_begin_index(sandbox))
        return sandbox

    async def _replay(self) -> None:
        """Put on the branch what a process that died had carried out, whatever became of inside."""
        home = await self._sync.replay()
        if home is not None and home.problem is None and home.branch:
            text = f"what was on its way home when glovebox ended is on {home.branch} now"
            self._emit(Notice("info", text, "; ".join(home.notes)))

    async def _plant(self) -> Sandbox:
        """A new sandbox with the repository in it; what a killed attempt left is removed first."""
        for left in await self._backend.find(self._spec.labels):
            await self._backend.destroy(left)
        origin = self._origin()
        if origin is not None and (copied := await self._copy()) is not None:
            return copied
        async with self._sync.packing(origin) as packing:
            sandbox = await self._backend.create(self._spec)
            try:
                self._emit(SandboxState("creating", self._backend.name, sandbox.ref))
                seeded = await self._sync.seed(sandbox, packed=await packing)
            except BaseException:
                await sandbox.close()
                raise
        self._emit(seeded)
        if seeded.left_out:
            count = len(seeded.left_out)
            self._emit(
                Notice("info", f"{count} left out of the sandbox", "; ".join(seeded.left_out))
            )
        if seeded.included:
            text = f"{len(seeded.included)} ignored files carried into the sandbox"
            self._emit(Notice("info", text, "; ".join(seeded.included)))
        return sandbox

    def _origin(self) -> Origin | None:
        """Where a fork begins; None for a session that begins by itself."""
        forked, seeded = self._state.forked, self._state.seeded
        if forked is None or seeded is None or not forked.tip:
            return None
        return Origin(seeded.base, seeded.tip, forked.tip)

    async def _copy(self) -> Sandbox | None:
        """A fork's sandbox as a copy of the other one, memory included; None where that cannot be.

        Its branch inside gets the fork's own name.
        """
        forked, seeded = self._state.forked, self._state.seeded
        assert forked is not None
        assert seeded is not None
        backend = self._backend
        if not forked.ref or not backend.capabilities.fork or not isinstance(backend, Forks):
            return None
        try:
            sandbox = await backend.fork(forked.ref, self._spec)
        except SandboxError as error:
            text = f"the fork has the files and not what ran: {error.message}"
            self._emit(Notice("info", text, error.hint))
            return None
        try:
            self._emit(SandboxState("creating", backend.name, sandbox.ref))
            await self._sync.take_over(sandbox, f"glovebox/{forked.number}")
        except BaseException:
            await sandbox.close()
            raise
        self._emit(Seeded(seeded.base, seeded.tip))
        return sandbox

    async def context(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolContext:
        return ToolContext(await self._sandbox(), call.id, on_output, self._state.seen)

    def answer_egress(self, identity: str, *, allow: bool, remember: bool) -> bool:
        gate = self._spec.gate
        return gate is not None and gate.answer(identity, allow=allow, remember=remember)

    def allow_host(self, entry: str) -> None:
        if self._spec.gate is None:
            raise UserError(
                "this session has no network",
                f"begin another with `--network list --allow-host {one_line(entry)}`",
            )
        self._spec.gate.allow(entry)

    async def lost(self) -> None:
        await self.close()
        self._emit(SandboxState("lost", self._backend.name, self._state.sandbox_ref))

    async def sync(self, state: State, message: str) -> SyncFinished:
        sandbox, seeded = await self._sandbox(), state.seeded
        assert seeded is not None
        return await self._sync.run(
            sandbox,
            message=message,
            trailers=self._trailing(state),
            known=(state.last, seeded.tip, seeded.base),
        )

    async def standing(self) -> str:
        starting = self._starting
        up = starting is not None and starting.done() and not starting.cancelled()
        sandbox = starting.result() if starting and up and not starting.exception() else None
        if sandbox is None and self._state.behind:
            why = self._state.problem or "its sandbox is not running, so nobody can look inside"
            return f"failed ({why})"
        try:
            return str(await self._sync.standing(sandbox))
        except GloveboxError as error:
            return f"failed ({error.message})"

    async def undo(self, state: State, to: str) -> Undone:
        return await self._sync.undo(await self._sandbox(), to=to, trailers=self._trailing(state))

    async def pull(self, state: State, name: str, *, dirty: bool) -> Pulled:
        sandbox = await self._sandbox()
        return await self._sync.pull(
            sandbox, name=name, dirty=dirty, trailers=self._trailing(state)
        )

    async def map(
        self, words: str, *, tokens: int, touched: Sequence[str], hidden: Sequence[str]
    ) -> Chart:
        return await self._ask(
            Chart, "map", words=words, tokens=tokens, touched=list(touched), hidden=list(hidden)
        )

    async def notes(
        self, files: Sequence[str], *, known: Sequence[str], most: int
    ) -> Sequence[Note]:
        asked = {"files": list(files), "known": list(known), "bytes": most}
        return (await self._ask(_Notes, "notes", names=list(NOTES), **asked)).notes

    async def paths(self) -> Sequence[str]:
        return (await self._ask(_Paths, "paths", most=PATHS_MAX)).paths

    async def _ask(self, kind: type[Answer], op: str, **arguments: Any) -> Answer:
        """What the toolbox says; nothing where it cannot do that."""
        answer = await (await self._sandbox()).toolbox.call(op, **arguments)
        try:
            return msgspec.convert(answer if answer.get("ok") is True else {}, kind)
        except msgspec.ValidationError as error:
            raise ToolboxError(
                f"the toolbox answered `{op}` with something else: {error}"
            ) from error

    async def settle(self, *, take: bool) -> int:
        return await self._sync.settle(await self._sandbox(), take=take)

    async def changes(self, state: State) -> str:
        return await self._sync.diff(await self._sandbox(), base=state.last)

    async def diff(self, state: State) -> str:
        assert state.seeded is not None
        return await self._sync.diff(await self._sandbox(), base=state.seeded.tip)

    async def rest(self) -> bool:
        starting = self._starting
        if starting is None or not starting.done() or starting.cancelled():
            return False
        if starting.exception() is not None or await _in_use(starting.result()):
            return False
        await self.close()
        return True

    async def close(self) -> None:
        starting, self._starting = self._starting, None
        if starting is None:
            return
        if not starting.done():
            starting.cancel()
            await asyncio.wait({starting})
        if starting.cancelled() or starting.exception() is not None:
            return
        await starting.result().close()
        if self._indexing is not None:
            await asyncio.wait({self._indexing})
        self._emit(SandboxState("closed", self._backend.name, starting.result().ref))

    async def discard(self) -> None:
        if self._state.sandbox_ref:
            await self._backend.destroy(self._state.sandbox_ref)

    def _trailing(self, state: State) -> dict[str, str]:
        assert state.started is not None
        own = {"Glovebox-Session": state.started.id, "Glovebox-Turn": str(state.turn)}
        return self._trailers | own


async def _begin_index(sandbox: Sandbox) -> None:
    """Have the symbols of the repository collected behind everything else."""
    with contextlib.suppress(SandboxError, ToolboxError):  # without an index questions do it
        await sandbox.toolbox.call("index")


async def _in_use(sandbox: Sandbox) -> bool:
    """Whether a job runs inside or a program listens; who cannot say is not disturbed."""
    try:
        jobs = await sandbox.toolbox.call("job_list")
        ports = await sandbox.toolbox.call("ports")
    except (SandboxError, ToolboxError):
        return True
    listed = jobs.get("jobs")
    if not isinstance(listed, list) or ports.get("ok") is not True:
        return True
    running = [job for job in cast("list[Any]", listed) if job.get("state") == "running"]
    return bool(running or ports.get("ports"))
