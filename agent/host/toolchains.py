"""The programming languages that the user has installed at home, for a sandbox to use read-only.

Only the directories of single versions are taken, never what a version manager keeps beside them:
settings, caches, credentials. A directory that somebody else could write to, or that is not really
where it seems to be, is left out, and said.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from agent.host import env

VERSIONS_MAX = 12  # of one language
SCRIPTS_MAX = 200

# Settings of a whole installation, which may hold the password of a registry.
HIDDEN = (
    "pip.conf", "etc/pip.conf", "etc/npmrc", ".npmrc", ".pypirc", ".netrc",
    "lib/node_modules/npm/npmrc", "conf/settings.xml",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where a version manager keeps its versions, below its own directory or the home."""

    name: str
    home: str  # the variable that moves it
    folder: str  # where it is without
    versions: str
    bin: str = "bin"
    chosen: str = ""  # the file that names the version in use


_KINDS = (
    _Kind("python", "PYENV_ROOT", ".pyenv", "versions", chosen="version"),
    _Kind("python-uv", "UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", "."),
    _Kind("rust", "RUSTUP_HOME", ".rustup", "toolchains", chosen="settings.toml"),
    _Kind("node", "NVM_DIR", ".nvm", "versions/node", chosen="alias/default"),
    _Kind("node-fnm", "FNM_DIR", ".local/share/fnm", "node-versions", "installation/bin"),
    _Kind("node-volta", "VOLTA_HOME", ".volta", "tools/image/node"),
    _Kind("node-n", "N_PREFIX", "n", "n/versions/node"),
    _Kind("ruby", "RBENV_ROOT", ".rbenv", "versions", chosen="version"),
    _Kind("go", "GOENV_ROOT", ".goenv", "versions", chosen="version"),
    _Kind("go-sdk", "", "sdk", "."),
    _Kind("java", "SDKMAN_DIR", ".sdkman", "candidates/java"),
    _Kind("maven", "SDKMAN_DIR", ".sdkman", "candidates/maven"),
    _Kind("gradle", "SDKMAN_DIR", ".sdkman", "candidates/gradle"),
    _Kind("kotlin", "SDKMAN_DIR", ".sdkman", "candidates/kotlin"),
    *(
        _Kind(f"{name}-{manager.strip('.')}", home, folder, f"installs/{name}")
        for name in ("python", "node", "nodejs", "ruby", "go", "golang", "java", "rust", "zig")
        for manager, home, folder in (
            ("mise", "MISE_DATA_DIR", ".local/share/mise"),
            ("asdf", "ASDF_DATA_DIR", ".asdf"),
        )
    ),
)
# Directories of programs only, and single programs.
_PROGRAMS = (
    ("cargo-programs", "CARGO_HOME", ".cargo", "bin"),
    ("go-programs", "GOPATH", "go", "bin"),
    ("bun", "BUN_INSTALL", ".bun", "bin"),
    ("deno", "DENO_INSTALL_ROOT", ".deno", "bin"),
    ("uv", "", ".local/bin", "uv"),
    ("uvx", "", ".local/bin", "uvx"),
)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """One directory, or one program, to carry. Everything but `path` is relative to it.

    `scripts` are programs in `bin` that name `interpreter` by its place here, which is not where
    it will be inside; `libraries` those that programs look for by their place here.
    """

    name: str
    path: Path
    bin: str = ""
    first: bool = False
    hidden: tuple[str, ...] = ()
    interpreter: str = ""
    scripts: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    single: bool = False  # `path` is a program, no directory


@dataclass(slots=True)
class Found:
    """What there is at home: to carry, and left out with the reason."""

    toolchains: list[Toolchain] = field(default_factory=list[Toolchain])
    left_out: list[str] = field(default_factory=list[str])

    def add(self, toolchain: Toolchain) -> None:
        """Keep one, unless something about it is wrong."""
        if problem := _problem(toolchain.path, toolchain.hidden):
            self.left_out.append(f"{toolchain.name}: {problem}")
        else:
            self.toolchains.append(toolchain)


