"""Which language server answers for a language, and its life: on demand, one a root, then gone.

Only servers that are there are used: on the path, or among the tools of the repository itself. A
person may say which one it is for a language, or that it is none. An answer that does not come in
time is done without.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from agent.toolbox.symbols.rpc import LanguageServer, Late, ServerFailed

START_SECONDS = 8.0
IDLE_SECONDS = 60.0
RUNNING_MAX = 3
VERSION_SECONDS = 5.0
CHOSEN = "GLOVEBOX_SERVERS"
WATCHER = "language servers"

_SCRIPTS = ("typescript", "tsx", "javascript")
_FOLDERS = (".venv/bin", "venv/bin", "env/bin", "node_modules/.bin", "bin")


class Kind(NamedTuple):
    """A server: how it is called, for which languages, and what it needs to be of use.

    `needs` are files of which the root must have one, `least` the lowest version that speaks the
    protocol. One that is not `wide` knows the files it was shown, not the whole tree.
    """

    name: str
    languages: Tuple[str, ...]
    argv: Tuple[str, ...]
    needs: Tuple[str, ...] = ()
    least: int = 0
    wide: bool = True

    @property
    def key(self) -> str:
        """Tells servers apart that are called in different ways."""
        return " ".join(self.argv + self.needs)


KINDS = (
    Kind("ty", ("python",), ("ty", "server")),
    Kind("pyrefly", ("python",), ("pyrefly", "lsp")),
    Kind("pyright", ("python",), ("pyright-langserver", "--stdio")),
    Kind("basedpyright", ("python",), ("basedpyright-langserver", "--stdio")),
    Kind("tsc", _SCRIPTS, ("tsc", "--lsp", "--stdio"), least=7),
    Kind("tsgo", _SCRIPTS, ("tsgo", "--lsp", "--stdio")),
    Kind("typescript-language-server", _SCRIPTS, ("typescript-language-server", "--stdio")),
    # With its index on it writes into the repository.
    Kind(
        "clangd",
        ("c", "cpp"),
        ("clangd", "--background-index=false", "--log=error"),
        needs=("compile_commands.json", "build/compile_commands.json", "compile_flags.txt"),
        wide=False,
    ),
    Kind("gopls", ("go",), ("gopls", "serve"), needs=("go.mod", "go.work")),
    Kind("rust-analyzer", ("rust",), ("rust-analyzer",), needs=("Cargo.toml",)),
)

IDS = {"tsx": "typescriptreact", "c-sharp": "csharp", "bash": "shellscript"}
"""What the protocol calls a language where it has another name for it."""


class Running(NamedTuple):
    """A server that can be asked."""

    name: str
    wide: bool
    server: LanguageServer
    key: str = ""


_lock = threading.RLock()
_running: Dict[Tuple[str, str], LanguageServer] = {}
_given_up: Dict[Tuple[str, str], float] = {}
_known: Dict[Tuple[str, str], Optional[str]] = {}
_told: Dict[str, Dict[str, str]] = {}
_watching: List[threading.Thread] = []
_GIVEN_UP_SECONDS = 300.0


def find(root: str, language: str) -> Optional[Tuple[Kind, str]]:
    """The server that would answer here, and where its program is; starts none."""
    for kind in _kinds(language):
        if _given_up.get((root, kind.key), 0.0) < time.monotonic():
            program = _program(root, kind)
            if program is not None:
                return kind, program
    return None


def _kinds(language: str) -> List[Kind]:
    """The servers of a language: the one that a person chose for it, or those we know."""
    chosen = _chosen()
    if language not in chosen:
        return [kind for kind in KINDS if language in kind.languages]
    argv = chosen[language]
    if not argv:
        return []
    name = os.path.basename(argv[0])
    known = [kind for kind in KINDS if kind.argv[0] == name]
    # What a server of that name needs is left to whoever chose it.
    like = known[0] if known else Kind(name, (language,), argv)
    return [like._replace(argv=argv, needs=())]


def _chosen() -> Dict[str, Tuple[str, ...]]:
    """The commands that a person chose, by language; programs inside can write it as well."""
    try:
        value: Any = json.loads(os.environ.get(CHOSEN, "") or "{}")
        return {str(name): tuple(map(str, words)) for name, words in value.items()}
    except (ValueError, AttributeError, TypeError):
        return {}


def ask_for(root: str, language: str, seconds: float = 0.0) -> Optional[Running]:
    """A server for a language, started if need be; None where there is none, or not in time."""
    found = find(root, language)
    if found is None:
        return None
    kind, program = found
    key = (root, kind.key)
    with _lock:
        server = _running.get(key)
        if server is not None and server.alive:
            return Running(kind.name, kind.wide, server, kind.key)
        _make_room()
        server = None
        try:
            server = LanguageServer([program, *kind.argv[1:]], root)
            server.initialize(seconds or START_SECONDS)
        except (ServerFailed, Late):
            if server is not None:
                server.end()
            _given_up[key] = time.monotonic() + _GIVEN_UP_SECONDS
            return None
        _running[key] = server
        _watch()
    return Running(kind.name, kind.wide, server, kind.key)


def give_up(root: str, running: Running) -> None:
    """End a server that is of no use, and do not start it again for a while."""
    with _lock:
        _running.pop((root, running.key), None)
        _given_up[root, running.key] = time.monotonic() + _GIVEN_UP_SECONDS
    running.server.end()


def sync(root: str, tokens: Dict[str, str]) -> None:
    """Tell the servers of a root which files have changed since they were last told."""
    with _lock:
        before, _told[root] = _told.get(root, tokens), tokens
        concerned = [server for (where, _), server in _running.items() if where == root]
    if before is tokens or not concerned:
        return
    changed = [path for path, token in tokens.items() if before.get(path) != token]
    changed += [path for path in before if path not in tokens]
    for server in concerned:
        with contextlib.suppress(ServerFailed):
            server.changed([os.path.join(root, path) for path in changed])


def running() -> List[LanguageServer]:
    """The servers that are up."""
    with _lock:
        return list(_running.values())


def forget() -> None:
    """Look for servers anew, those that were given up included."""
    with _lock:
        _given_up.clear()
        _known.clear()
        _told.clear()


def end_all() -> None:
    """End every server."""
    with _lock:
        servers = list(_running.values())
        _running.clear()
    for server in servers:
        server.end()


def _make_room() -> None:
    for key, server in sorted(_running.items(), key=lambda item: item[1].used):
        if not server.alive or len(_running) >= RUNNING_MAX:
            del _running[key]
            server.end()


def _watch() -> None:
    """Have somebody end what nobody uses, what has died, and what grows too large."""
    if not any(thread.is_alive() for thread in _watching):
        thread = threading.Thread(target=_look_after, daemon=True, name=WATCHER)
        _watching[:] = [thread]
        thread.start()


def _look_after() -> None:
    while True:
        threading.Event().wait(1.0)
        with _lock:
            for key, server in list(_running.items()):
                server.weigh()
                if not server.alive or time.monotonic() - server.used > IDLE_SECONDS:
                    del _running[key]
                    server.end()
            if not _running:
                _watching.clear()
                return


def _program(root: str, kind: Kind) -> Optional[str]:
    key = (root, kind.key)
    if key not in _known:
        _known[key] = _looked_for(root, kind)
    return _known[key]


def _looked_for(root: str, kind: Kind) -> Optional[str]:
    if kind.needs and not any(os.path.exists(os.path.join(root, name)) for name in kind.needs):
        return None
    folders = [os.path.join(root, folder) for folder in _FOLDERS]
    folders.append(os.path.join(os.path.expanduser("~"), ".local", "bin"))
    name = kind.argv[0]
    if os.path.dirname(name):
        name = os.path.join(root, name)
    program = shutil.which(name, path=os.pathsep.join(folders)) or shutil.which(name)
    if program is None or (kind.least and _version(program) < kind.least):
        return None
    return program


def _version(program: str) -> int:
    """The first number of a program's version; 0 when it says none."""
    try:
        done: Any = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(rb"(\d+)\.\d+", done.stdout)
    return int(match.group(1)) if match else 0
