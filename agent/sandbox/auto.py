"""What `auto` means on this machine: the first backend that really works, and never the host."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from agent.core.errors import GloveboxError, SandboxError, SandboxUnavailable
from agent.core.events import Notice
from agent.core.text import one_line
from agent.host import owner
from agent.sandbox.daytona import account
from agent.sandbox.protocol import Backend, Sandbox, SandboxSpec
from agent.sandbox.registry import BACKENDS, open_backend

AUTO = "auto"
USUAL = ("registries", "none")
ORDER = ("local", "docker", "daytona")

# What every sandbox of ours must be able to say of itself, however it was made.
_QUICK = "grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd):' /proc/self/status"
_WANTED = {"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "0" * 16, "CapBnd": "0" * 16}
_QUICK_SECONDS = 30.0

_chosen: dict[tuple[str, Path], Choice] = {}


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, why it was taken, and why those before it were not."""

    backend: str
    why: str
    passed_over: tuple[str, ...] = ()

    def notice(self) -> Notice:
        """The choice in words."""
        level = "warning" if self.passed_over else "info"
        text = f"sandbox `{self.backend}` was chosen: {self.why}"
        hint = "; ".join((*self.passed_over, "see `glovebox doctor`")) if self.passed_over else ""
        return Notice(level, text, hint)


async def choose(spec: SandboxSpec, root: Path, state: Path | None = None) -> Choice:
    """The backend for sandboxes like `spec`, whose files lie under `root`.

    Without a network policy in `spec` every backend is tried with its usual one.

    Each is tried by really making a sandbox, and the answer holds for this process only: a kernel
    setting or a package may be another one next time. Raises `SandboxUnavailable` when there is
    none, with what is wrong with each.
    """
    key = (spec.network, root)
    if key not in _chosen:
        _chosen[key] = await _choose(spec, root, state)
    return _chosen[key]


async def _choose(spec: SandboxSpec, root: Path, state: Path | None) -> Choice:
    passed_over: list[str] = []
    hint = ""
    for name in (n for n in ORDER if n in BACKENDS):
        try:
            why = await _fits(name, spec, root, state)
        except GloveboxError as error:
            passed_over.append(f"not `{name}`: {one_line(error.message, 300)}")
            hint = hint or error.hint
        else:
            return Choice(name, why, tuple(passed_over))
    advice = "`glovebox doctor` tests every part on its own"
    raise SandboxUnavailable(
        f"no sandbox can be made on this machine: {'; '.join(passed_over)}",
        f"{hint}; {advice}" if hint else advice,
    )


async def _fits(name: str, spec: SandboxSpec, root: Path, state: Path | None) -> str:
    backend = open_backend(name, root)
    with_policy(backend, spec)
    if name == "daytona":
        # A box costs money: making one to see whether it can be made is not ours to decide.
        if not account.configured():
            raise SandboxUnavailable("no credentials are configured", "set DAYTONA_API_KEY")
        return "its credentials are configured"
    await trial(backend, spec, state)
    return "its self-test passed"


def with_policy(backend: Backend, spec: SandboxSpec) -> SandboxSpec:
    """`spec` with a network policy: the one it names, else the first usual one the backend has.

    Raises `SandboxUnavailable` when the backend cannot enforce the one it names.
    """
    policies = backend.capabilities.policies
    if not spec.network:
        return replace(spec, network=next((p for p in USUAL if p in policies), "none"))
    if spec.network not in policies:
        raise SandboxUnavailable(
            f"it cannot enforce the network policy `{spec.network}`",
            f"it has {', '.join(policies)}",
        )
    return spec


async def trial(backend: Backend, spec: SandboxSpec, state: Path | None = None) -> str:
    """Make a sandbox, look whether it holds, free it; the network policy it had.

    Raises `SandboxError` with the remedy.
    """
    spec = with_policy(backend, spec)
    session = f"trial{secrets.token_hex(8)}"
    with owner.claim(session, state):
        labels = {**spec.labels, "glovebox.session": session}
        sandbox = await backend.create(replace(spec, session=session, labels=labels))
        try:
            await _examine(sandbox)
        finally:
            await backend.destroy(sandbox.ref)
    return spec.network


async def _examine(sandbox: Sandbox) -> None:
    done = await sandbox.exec(["sh", "-c", _QUICK], seconds=_QUICK_SECONDS)
    lines = (line.split(":") for line in done.output.decode("utf-8", "replace").splitlines())
    told = {pair[0]: pair[1].strip() for pair in lines if len(pair) == 2}
    wrong = [f"{name} is {told.get(name)}" for name in _WANTED if told.get(name) != _WANTED[name]]
    if wrong:
        raise SandboxError(
            f"the sandbox starts and is not tight: {', '.join(wrong)}",
            "`glovebox selftest` shows what can be reached from inside",
        )