def find() -> Found:
    """What the user of this process has at home."""
    found = Found()
    for kind in _KINDS:
        base = _base(kind.home, kind.folder)
        for folder, first in _versions(base / kind.versions, _chosen(base, kind), kind.bin):
            found.add(_toolchain(f"{kind.name}-{folder.name}", folder, kind.bin, first))
    for name, home, folder, part in _PROGRAMS:
        path = _base(home, folder) / part
        if path.is_dir() or os.access(path, os.X_OK):
            found.add(Toolchain(name, path, single=not path.is_dir()))
    return found


def has(toolchain: Toolchain, program: str) -> bool:
    """Whether it is, or has, a program of that name."""
    if toolchain.single:
        return toolchain.path.name == program
    return os.access(toolchain.path / toolchain.bin / program, os.X_OK)


def _base(variable: str, folder: str) -> Path:
    given = env.variable(variable) if variable else ""
    return Path(given) if given.startswith("/") else env.home() / folder


def _chosen(base: Path, kind: _Kind) -> str:
    """The version in use, if the manager says so in a way that names one."""
    try:
        text = (base / kind.chosen).read_text("utf-8") if kind.chosen else ""
    except (OSError, UnicodeDecodeError):
        return ""
    quoted = re.search(r'^default_toolchain\s*=\s*"([^"]+)"', text, re.MULTILINE)
    return quoted[1] if quoted else text.strip().partition("\n")[0].strip()


def _versions(place: Path, chosen: str, programs: str) -> Iterator[tuple[Path, bool]]:
    """The versions in `place`, and for each whether it is the one in use; newest first."""
    try:
        names = sorted((e.name for e in os.scandir(place) if e.is_dir()), key=_order, reverse=True)
    except OSError:
        return
    # A second name for a version is no other version.
    real = [n for n in names if not (place / n).is_symlink() and (place / n / programs).is_dir()]
    fitting = [n for n in real if chosen and n in (chosen, f"v{chosen}")]
    first = fitting[0] if fitting else next(iter(real), "")
    for name in [first, *(n for n in real if n != first)][:VERSIONS_MAX] if first else []:
        yield place / name, name == first


def _order(name: str) -> list[tuple[int, str]]:
    return [(int(n or 0), t) for n, t in re.findall(r"(\d+)|(\D+)", name)]


def _toolchain(name: str, folder: Path, programs: str, first: bool) -> Toolchain:
    hidden = tuple(h for h in HIDDEN if os.path.lexists(folder / h))
    interpreter, scripts = _scripts(folder, programs) if first else ("", ())
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return Toolchain(
        safe, folder, programs, first, hidden, interpreter, scripts, _libraries(folder)
    )


def _scripts(folder: Path, programs: str) -> tuple[str, tuple[str, ...]]:
    """The interpreter that scripts name by its path here, and those that do."""
    sign = b"#!" + os.fsencode(folder) + b"/"
    interpreter, scripts = "", list[str]()
    for entry in sorted(os.scandir(folder / programs), key=lambda e: e.name):
        if len(scripts) == SCRIPTS_MAX or not entry.is_file():
            continue
        with contextlib.suppress(OSError), open(entry.path, "rb") as file:
            line = file.readline(400)
            if line.startswith(sign):
                # Of one version there is one, whatever its names are.
                interpreter = interpreter or os.fsdecode(line[len(sign) :].split()[0])
                scripts.append(entry.name)
    return interpreter, tuple(scripts)


def _libraries(folder: Path) -> tuple[str, ...]:
    """Shared libraries that a Python built with them looks for by an absolute path."""
    try:
        names = os.listdir(folder / "lib")
    except OSError:
        return ()
    return tuple(sorted(f"lib/{n}" for n in names if re.fullmatch(r"libpython\d.*\.so\.\d.*", n)))


def _problem(path: Path, hidden: tuple[str, ...]) -> str:
    """Why `path` must not be carried; "" when it may."""
    if path.is_file():
        path = path.resolve()
    elif Path(os.path.realpath(path)) != Path(os.path.realpath(path.parent)) / path.name:
        return "it is a link to somewhere else"
    for place in (path, path / "bin"):
        try:
            status = place.stat()
        except OSError:
            continue
        if status.st_mode & stat.S_IWOTH:
            return "everybody may write to it"
        if status.st_uid not in (0, os.geteuid()):
            return "it belongs to another user"
    if any(not stat.S_ISREG(os.lstat(path / name).st_mode) for name in hidden):
        return "a file with settings in it is not a plain file"
    return ""
