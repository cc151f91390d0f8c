"""The parts of the local sandbox, each tried on its own by running it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agent.core.errors import SandboxError, SandboxUnavailable
from agent.doctor import distribution, machine
from agent.doctor.report import Finding, Section, tried
from agent.host import cgroups, env, files, system
from agent.host.handles import Handed
from agent.host.launch import launch
from agent.sandbox import bubblewrap, carry, grammars, remedies, seccomp
from agent.sandbox.auto import trial
from agent.sandbox.local import PYTHONS
from agent.sandbox.protocol import SandboxSpec
from agent.sandbox.registry import open_backend

RESTRICTION = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
NOBODY = 65534
_SECONDS = 20.0
_WHOLE = ("--ro-bind", "/", "/")
_OWN = ("--unshare-user", "--unshare-pid", *_WHOLE, "--proc", "/proc")
_FILTERED = "grep -q '^Seccomp:.*2' /proc/self/status"


async def section(spec: SandboxSpec, root: Path) -> Section:
    """Everything that a local sandbox is made of, then one as a whole."""
    parts = [
        await tried("system", _system),
        await tried("bubblewrap", _bubblewrap),
        await tried("user namespaces", _user_namespaces),
        _apparmor(),
        await tried("processes of its own", lambda: _runs("a fresh /proc", *_OWN, "true")),
        await tried("network namespace", _network),
        await tried("no nested namespaces", _nested),
        await tried("system call filter", _filter),
        await tried("python inside", _python),
        _limits(),
    ]
    whole = await tried("a sandbox as a whole", lambda: _whole(spec, root))
    usable = whole.state == "ok"
    # After it: only a start shows whether root's can be handed on.
    parts += [whole, _toolchains(), await asyncio.to_thread(_grammars)]
    return Section("Sandbox `local`", tuple(parts), backend="local", usable=usable)


async def _system() -> str:
    name = machine.require_linux()
    if system.machine() not in seccomp.MACHINES:
        raise SandboxUnavailable(
            f"there is no system call filter for `{system.machine()}` processors",
            "use the docker or daytona sandbox",
        )
    return f"{name} on {system.machine()}"


def _bwrap() -> str:
    return system.find_program("bwrap", bubblewrap.PROGRAM_PLACES)


async def _bubblewrap() -> str:
    if not _bwrap():
        raise remedies.missing(system.os_release())
    _, version = await _run(["--version"])
    await _runs("bubblewrap", *_WHOLE, "true")
    return f"{version or 'bubblewrap'} at {_bwrap()} starts"


async def _user_namespaces() -> str:
    code, said = await _run(["--unshare-user", *_WHOLE, "true"])
    if code == 0:
        return "they can be made"
    restricted = _restricted() and "uid map" in said
    raise SandboxUnavailable(
        f"they cannot be made: {said}",
        distribution.allow_user_namespaces(system.os_release(), apparmor=restricted),
    )


def _restricted() -> bool:
    return files.exists(RESTRICTION) and files.read_text(RESTRICTION).strip() == "1"


def _apparmor() -> Finding:
    if not files.exists(RESTRICTION):
        return Finding("AppArmor restriction", "ok", "this kernel has none")
    if not _restricted():
        return Finding("AppArmor restriction", "ok", "it is switched off")
    return Finding(
        "AppArmor restriction", "ok", "it is on; whether it lets bubblewrap through is tested here"
    )


async def _network() -> str:
    code, said = await _run(["--unshare-user", "--unshare-net", *_WHOLE, "true"])
    if code:
        fix = distribution.allow_user_namespaces(system.os_release(), apparmor="RTM" in said)
        raise SandboxUnavailable(f"it cannot be made: {said}", fix)
    return "it can be made, with nothing but a loopback of its own"


async def _nested() -> str:
    return await _runs("a ban on them", "--unshare-user", "--disable-userns", *_WHOLE, "true")


async def _filter() -> str:
    with Handed() as handed:
        number = handed.data(seccomp.program(system.machine()))
        words = [*_OWN, "--seccomp", str(number), "sh", "-c", _FILTERED]
        code, said = await _run(words, handed.descriptors)
    if code:
        raise SandboxUnavailable(
            f"the filter does not take effect: {said or 'the kernel does not report it'}",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        )
    return "it takes effect"


async def _python() -> str:
    for path in PYTHONS:
        if system.exists(path):
            code, said = await _run([*_WHOLE, path, "-I", "-S", "-c", _VERSION])
            if code == 0:
                return f"{path} runs"
            raise SandboxUnavailable(f"`{path}` does not do: {said}", _python_fix())
    raise SandboxUnavailable("there is no Python 3 in /usr", _python_fix())


_VERSION = "import sys; sys.exit(sys.version_info < (3, 8) and 'it is older than 3.8' or 0)"


def _python_fix() -> str:
    return distribution.install("python3", system.os_release())


def _limits() -> Finding:
    held = cgroups.enforceable()
    wanted = set(cgroups.CONTROLLERS.values())
    if wanted <= set(held):
        return Finding("control groups", "ok", "memory, processes and processor time are limited")
    what = f"only {', '.join(held)}" if held else "nothing"
    return Finding(
        "control groups",
        "warning",
        f"{what} can be limited for a sandbox as a whole; each program in it still is",
        "log in through systemd (`systemctl --user` must work), which hands a part of the tree to"
        " you, or start glovebox with `systemd-run --user --scope -p Delegate=yes glovebox …`",
    )


def _toolchains() -> Finding:
    if said := carry.notes():
        fix = "see `docs/local.md` for what is carried inside and what is not"
        return Finding("toolchains at home", "warning", "; ".join(said), fix)
    names = ", ".join(one.name for one in carry.found().toolchains)
    return Finding("toolchains at home", "ok", f"inside as well: {names}" if names else "none")


def _grammars() -> Finding:
    python = next((path for path in PYTHONS if system.exists(path)), "")
    what, fix = grammars.examined(python)
    return Finding("code intelligence", "warning" if fix else "ok", what, fix)


async def _whole(spec: SandboxSpec, root: Path) -> str:
    network = await trial(open_backend("local", root), spec)
    return f"it starts and holds, with the network `{network}`"


async def _runs(what: str, *words: str) -> str:
    code, said = await _run(list(words))
    if code:
        raise remedies.failed(said, code)
    return f"{what} works"


async def _run(words: Sequence[str], descriptors: Sequence[int] = ()) -> tuple[int, str]:
    """Run bubblewrap as a sandbox of ours is run: as nobody for root, with nothing of ours."""
    if not _bwrap():
        raise SandboxUnavailable("not tested: bubblewrap is missing")
    # It prints its version on stdout, which goes nowhere; a shell brings it round.
    argv = ["/bin/sh", "-c", 'exec "$@" >&2', "sh", _bwrap(), *words]
    user = NOBODY if env.is_root() else None
    try:
        child = await launch(argv, pass_fds=descriptors, env={"PATH": "/usr/bin:/bin"}, user=user)
    except OSError as error:
        raise SandboxError(f"it cannot be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(_SECONDS):
            code = await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
        return 1, f"it did not end within {_SECONDS:g} seconds"
    return code, child.stderr
