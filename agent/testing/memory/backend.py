"""Where machines in memory come from, and where their files stay."""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.errors import SandboxError, SandboxLost, SandboxUnavailable
from agent.sandbox.protocol import Capabilities, Facts, SandboxSpec
from agent.testing.memory.files import WORKDIR
from agent.testing.memory.machine import Machine
from agent.testing.memory.process import Body
from agent.testing.memory.sandbox import MemorySandbox
from agent.testing.memory.tools import TOOLS


class MemoryBackend:
    """See `protocol.Backend`. Sandboxes live as long as this object.

    `programs` is what can be run in them besides `TOOLS` and the vocabulary.
    """

    name = "memory"
    capabilities = Capabilities(
        notes=("runs only programs that a test gives it", "has no network, so no ports")
    )

    def __init__(self, programs: Mapping[str, Body] | None = None) -> None:
        self._programs = {**TOOLS, **(programs or {})}
        self.machines: dict[str, Machine] = {}
        self._open: dict[str, MemorySandbox] = {}

    def facts(self, spec: SandboxSpec) -> Facts:
        return Facts("memory", WORKDIR, "none", spec.network, tuple(self._programs))

    async def create(self, spec: SandboxSpec) -> MemorySandbox:
        ref = f"memory:{spec.session}"
        if spec.network not in self.capabilities.policies:
            raise SandboxUnavailable(
                f"a machine in memory has no network, so none that obeys `{spec.network}`",
                "choose the network policy `none`",
            )
        if ref in self.machines:
            raise SandboxError(f"there is already a sandbox named `{spec.session}`")
        self.machines[ref] = Machine(self._programs, spec.labels)
        return await self.attach(ref, spec)

    async def attach(self, ref: str, spec: SandboxSpec) -> MemorySandbox:
        if ref not in self.machines:
            raise SandboxLost(f"the files of `{ref}` are gone")
        if ref in self._open:
            await self._open[ref].close()
        sandbox = MemorySandbox(ref, self.machines[ref], spec.environment)
        self._open[ref] = sandbox
        return sandbox

    async def find(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        wanted = labels.items()
        return tuple(r for r, m in self.machines.items() if wanted <= m.labels.items())

    async def destroy(self, ref: str) -> None:
        if ref in self._open:
            await self._open.pop(ref).close()
        self.machines.pop(ref, None)
