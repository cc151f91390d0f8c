"""The grammars that tell inside what is in a file of code: chosen, bundled, and brought in.

Which ones do depends on the Python inside, its processor and its libc; all three show in the ending
of extension modules there ("the target"). This environment's own grammars serve every target of the
same processor and libc; only tree-sitter itself is built for one version of Python, and comes from
a wheel where the versions differ. Without grammars, regular expressions do inside.

A bundle never delays a start: local sandboxes have it bound, others get it behind the first calls.
Only for those, which have a network to begin with, is anything ever fetched.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from agent.core.errors import GloveboxError, UserError
from agent.host import extensions, system
from agent.sandbox.protocol import Sandbox
from agent.sandbox.wheels import WHEELS

PLACE = "/run/agent/grammars"
"""Where a local sandbox has them."""

CORE = "tree_sitter"
GRAMMARS = (
    *("tree_sitter_bash", "tree_sitter_c", "tree_sitter_c_sharp", "tree_sitter_cpp"),
    *("tree_sitter_css", "tree_sitter_go", "tree_sitter_html", "tree_sitter_java"),
    *("tree_sitter_javascript", "tree_sitter_json", "tree_sitter_kotlin", "tree_sitter_php"),
    *("tree_sitter_python", "tree_sitter_ruby", "tree_sitter_rust", "tree_sitter_toml"),
    *("tree_sitter_typescript", "tree_sitter_yaml"),
)
LAST = ".last"
"""A file that is carried after all others: with it there, they are."""
OLDEST_MINOR = 10
FETCH_SECONDS = 300.0

Carry = Callable[[str, str], Awaitable[None]]
"""Copies a file, or of `FOLDER/.` all that is in it, to a path inside."""

_TARGET = re.compile(r"\.cpython-3(\d{1,2})-(x86_64|aarch64)-linux-(gnu|musl)\.so")
_PLATFORMS = {"gnu": "manylinux", "musl": "musllinux"}
_TAGS = {
    "gnu": ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_5", "manylinux1"),
    "musl": ("musllinux_1_2",),
}
_WITHOUT = "code is outlined by regular expressions"
_said: dict[str, None] = {}


def notes() -> tuple[str, ...]:
    """Why outlines are made without grammars somewhere, for people."""
    return tuple(_said)


def problem(target: str) -> str:
    """Why there is no tree-sitter for this target at all; "" when there is."""
    match = _TARGET.fullmatch(target)
    if match is None:
        # What the inside says of itself is shown to people only when it is harmless.
        kind = target if re.fullmatch(r"[\w.-]+", target, re.ASCII) else "unknown"
        return f"there is no tree-sitter for a Python of the kind `{kind}`"
    if int(match[1]) < OLDEST_MINOR:
        return f"tree-sitter needs Python 3.{OLDEST_MINOR} or newer, the sandbox has 3.{match[1]}"
    if _core(target) is None:
        return f"there is no tree-sitter for Python 3.{match[1]} on {match[2]} with {match[3]} libc"
    return ""


def told(target: str, *, here: bool = True) -> tuple[str, ...]:
    """What a person should know of a sandbox with this Python; `here`: its bundle can be had."""
    why = problem(target)
    if not why and not here:
        why = "tree-sitter for its Python is not here; `glovebox doctor` tells how to get it"
    return (f"{_WITHOUT}: {why}",) if why else ()


def found(target: str) -> Path | None:
    """The directory of the bundle for a target; None where parts of it are missing here."""
    sources = _sources(target)
    if sources is None:
        return None
    return extensions.stamped(sources, target) or extensions.keep(sources, target)


def local_target(python: str) -> str:
    """The target of a Python of this machine's, told by its name alone; "" when it does not say."""
    match = re.search(r"python3\.(\d+)$", system.real_path(python))
    libc = "musl" if any(n.startswith("ld-musl-") for n in system.names_in("/lib")) else "gnu"
    return f".cpython-3{match[1]}-{system.machine()}-linux-{libc}.so" if match else ""


def for_local(python: str) -> str:
    """The directory to bind for local sandboxes, "" when there is none; for a thread."""
    target = local_target(python)
    try:
        folder = None if problem(target) else found(target)
    except (UserError, OSError) as error:
        _note(str(error))
        return ""
    if folder is None:
        _note(problem(target) or f"tree-sitter for the Python of the sandbox is not here: {target}")
    return str(folder or "")


def examined(python: str) -> tuple[str, str]:
    """What a local sandbox with this Python has of tree-sitter, and how to mend that, or ""."""
    target = local_target(python)
    if said := problem(target):
        return (
            f"{said}: {_WITHOUT}",
            "install Python 3.10 or newer as the system's `python3` to get more",
        )
    if for_local(python):
        return f"tree-sitter with {len(GRAMMARS)} grammars", ""
    minor = target.removeprefix(".cpython-3").partition("-")[0]
    wheel = _requirement(_core(target) or "")
    return (
        f"tree-sitter for Python 3.{minor}, which the sandbox has, is not here: {_WITHOUT}",
        f"`python3 -m pip download --no-deps --only-binary=:all: --python-version 3.{minor}"
        f" --dest {extensions.wheels()} {wheel}`",
    )


