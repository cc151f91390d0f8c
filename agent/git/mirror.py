"""Our refs in the user's repository, each moved only from the value we last put there.

`refs/glovebox/<session>/seed` is what went in, `…/tip` what last came home, `…/undone/<commit>`
what was taken back. They keep those commits from being collected and are ours alone. The branch
`glovebox/<n>` is shared with the user: it moves by compare-and-swap, never while it is checked out
or a symbolic ref, and what they did to it stands; our work then goes to `glovebox/<n>-2`, `-3`, ….
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from agent.core.errors import SyncError, UserError
from agent.git.guard import Git
from agent.git.private import CARRIED
from agent.git.repository import Repository
from agent.host import disk, files

SIBLINGS_MAX = 50
_NOTHING = "0" * 40
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Placed:
    """The branch that has the work now, and what a person should know about its name."""

    branch: str
    note: str = ""


class Mirror:
    """The receiving end of one session, `session` being `[a-z0-9]+`."""

    def __init__(self, repository: Repository, *, session: str) -> None:
        if not re.fullmatch(r"[a-z0-9]+", session):
            raise UserError(f"`{session}` cannot name a session", "use the characters a-z and 0-9")
        self._repository = repository
        self._git = repository.git
        self._refs = f"refs/glovebox/{session}"

    async def private(self, name: str) -> str:
        """The commit of one of our private refs, "" when there is none."""
        return await self._value(f"{self._refs}/{name}")

    async def branch(self, name: str) -> str:
        """The commit of a branch, "" when there is none."""
        return await self._value(f"refs/heads/{name}")

    async def has(self, commit: str) -> bool:
        """Whether the user's repository has that commit."""
        done = await self._git.run("cat-file", "-e", f"{commit}^{{commit}}", ok=(0, 1, 128))
        return done.exit_code == 0

    async def adopt(self, private: Git, commit: str, name: str, *, replaces: bool = False) -> None:
        """Bring `commit`, which a private repository offers, here as the private ref `name`.

        git's own fetch does it: it checks every object again and holds off a gc that runs now.
        Raises `SyncError` when the ref would not move forward, unless it `replaces` what is there.
        """
        ref = f"{self._refs}/{name}"
        refspec = f"{'+' if replaces else ''}{CARRIED}:{ref}"
        await self._git.fetch(private.git_dir, refspec)
        if await self._value(ref) != commit:
            raise SyncError(f"`{ref}` did not become {commit}", "sync again")

    async def set_private(self, name: str, commit: str, old: str) -> None:
        """Move a private ref from `old` ("" for none) to `commit`, with a reflog entry."""
        await self._update(f"{self._refs}/{name}", commit, old, "glovebox")

    async def forget(self) -> None:
        """Remove the private refs: what only they held is git's to collect."""
        listed = await self._git.run("for-each-ref", "--format=%(refname)", f"{self._refs}/")
        for ref in listed.text.splitlines():
            await self._git.run("update-ref", "--no-deref", "-d", ref)

    async def place(self, name: str, commit: str, owned: Collection[str]) -> Placed:
        """Have `commit` on the branch `name` or on the first sibling that can take it.

        `owned` are values we put on the branch; another value is the user's and is left alone.
        """
        reason = ""
        for candidate in _candidates(name):
            refusal = await self._try(candidate, commit, owned)
            if not refusal:
                return Placed(candidate, reason and f"{reason}; the work is on `{candidate}`")
            reason = reason or refusal
        raise SyncError(
            f"no branch could take the work: {reason}",
            f"it is safe as `{self._refs}/tip`; make a branch of that",
        )

    async def move(self, name: str, commit: str, owned: Collection[str]) -> str:
        """Move a branch that is at one of `owned`; the reason when it has to be left alone."""
        return await self._try(name, commit, owned)

    async def _try(self, name: str, commit: str, owned: Collection[str]) -> str:
        ref = f"refs/heads/{name}"
        for _ in range(_TRIES):
            if await self._git.line("symbolic-ref", "--quiet", ref, ok=(0, 1, 128)):
                return f"`{name}` is a symbolic ref"
            value = await self._value(ref)
            if value == commit:
                return ""
            if value and value not in owned:
                return f"`{name}` has been moved by somebody else"
            if await self._in_use(ref):
                return f"`{name}` is checked out"
            try:
                await self._update(ref, commit, value, "glovebox: sync")
            except SyncError as error:
                if await self._value(ref) == value:  # not somebody faster: it cannot be
                    return f"`{name}` cannot be set ({error.message})"
            else:
                return ""
        return f"`{name}` is being moved by somebody else"

    async def _update(self, ref: str, new: str, old: str, why: str) -> None:
        await self._git.run(
            *("update-ref", "--no-deref", "--create-reflog", "-m", why), ref, new, old or _NOTHING
        )

    async def _value(self, ref: str) -> str:
        return await self._git.line(
            "rev-parse", "--quiet", "--verify", "--end-of-options", ref, ok=(0, 1)
        )

    async def _in_use(self, ref: str) -> bool:
        listed = await self._git.run("worktree", "list", "--porcelain")
        if f"branch {ref}" in listed.stdout.decode("utf-8", "replace").split("\n"):
            return True
        common = self._repository.common_dir
        linked = (common / "worktrees" / name for name in disk.names_in(common / "worktrees"))
        # A rebase or bisect stands at no branch and comes back to the one it names here.
        states = ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START")
        for place in (common, *linked):
            for state in states:
                if disk.look(place, state.encode()).kind == "file":
                    name = files.read_text(place / state).strip()
                    if ref in (name, f"refs/heads/{name}"):
                        return True
        return False


def _candidates(name: str) -> Iterator[str]:
    yield name
    stem = re.sub(r"-\d+$", "", name)
    for n in range(2, SIBLINGS_MAX):
        if f"{stem}-{n}" != name:
            yield f"{stem}-{n}"
