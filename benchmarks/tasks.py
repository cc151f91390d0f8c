"""What a task is, whatever suite it comes from. Adapters in `suites` make these records."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from agent.config import Allowance
from agent.host import disk, files

Protocol = Literal["aider", "blind", "agentic"]
PROTOCOLS: tuple[Protocol, ...] = ("aider", "blind", "agentic")
"""`aider`: tests hidden, a second try in the same conversation gets what the tests printed;
`blind`: tests hidden, one try; `agentic`: tests visible, one try."""

Content = Path | bytes
FILE_MAX_BYTES = 50_000_000


class Work(msgspec.Struct, frozen=True):
    """What an agent made of a task: whole files, or a patch of the whole tree."""

    files: dict[str, bytes] = msgspec.field(default_factory=dict[str, bytes])
    patch: bytes = b""


class Limits(msgspec.Struct, frozen=True):
    """Seconds: of one try of the agent, and of one run of the tests."""

    agent: float = 600.0
    tests: float = 180.0


@dataclass(frozen=True, slots=True)
class Image:
    """What a container is made of: `name` in the engine, built of the directory `context` or of
    another image, `source`. `workdir` is where the task lies in it, "" where the image says."""

    name: str
    context: Path | None = None
    source: str = ""
    workdir: str = ""
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Tree:
    """A work tree: `files`, over those of a directory, of a commit or of an image."""

    files: Mapping[str, Content] = field(default_factory=dict[str, Content])
    folder: Path | None = None
    repository: Path | None = None
    commit: str = ""
    image: Image | None = None


@dataclass(frozen=True, slots=True)
class Grader:
    """How tests are run: a shell script in the work directory, and what reads its report.

    The script leaves report files in the directory `$REPORT`; `report` names their reader in
    `reports`. It finds the task's `hidden` files in the directory `$CHECK`. `needs` are programs or
    commands that must succeed in a sandbox before anything is run, with what to install.
    With `exact` what the report says beyond the expected tests does not count, nor does the exit
    code. `network` says that tests may reach what agents may.
    """

    script: str
    report: str
    needs: tuple[tuple[str, str], ...] = ()
    exact: bool = False
    network: bool = False


@dataclass(frozen=True, slots=True)
class Solver:
    """A script that does the task, run where an agent would be; its `files` are in `$SOLUTION`."""

    script: str
    files: Mapping[str, Content]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task. `id` is `suite/…/name` and unique; `version` is a hash of all that counts.

    The agent has `start`, and `shown` besides where tests are visible. Tests run in `pristine`
    with nothing of the agent's in it but files that fit `solution`, or where that is empty the
    patch of its whole tree; `ignored` says that files which git ignores belong to it. `expected`
    are tests that the data set itself names. `reference`, or what `solver` does, is for the oracle
    alone; without a `grader` there is no verdict. `network` is what agents may reach, "" for what
    the settings say, and `hosts` what "list" allows. Sandboxes are made of `image` where there is
    one, with these variables and limits. `unfit` says why the task cannot be run at all. Scripts
    that answer as a model lie in `folder`.
    """

    id: str
    suite: str
    version: str
    instruction: str
    start: Tree
    pristine: Tree
    grader: Grader | None
    language: str = ""
    shown: Mapping[str, Content] = field(default_factory=dict[str, Content])
    hidden: Mapping[str, Content] = field(default_factory=dict[str, Content])
    solution: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    reference: Work | None = None
    solver: Solver | None = None
    ignored: bool = False
    limits: Limits = field(default_factory=Limits)
    network: Literal["", "none", "list"] = ""
    hosts: tuple[str, ...] = ()
    image: Image | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    allowance: Allowance = field(default_factory=Allowance)
    unfit: str = ""
    model: str = ""
    folder: Path = Path()

    def takes(self, path: str) -> bool:
        """Whether a file of the agent's comes into the grading sandbox."""
        return any(
            fnmatch.fnmatchcase(path, pattern) and path.count("/") == pattern.count("/")
            for pattern in self.solution
        )


def data_of(content: Content) -> bytes:
    """The bytes of a file of a task."""
    if isinstance(content, bytes):
        return content
    return files.read_bytes(content, limit=FILE_MAX_BYTES)


def below(folder: Path, prefix: str = "") -> dict[str, Path]:
    """The files below `folder` by their relative names, sorted."""
    found: dict[str, Path] = {}
    for child in files.children(folder):
        inner = below(child, f"{prefix}{child.name}/")
        found |= inner or ({} if disk.is_dir(child) else {prefix + child.name: child})
    return found


def hash_of(*parts: object) -> str:
    """A short hash of texts, bytes, and files by name."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Mapping):
            for name in sorted(part):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                digest.update(f"{name}\0".encode() + data_of(part[name]) + b"\0")  # pyright: ignore
        else:
            digest.update((part if isinstance(part, bytes) else str(part).encode()) + b"\0")
    return digest.hexdigest()[:16]
