"""The user's repository as the host sees it: found, named, asked. Nothing here writes to it,
except its random project id at `<common dir>/glovebox/project`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from agent.core.errors import UserError
from agent.git.guard import Git, Settings, clean_environment, complaint, launch
from agent.host import disk, env, files
from agent.host.process import Completed

OLDEST_GIT = (2, 32)  # knows GIT_CONFIG_COUNT and GIT_CONFIG_GLOBAL: before it the guard is blind

_OWN = ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
_ASKED = r"^((user|author|filter|hook|core)\.|remote\..*\.promisor$)"

Config = Mapping[str, str]


class Identity(NamedTuple):
    """Who commits are by."""

    name: str
    email: str

    def environment(self) -> dict[str, str]:
        """The variables that make git use it as author and committer."""
        return {
            "GIT_AUTHOR_NAME": self.name,
            "GIT_AUTHOR_EMAIL": self.email,
            "GIT_COMMITTER_NAME": self.name,
            "GIT_COMMITTER_EMAIL": self.email,
        }


class NoRepository(UserError):
    """There is no repository around a place."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with a working tree.

    `head` is "" before the first commit, `branch` on a detached HEAD. `config` is what the user
    set, last value first served. `plain` says that the user knows nothing of it: see `plain`.
    """

    root: Path
    git_dir: Path
    common_dir: Path
    head: str
    branch: str
    config: Config
    plain: bool = False

    @classmethod
    async def find(cls, start: Path) -> Repository:
        """The repository around `start`. Raises `UserError` with the remedy if it cannot serve."""
        await _check_version()
        await _check_kind(start)
        root = Path((await _ask(start, "rev-parse", "--show-toplevel")).text)
        git_dir = Path((await _ask(start, "rev-parse", "--absolute-git-dir")).text)
        common = await _ask(start, "rev-parse", "--path-format=absolute", "--git-common-dir")
        head = await _ask(start, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")
        branch = await _ask(start, "symbolic-ref", "--quiet", "HEAD")
        return cls(
            root=root,
            git_dir=git_dir,
            common_dir=Path(common.text),
            head=head.text if head.exit_code == 0 else "",
            branch=branch.text.removeprefix("refs/heads/") if branch.exit_code == 0 else "",
            config=await read_config(start),
        )

    @property
    def objects(self) -> Path:
        """The user's object directory; to be read as an alternate, never written by hand."""
        return self.common_dir / "objects"

    @property
    def git(self) -> Git:
        """Disarmed git in the user's repository, for reading and for moving our own refs."""
        hooks = {k.rsplit(".", 1)[0] for k in self.config if k.startswith("hook.")}
        off: Settings = tuple((f"{name}.enabled", "false") for name in sorted(hooks))
        return Git(self.git_dir, settings=off, extra=self.who.environment())

    @property
    def partial(self) -> bool:
        """Whether this is a partial clone, which expects git to fetch what it lacks."""
        return any(key.endswith(".promisor") for key in self.config)

    @property
    def shallow(self) -> tuple[str, ...]:
        """The commits at which a shallow clone was cut; none when the history is whole."""
        if disk.look(self.common_dir, b"shallow").kind == "absent":
            return ()
        return tuple(files.read_text(self.common_dir / "shallow").split())

    async def project_id(self) -> str:
        """A random id of this clone, the same for all its worktrees and for ever."""
        path = self.common_dir / "glovebox" / "project"
        if not files.exists(path):  # to look is possible where nothing can be written
            disk.write_once(path, f"{secrets.token_hex(8)}\n".encode())
        found = files.read_text(path, limit=1000).strip()
        if not re.fullmatch(r"[0-9a-f]{16}", found):
            raise UserError(f"`{path}` is damaged", "delete it; its old sessions lose their tie")
        return found

    async def descends(self, *commits: str) -> bool:
        """Whether all these commits are here, each an ancestor of the next."""
        for old, new in pairwise(commits):
            words = ("merge-base", "--is-ancestor", old, new)
            if (await self.git.run(*words, ok=(0, 1, 128))).exit_code:
                return False
        return True

    @property
    def who(self) -> Identity:
        """Name and e-mail address for commits, from the user's own git configuration."""
        return Identity(
            name=self._first("author.name", "user.name") or "glovebox user",
            email=self._first("author.email", "user.email") or "user@localhost",
        )

    async def identity(self) -> Identity:
        """`who`, as a tuple of name and e-mail address."""
        return self.who

    def _first(self, *keys: str) -> str:
        values = (re.sub(r"[\x00-\x20<>\x7f]+", " ", self.config.get(k, "")).strip() for k in keys)
        return next((value for value in values if value), "")


async def _ask(start: Path, *args: str) -> Completed:
    # The only calls that see the user's own configuration: which directories git may trust, who
    # the user is, what is ignored. `rev-parse`, `symbolic-ref` and `config` start no program.
    own = {name: env.variable(name) for name in (*_OWN, "SUDO_UID") if env.variable(name)}
    plain = clean_environment()
    for name in ("HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"):
        del plain[name]
    return await launch(["git", "-C", str(start), *args], plain | own)


async def _check_version() -> None:
    done = await launch(["git", "version"], clean_environment())
    found = re.search(r"(\d+)\.(\d+)", done.text)
    if not found or (int(found[1]), int(found[2])) < OLDEST_GIT:
        raise UserError(f"git 2.32 or newer is needed, here is `{done.text}`", "update git")


async def _check_kind(start: Path) -> None:
    if not disk.is_dir(start):
        raise UserError(f"`{start}` is not a directory", "name one that lies in a git repository")
    done = await _ask(start, "rev-parse", "--is-inside-work-tree", "--show-object-format")
    if "dubious ownership" in done.problem:
        named = re.search(r"in repository at '([^']+)'", done.problem)
        raise UserError(
            f"the repository around `{start}` belongs to another user, so git does not trust it",
            "run glovebox as its owner, or trust it with"
            f" `git config --global --add safe.directory {named[1] if named else start}`",
        )
    inside, _, kind = done.text.partition("\n")
    if inside == "false" or "safe.bareRepository" in done.problem:
        raise UserError(
            f"`{start}` is in a bare repository or inside a `.git` directory",
            "start in a working tree; `git worktree add` makes one for a bare repository",
        )
    if done.exit_code:
        raise NoRepository(
            f"`{start}` is not in a git repository: {complaint(done)}",
            "change to one, name one with -C, or make one with `git init` and a first commit",
        )
    if kind != "sha1":
        raise UserError(
            f"the repository around `{start}` names its objects by {kind}, which is not supported",
            "use a clone in the SHA-1 format",
        )


async def read_config(start: Path) -> Config:
    """What the user set, as far as this room asks for it."""
    done = await _ask(start, "config", "--null", "--get-regexp", _ASKED)
    pairs = (entry.partition("\n") for entry in done.text.split("\0") if entry)
    found = {key: value for key, _, value in pairs}
    for key in ("core.excludesfile", "core.attributesfile"):
        if key in found:  # `~` and `~user` are git's to expand
            found[key] = (await _ask(start, "config", "--type=path", "--get", key)).text
    return found
