"""Where Daytona sandboxes come from: made by name, found by label, freed for certain.

A sandbox here costs money for as long as it exists. So its name comes from the session, which makes
a second one impossible; it carries its labels before anything else happens to it; the service
itself stops, archives and deletes it when nobody comes back; and whatever goes wrong while it is
being made deletes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from agent.core.errors import GloveboxError, SandboxError, SandboxLost
from agent.host.launch import settled
from agent.sandbox.daytona import account, network
from agent.sandbox.daytona.control import Control, absent
from agent.sandbox.daytona.machine import WORKDIR, Machine
from agent.sandbox.daytona.plain import PlainMachine
from agent.sandbox.daytona.plan import FORK_SECONDS, SESSION, plan_of
from agent.sandbox.daytona.sandbox import DaytonaSandbox
from agent.sandbox.daytona.sdk import Box, Plan, Service, connect
from agent.sandbox.daytona.trouble import Trouble
from agent.sandbox.protocol import Capabilities, Facts, SandboxSpec

NAME = "daytona"
STOP_SECONDS = 10.0

Inside = DaytonaSandbox | PlainMachine


class DaytonaBackend:
    """Makes sandboxes at Daytona; see `protocol.Backend`. Keeps nothing on this machine."""

    name = NAME
    capabilities = Capabilities(
        policies=("none", "list", "open"),
        expose=True,
        fork=True,
        stop=True,
        limits=("memory_bytes", "disk_bytes", "cpus"),
        notes=(
            "`list` takes at most 10 host names, too few for `registries`, and only where your"
            " organisation's tier enforces it; a new sandbox that reaches more is refused",
            "limits hold for a sandbox made from an image; a snapshot brings its own",
            "only machines of a virtual machine class can be forked; others can be snapshotted",
            "what runs inside may become root there, and sees Daytona's own variables in the"
            " processes of its daemon",
            "it stops after 30 idle minutes and is deleted 14 days after that",
            "until then your repository lies on Daytona's disks, without its ignored files",
        ),
    )

    def __init__(self, root: Path) -> None:
        del root
        self._service: Service | None = None
        self._users = 0
        self._opening = asyncio.Lock()
        self._running: dict[str, _Running] = {}

    def facts(self, spec: SandboxSpec) -> Facts:
        return Facts(NAME, WORKDIR, "Linux, a machine at Daytona", network.in_words(spec))

    async def create(self, spec: SandboxSpec) -> Inside:
        plan = plan_of(spec, account.resolve())
        async with self._control() as control:
            box = await control.make(plan)
            try:
                network.require_applied(plan.network, box.network())
                return await self._use(box, spec)
            except BaseException:
                await settled(asyncio.ensure_future(control.delete(box.id)))
                raise

    async def attach(self, ref: str, spec: SandboxSpec) -> Inside:
        identity = _identity(ref)
        await self._leave(ref, "another part of glovebox took the sandbox over")
        plan = plan_of(spec, account.resolve())
        async with self._control() as control:
            with absent(SandboxLost(f"`{ref}` does not exist any more", "start a new session")):
                box = await control.get(identity)
            if box.labels.get(SESSION) != spec.session:
                raise SandboxError(f"`{ref}` is not the sandbox of session `{spec.session}`")
            await _apply(box, plan)
            return await self._use(box, spec)

    async def find(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        async with self._control() as control:
            return tuple(f"{NAME}:{box.id}" for box in await control.find(labels))

    async def destroy(self, ref: str) -> None:
        identity = _identity(ref)
        await self._leave(ref, "the sandbox was destroyed")
        async with self._control() as control:
            await control.delete(identity)

    async def fork(self, ref: str, spec: SandboxSpec) -> Inside:
        """A copy for another session, memory included. Raises `SandboxError` where it cannot be."""
        plan = plan_of(spec, account.resolve())
        async with self._control() as control:
            parent = await control.get(_identity(ref))
            try:
                box = await parent.fork(plan.name, FORK_SECONDS)
            except Trouble as trouble:
                raise SandboxError(
                    f"this sandbox cannot be forked: {trouble.message}",
                    "only virtual machine classes can; make a snapshot of it instead",
                ) from trouble
            try:
                await box.label(plan.labels)
                await _apply(box, plan)
                return await self._use(box, spec)
            except BaseException:
                await settled(asyncio.ensure_future(control.delete(box.id)))
                raise

    async def snapshot(self, ref: str, name: str) -> str:
        """Keep the sandbox's disk under `name`; the image with which `create` starts from it."""
        async with self._control() as control:
            return await control.snapshot(_identity(ref), name)

    # A sandbox in use.

    async def _use(self, box: Box, spec: SandboxSpec) -> Inside:
        """Bring up what is inside and prove that it is closed as it should be."""
        ref, machine = f"{NAME}:{box.id}", Machine(box, spec.environment)

        async def stop() -> None:
            await self._stop(ref)

        if not await machine.wake(0):
            await machine.prepare()
        sandbox = (PlainMachine if machine.plain else DaytonaSandbox)(ref, machine, stop)
        if spec.network != "open":
            network.require_closed(await sandbox.reach(network.NOT_LISTED, network.REACH_SECONDS))
        await self._acquire()
        if isinstance(sandbox, DaytonaSandbox):
            sandbox.bring_grammars()
        self._running[ref] = _Running(sandbox, machine)
        return sandbox

    async def _stop(self, ref: str) -> None:
        running = self._running.pop(ref, None)
        if running is None:
            return
        running.machine.lose("the sandbox was closed")
        try:
            # It stops by itself in the end; what is here must be closed whatever it says.
            with contextlib.suppress(GloveboxError):
                await running.machine.box.stop(STOP_SECONDS)
        finally:
            await settled(asyncio.ensure_future(self._release()))

    async def _leave(self, ref: str, why: str) -> None:
        running = self._running.pop(ref, None)
        if running is not None:
            running.machine.lose(why)
            await running.sandbox.quiet()
            await self._release()

    # The client, which must be closed in the event loop that it was made in.

    @contextlib.asynccontextmanager
    async def _control(self) -> AsyncGenerator[Control]:
        service = await self._acquire()
        try:
            yield Control(service)
        except Trouble as trouble:
            raise SandboxError(f"Daytona could not do it: {trouble.message}") from trouble
        finally:
            await settled(asyncio.ensure_future(self._release()))

    async def _acquire(self) -> Service:
        async with self._opening:
            if self._service is None:
                self._service = await connect(account.resolve())
            self._users += 1
            return self._service

    async def _release(self) -> None:
        async with self._opening:
            self._users -= 1
            if not self._users and self._service is not None:
                service, self._service = self._service, None
                await service.close()


class _Running:
    """A sandbox that this backend gave out, and what is behind it."""

    def __init__(self, sandbox: Inside, machine: Machine) -> None:
        self.sandbox = sandbox
        self.machine = machine


async def _apply(box: Box, plan: Plan) -> None:
    """Give a box that exists the network it should have now: what is allowed may have changed."""
    applied = box.network()
    if any((applied.get(name) or "") != (value or "") for name, value in plan.network.items()):
        await box.set_network(plan.network)
        await box.refresh()
    network.require_applied(plan.network, box.network())


def _identity(ref: str) -> str:
    backend, _, identity = ref.partition(":")
    if backend != NAME or not identity.replace("-", "").replace("_", "").isalnum():
        raise SandboxError(f"`{ref}` is not a Daytona sandbox")
    return identity
