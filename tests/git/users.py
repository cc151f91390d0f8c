"""What a user does with git, and a look at everything of theirs that we may not change."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

IDENTITY = ("Ada Lovelace", "ada@example.org")


class User:
    """A user at a repository, with their own git and their own configuration."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def start(cls, root: Path, *args: str) -> User:
        root.mkdir(parents=True, exist_ok=True)
        user = cls(root)
        user.git("init", "--quiet", "--initial-branch=main", *args)
        user.git("config", "user.name", IDENTITY[0])
        user.git("config", "user.email", IDENTITY[1])
        return user

    def git(self, *args: str, stdin: bytes = b"", ok: bool = True, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *args], cwd=cwd or self.root, input=stdin, capture_output=True, check=False
        )
        if ok and done.returncode:
            raise AssertionError(f"git {args}: {done.stderr.decode('utf-8', 'replace')}")
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def write(self, name: str | bytes, text: str | bytes = "text\n", mode: int = 0o644) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)

    def path(self, name: str | bytes) -> Path:
        return self.root / (
            name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
        )

    def commit(self, message: str = "work", **files: str) -> str:
        for name, text in files.items():
            self.write(name, text)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def tree(self, commit: str) -> dict[str, tuple[str, bytes]]:
        """Path to mode and content (for a submodule its commit) of all that `commit` holds."""
        found: dict[str, tuple[str, bytes]] = {}
        for entry in self.git("ls-tree", "-r", "-z", commit).split("\0"):
            if entry:
                facts, _, name = entry.partition("\t")
                mode, kind, oid = facts.split(" ")
                found[name] = (mode, oid.encode() if kind == "commit" else self.blob(oid))
        return found

    def blob(self, oid: str) -> bytes:
        return subprocess.run(
            ["git", "cat-file", "blob", oid], cwd=self.root, capture_output=True, check=True
        ).stdout

    def refs(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").split("\n")
        return dict(line.split(" ") for line in lines if line)


@dataclass(frozen=True)
class Look:
    """Everything of the user's: two looks are equal when nothing of theirs changed."""

    status: str
    head: str
    refs: dict[str, str]
    files: dict[str, str]


def look(user: User) -> Look:
    """Take a look. Ours (`refs/heads/glovebox/*`, `refs/glovebox/**`, objects) is left out."""
    files = {
        str(path.relative_to(user.root)): _state(path)
        for path in sorted(user.root.rglob("*"))
        if not path.is_dir() and not _ours(path.relative_to(user.root).parts)
    }
    refs = {name: value for name, value in user.refs().items() if not _our_ref(name)}
    status = user.git("--no-optional-locks", "status", "--porcelain=v2", "-z", "--branch")
    return Look(status, (user.root / ".git/HEAD").read_text(), refs, files)


def _our_ref(name: str) -> bool:
    return name.startswith(("refs/glovebox/", "refs/heads/glovebox/"))


def _ours(parts: tuple[str, ...]) -> bool:
    inner = parts[1:] if parts[0] == ".git" else ()
    ref = inner[1:] if inner[:1] == ("logs",) else inner
    return (
        inner[:1] in (("objects",), ("glovebox",))
        or ref[:2] == ("refs", "glovebox")
        or ref[:3] == ("refs", "heads", "glovebox")
    )


def _state(path: Path) -> str:
    found = path.lstat()
    if path.is_symlink():
        return f"link {path.readlink()}"
    if not path.is_file():
        return f"special {found.st_mode:o}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    # Whoever reads a split index, the user's own `git status` included, touches its shared part.
    touched = 0 if path.name.startswith("sharedindex.") else found.st_mtime_ns
    return f"{found.st_mode:o} {touched} {found.st_ino} {digest}"
