"""glovebox as a process, a provider as a server, a repository as a user has one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agent.core.events import Record
from agent.sandbox.registry import open_backend
from tests.servers.openai import OpenAIServer

MODEL = "openai/test-model"
ODD_NAME = b"odd \n\xe9.txt"


@dataclass(frozen=True)
class Ran:
    """How a run of glovebox ended."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[Record]:
        return [msgspec.json.decode(line, type=Record) for line in self.out.splitlines()]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line)["event"] for line in self.out.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


class User:
    """A person with a home, an environment and a repository at `repo`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.repo = home / "repo"
        self.state = home / "state"
        self.state.mkdir(mode=0o711, exist_ok=True)
        (self.state / "glovebox").mkdir(mode=0o711, exist_ok=True)
        (home / "tmp").mkdir(mode=0o711, exist_ok=True)
        self.environment = {
            "TMPDIR": str(home / "tmp"),
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_STATE_HOME": str(self.state),
            "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"],
            "LANG": "C.UTF-8",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "OPENAI_API_KEY": "sk-canary-key",
            "CANARY": "canary-of-the-host",
            "PYTHONWARNINGS": "default",
        }

    def git(self, *arguments: str | bytes, at: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=at or self.repo,
            env=self.environment,
            capture_output=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"git {arguments!r}: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def start(self, files: dict[str, str] | None = None) -> None:
        """A repository with one commit."""
        self.repo.mkdir()
        self.git("init", "-q", "-b", "main")
        for key, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
            self.git("config", key, value)
        for name, text in (files or {"hello.txt": "hello\n"}).items():
            (self.repo / name).parent.mkdir(parents=True, exist_ok=True)
            (self.repo / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "start")

    def argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "agent", *arguments]

    def glovebox(
        self,
        *arguments: str,
        server: OpenAIServer | None = None,
        stdin: str | None = None,
        environment: dict[str, str] | None = None,
        at: Path | None = None,
        within: Sequence[str] = (),
    ) -> Ran:
        """Run glovebox in the repository and wait for it."""
        done = subprocess.run(
            [*within, *self.argv(*arguments)],
            cwd=at or self.repo,
            env=self.with_server(server) | (environment or {}),
            input=None if stdin is None else stdin.encode(),
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
            timeout=240,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def with_server(self, server: OpenAIServer | None) -> dict[str, str]:
        if server is None:
            return self.environment
        return self.environment | {"OPENAI_BASE_URL": server.url, "OPENAI_API_BASE": server.url}

    def journals(self) -> list[Path]:
        """All journals, the one written last at the end."""
        found = (self.state / "glovebox" / "sessions").glob("*/journal.jsonl")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def has_session(self) -> bool:
        """Whether `--continue` would find one."""
        return any((self.state / "glovebox" / "projects").glob("*/*/session"))

    def fingerprint(self) -> dict[str, Any]:
        """Everything of the repository that is the user's, byte by byte where it is a file."""
        git_dir = self.repo / ".git"
        refs = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return {
            "status": self.git("status", "--porcelain=v2", "--ignored", "-z"),
            "refs": [ref for ref in refs if "glovebox/" not in ref],
            "stash": self.git("stash", "list"),
            "reflog": self.git("reflog", "show", "HEAD"),
            "files": {
                str(path.relative_to(git_dir)): path.read_bytes()
                for path in [git_dir / "index", git_dir / "HEAD", git_dir / "config"]
                + [p for p in (git_dir / "hooks").rglob("*") if p.is_file()]
            },
            "worktree": tree(self.repo),
        }


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Type, mode, modification time and content of all files outside `.git`."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for root, folders, names in os.walk(os.fsencode(folder)):
        if b".git" in folders:
            folders.remove(b".git")
        for name in names:
            path = os.path.join(root, name)
            stat = os.lstat(path)
            data = (
                os.readlink(path) if os.path.islink(path) else Path(os.fsdecode(path)).read_bytes()
            )
            found[os.fsdecode(path)] = (stat.st_mode, stat.st_mtime_ns, data)
    return found


def big_repository(user: User, *, files: int = 3000) -> None:
    """Many files, dirty, untracked and ignored ones, a submodule, modes, links, odd names."""
    user.start({f"src/p{n % 50}/m{n}.py": f"VALUE = {n}\n" for n in range(files)})
    repo = user.repo
    library = user.home / "library"
    library.mkdir()
    user.git("init", "-q", "-b", "main", at=library)
    (library / "lib.txt").write_text("library\n")
    user.git("add", "-A", at=library)
    user.git("-c", "user.name=L", "-c", "user.email=l@x", "commit", "-qm", "lib", at=library)
    user.git(
        *("-c", "protocol.file.allow=always", "submodule", "--quiet", "add"),
        *(str(library), "vendor/library"),
    )
    (repo / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "link").symlink_to("src/p0/m0.py")
    (repo / "a file.txt").write_text("space\n")
    Path(os.fsdecode(os.fsencode(repo) + b"/" + ODD_NAME)).write_bytes(b"odd\n")
    (repo / ".gitignore").write_text(".env\nbuild/\n")
    user.git("add", "-A")
    user.git("commit", "-q", "-m", "more")
    (repo / "src/p0/m50.py").write_text("VALUE = 'dirty'\n")
    (repo / "src/p1/m1.py").unlink()
    (repo / "src/p2/m2.py").write_text("VALUE = 'staged'\n")
    user.git("add", "src/p2/m2.py")
    (repo / "new.txt").write_text("untracked\n")
    (repo / ".env").write_text("SECRET=canary-of-env\n")
    (repo / "build").mkdir()
    (repo / "build/out.bin").write_bytes(b"\0" * 1000)
    (repo / "src/p3/m3.py").write_text("stashed\n")
    user.git("stash", "push", "-q", "src/p3/m3.py")
    hook = repo / ".git/hooks/post-commit"
    hook.write_text("#!/bin/sh\ntouch hook-ran\n")
    hook.chmod(0o755)


def traces(user: User) -> list[str]:
    """The command lines of all processes that have anything to do with this user's files."""
    mark = os.fsencode(user.home)
    found: list[str] = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes()
            if not command:
                continue  # a zombie, which its parent is about to reap
            seen = command + (process / "mountinfo").read_bytes()
            seen += (process / "environ").read_bytes()
        except OSError:
            continue
        if mark in seen:
            found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


async def destroy_sandboxes(root: Path) -> None:
    """Free what a test's sessions left, through the backend's own door."""
    backend = open_backend("local", root)
    for ref in await backend.find({}):
        await backend.destroy(ref)