async def bring(sandbox: Sandbox, target: str, folder: str, carry: Carry | None = None) -> str:
    """Have the bundle inside; its directory there, whose name begins with `folder`, or "".

    It goes in as an archive, or by `carry` to where nothing in there can write. Goes on behind
    whatever else is done in the sandbox, and never raises for its own reasons.
    """
    try:
        return await _bring(sandbox, target, folder, carry)
    except (GloveboxError, OSError) as error:
        _note(f"the grammars did not get into the sandbox: {error}")
        return ""


async def _bring(sandbox: Sandbox, target: str, folder: str, carry: Carry | None) -> str:
    if said := problem(target):
        _note(said)
        return ""
    own = await asyncio.to_thread(found, target)
    if own is None and not (said := await fetch(target)):
        own = await asyncio.to_thread(found, target)
    if own is None:
        _note(f"tree-sitter for the sandbox could not be fetched: {said}")
        return ""
    inside = f"{folder}-{own.name}"
    wanted = {"folder": inside, "last": LAST if carry else ""}
    answer = await sandbox.toolbox.call("grammars", **wanted)
    if not answer.get("ready"):
        if carry is None:
            wanted |= await _sent(sandbox, own, inside)
        else:
            await carry(f"{own}/.", inside)
            await carry(f"{own}/{CORE}/_binding{target}", f"{inside}/{LAST}")
        answer = await sandbox.toolbox.call("grammars", **wanted)
    return inside if answer.get("ready") is True else ""


async def _sent(sandbox: Sandbox, own: Path, inside: str) -> dict[str, str]:
    data = await asyncio.to_thread(extensions.archive, own)
    await sandbox.put(f"{inside}.tar.gz", data, mode=0o600)
    return {"archive": f"{inside}.tar.gz", "digest": hashlib.sha256(data).hexdigest()}


async def fetch(target: str) -> str:
    """Fetch the wheels that are missing for a target; what went wrong, or ""."""
    wheels = _wheels(target).items()
    wanted = [name for package, name in wheels if _source(package, target) is None]
    match = _TARGET.fullmatch(target)
    if match is None or not wanted:
        return ""
    minor, machine, libc = match.groups()
    words = [
        *("--implementation", "cp", "--python-version", f"3.{minor}"),
        *("--abi", f"cp3{minor}", "--abi", "abi3"),
        *(word for tag in _TAGS[libc] for word in ("--platform", f"{tag}_{machine}")),
    ]
    lines = [f"{_requirement(name)} --hash=sha256:{WHEELS[name]}\n" for name in wanted]
    return await extensions.download(words, "".join(lines), FETCH_SECONDS)


def _sources(target: str) -> dict[str, Path] | None:
    """Every file of a bundle by its name in there; None when one of them is missing."""
    sources: dict[str, Path] = {}
    for package in (CORE, *GRAMMARS):
        path = _source(package, target)
        if path is None:
            return None
        ending = target if package == CORE else ".abi3.so"
        sources[f"{package}/_binding{ending}"] = path
    return sources


def _source(package: str, target: str) -> Path | None:
    """The extension module of one package for a target: this environment's, or a wheel's."""
    own = _installed().get(package)
    if own is not None and _serves(own.name, target):
        return own
    return _unpacked(_wheels(target).get(package, ""))


def _serves(name: str, target: str) -> bool:
    """Whether an extension module of this environment's does for a target."""
    if name == f"_binding{target}":
        return True
    own = extensions.suffix().partition("-")[2].partition("-")[2]
    return name == "_binding.abi3.so" and target.endswith(own)


@functools.lru_cache(1)
def _installed() -> Mapping[str, Path]:
    return extensions.installed((CORE, *GRAMMARS))


def _core(target: str) -> str | None:
    return _wheels(target).get(CORE)


def _wheels(target: str) -> Mapping[str, str]:
    """The wheel of each package that serves a target."""
    match = _TARGET.fullmatch(target)
    if match is None:
        return {}
    minor, machine, libc = match.groups()
    fitting: dict[str, str] = {}
    for name in WHEELS:
        package, _, python, abi, platforms = name.removesuffix(".whl").split("-")
        right = platforms.startswith(_PLATFORMS[libc]) and platforms.endswith(machine)
        if right and (abi == "abi3" or python == f"cp3{minor}"):
            fitting[package] = name
    return fitting


def _unpacked(name: str) -> Path | None:
    if not name:
        return None
    package = name.partition("-")[0]
    wheel = extensions.wheels() / name
    return extensions.unpacked(wheel, WHEELS[name], f"{package}/_binding.*")


def _requirement(name: str) -> str:
    package, version = name.split("-")[:2]
    return f"{package.replace('_', '-')}=={version}"


def _note(text: str) -> None:
    _said[f"{_WITHOUT}: {text}"] = None
