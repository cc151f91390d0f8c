"""What an attack is, and the trusting user that it is tried on to see it bite."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.git.packs import Pack
from tests.git.users import User

FILE, LINK, DIR = b"100644", b"120000", b"40000"
REF = "refs/glovebox/out"


@dataclass(frozen=True)
class Made:
    """A bundle, or the program line that puts something else in its place; and its tip."""

    data: bytes
    tip: str
    place: str = ""


@dataclass
class Target:
    """Whom it is aimed at: `head` is what was sent inside, `hidden` a commit that never was."""

    user: User
    head: str
    hidden: str


@dataclass
class Naive:
    """Somebody who does with the bundle what is written in every tutorial."""

    user: User
    bundle: Path
    made: Made
    target: Target
    marker: Path

    def git(self, *args: str, limit: str = "") -> subprocess.CompletedProcess[bytes]:
        """Run git as they would, perhaps under a shell's `limit`; nothing is raised."""
        line = f"{limit}\nexec git {shlex.join(args)}"
        return subprocess.run(["sh", "-c", line], cwd=self.user.root, capture_output=True)

    def fetch(self) -> bool:
        """Fetch it into a ref; whether git was content."""
        return (
            self.git("fetch", "-q", str(self.bundle), f"+{REF}:refs/heads/theirs").returncode == 0
        )

    def unbundle(self) -> bool:
        """The other way: unpack it, and set a branch to what it says."""
        unpacked = self.git("bundle", "unbundle", str(self.bundle)).returncode == 0
        return (
            unpacked and not self.git("update-ref", "refs/heads/theirs", self.made.tip).returncode
        )

    def pull(self) -> bool:
        pull = ("pull", "-q", "--no-rebase", "--no-edit", str(self.bundle), REF)
        return self.git(*pull).returncode == 0

    def broken(self) -> bool:
        """Whether what is here now is what git itself calls broken."""
        done = self.git("fsck", "--strict", "--full")
        return done.returncode != 0 or b"warning in" in done.stderr


Build = Callable[[Pack, Target], Made]
Bites = Callable[[Naive], bool]


@dataclass(frozen=True)
class Attack:
    """`bites` says whether it hurt a naive user. `taken` is for what may arrive on our branch,
    because there it harms nobody; all else has to be refused. `costly` is measured, too."""

    build: Build
    bites: Bites
    taken: bool = False
    costly: bool = False


def accepted(naive: Naive) -> bool:
    """git fetched it without a word, and by its own judgment the repository is broken now."""
    return naive.fetch() and naive.broken()


def unpacked(naive: Naive) -> bool:
    """git refuses to fetch it, yet unpacks it, and the repository is broken now."""
    return naive.unbundle() and naive.broken()


def tip_of(tree: str, pack: Pack, target: Target) -> Made:
    """The usual bundle: a child of what was sent, with this tree."""
    tip = pack.commit(tree, target.head)
    return Made(pack.bundle(tip, target.head), tip)


def one_file(pack: Pack, name: bytes = b"x", body: bytes = b"x\n") -> str:
    return pack.tree((FILE, name, pack.blob(body)))
