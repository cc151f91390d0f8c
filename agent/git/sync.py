"""Seed, sync, undo, diff: the moves between a repository and a sandbox, each safe to repeat.

What must survive a crash is in refs: `…/tip` is moved after a bundle is checked and before the
branch is. A run that died in between is completed by the next one, whatever the caller remembers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import GloveboxError, SyncError, UserError
from agent.core.events import Seeded, SyncFinished, Undone, problem_of
from agent.git.mirror import Mirror
from agent.git.quarantine import Change, measure, receive
from agent.git.repository import Repository
from agent.git.seed import Seed, pack_seed
from agent.git.workspace import OUT, Words, Workspace, nested_note
from agent.host import disk
from agent.host.files import claim_dir, make_private_dir, temporary_dir
from agent.sandbox.protocol import Sandbox


@dataclass(frozen=True, slots=True)
class Carried:
    """What came home: `tip`, grown from `since` by `change`; text for people about what did not."""

    tip: str
    since: str
    change: Change
    notes: tuple[str, ...]


_AGAIN = "nothing is lost inside; sync again"


class Sync:
    """The way between `repository` and the sandboxes of one session, whose branch is `number`."""

    def __init__(self, repository: Repository, *, session: str, number: int) -> None:
        self._repository = repository
        self._session = session
        self._mirror = Mirror(repository, session=session)
        self.branch = f"glovebox/{number}"

    @asynccontextmanager
    async def packing(self) -> AsyncGenerator[asyncio.Task[Seed]]:
        """The repository being packed, for whoever has a sandbox to make meanwhile."""
        with temporary_dir() as tmp:
            task = asyncio.create_task(pack_seed(self._repository, tmp))
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.wait({task})

    async def seed(self, sandbox: Sandbox, *, packed: Seed | None = None) -> Seeded:
        """Put the repository inside, or `packed`, which `packing` made while nobody waited.

        Raises `UserError` for a repository that cannot be seeded, `SandboxError` when the clone
        inside does not stand where it must.
        """
        if packed:
            return await self._seed(sandbox, packed)
        with temporary_dir() as tmp:
            return await self._seed(sandbox, await pack_seed(self._repository, tmp))

    async def _seed(self, sandbox: Sandbox, packed: Seed) -> Seeded:
        # The snapshot is pinned here first: it is what the first bundle builds on.
        await self._mirror.adopt(packed.private, packed.tip, "seed", replaces=True)
        old = await self._mirror.private("tip")
        if old != packed.tip:
            await self._keep(old)
            await self._mirror.set_private("tip", packed.tip, old)
        await Workspace(sandbox).plant(packed, self.branch)
        return Seeded(packed.base, packed.tip, packed.left_out)

    async def run(
        self,
        sandbox: Sandbox,
        *,
        base: str,
        last: str,
        message: str,
        turn: int,
        branch: str = "",
        branch_value: str = "",
    ) -> SyncFinished:
        """Commit inside, carry out, check, mirror. What goes wrong is the `problem`, not raised.

        `base` is a commit that was seeded, `last` the commit of the latest `SyncFinished` or
        `Undone` (before the first: the seed's tip), `branch` and `branch_value` the branch of the
        latest `SyncFinished` and its commit, if any.
        """
        self.branch = branch or self.branch
        known = (last, base)
        owned = {last, branch_value} - {""}
        try:
            return await self._run(Workspace(sandbox), known, owned, self._words(message, turn))
        except GloveboxError as error:
            return SyncFinished(branch, problem=problem_of(error))
        except OSError as error:
            cause = f"a file of this computer could not be written: {error.strerror}"
            return SyncFinished(branch, problem=problem_of(SyncError(cause, _AGAIN)))

    async def _run(
        self, workspace: Workspace, known: Iterable[str], owned: set[str], words: Words
    ) -> SyncFinished:
        carried = await self._carry(workspace, known, words)
        change, notes = carried.change, list(carried.notes)
        notes += [nested_note(name) for name in change.gitlinks]
        if not change.known:
            notes.append("the change is too big to be counted")
        name = ""
        if await self._has_to_be_placed(carried.tip, owned):
            placed = await self._mirror.place(self.branch, carried.tip, owned | {carried.since})
            self.branch = name = placed.branch
            notes += [placed.note] if placed.note else []
        elif await self._mirror.branch(self.branch):
            name = self.branch
        await self._verify(workspace, carried.tip, name)
        return SyncFinished(
            branch=name,
            commit=carried.tip,
            files=change.files,
            added=change.added,
            removed=change.removed,
            notes=tuple(dict.fromkeys(notes)),
        )

    async def undo(self, sandbox: Sandbox, *, to: str, branch: str = "") -> Undone:
        """Put the files inside and the branch back to commit `to`, an earlier tip.

        What is inside now is brought home first and stays as `refs/glovebox/<session>/undone/…`.
        Ignored files are left alone. Raises `SyncError`, and then nothing was undone.
        """
        self.branch = branch or self.branch
        workspace, words = Workspace(sandbox), self._words("Work before an undo", 0)
        carried = await self._carry(workspace, (to,), words)
        was, notes = carried.tip, list(carried.notes)
        if not await self._mirror.has(to):
            raise SyncError(f"{to} is not in this repository any more", "undo fewer turns")
        await self._keep(was)
        await workspace.keep(f"refs/glovebox/undone/{was}", was)
        await workspace.reset(to)
        await workspace.keep(OUT, to)
        await self._mirror.set_private("tip", to, was)
        if value := await self._mirror.branch(self.branch):
            refusal = await self._mirror.move(self.branch, to, (was, carried.since))
            notes += [f"{refusal}; it was left at {value[:10]}"] if refusal else []
        return Undone(was, to, tuple(notes))

    async def rescue(self, sandbox: Sandbox, *, base: str, target: Path) -> str:
        """Write all work since `base` into the bundle `target`, unchecked; the tip it holds.

        For work that cannot be mirrored and is about to be given up. Raises `SyncError`.
        """
        workspace = Workspace(sandbox)
        made = await workspace.commit(self._words("Work that was rescued", 0))
        await workspace.bundle(made.head, base, target)
        return made.head

    async def forget(self) -> None:
        """Remove the session's private refs; its branch stays, it is the user's now."""
        await self._mirror.forget()

    async def _keep(self, was: str) -> None:
        """Keep a former tip from being collected."""
        if was and not await self._mirror.private(f"undone/{was}"):
            await self._mirror.set_private(f"undone/{was}", was, "")

    async def diff(self, sandbox: Sandbox, *, base: str) -> str:
        """All that differs inside from the commit `base`, committed or not. Raises `SyncError`."""
        return await Workspace(sandbox).diff(base)

    def _words(self, message: str, turn: int) -> Words:
        trailers = {"Glovebox-Session": self._session, "Glovebox-Turn": str(turn)}
        return Words(message, self._repository.who, trailers)

    async def _carry(self, workspace: Workspace, known: Iterable[str], words: Words) -> Carried:
        """Commit what is inside and have it here as `…/tip`, checked."""
        tip = await self._mirror.private("tip")
        since = tip or await self._first_known(known)
        made = await workspace.commit(words)
        new = await workspace.descend(made.head, since, words)
        if new == tip:
            return Carried(new, since, Change(), made.notes)
        with temporary_dir() as tmp:
            bundle = tmp / "bundle"
            await workspace.bundle(new, since, bundle)
            private = await receive(self._repository, bundle, tmp, ref=OUT, since=since, tip=new)
            change = await measure(private, since, new)
            await self._mirror.adopt(private, new, "tip")
        return Carried(new, since, change, made.notes)

    async def _first_known(self, commits: Iterable[str]) -> str:
        for commit in commits:
            if commit and await self._mirror.has(commit):
                return commit
        raise SyncError(
            "this repository has lost the commit that the work builds on",
            "start a new session; carry over what is needed with `glovebox shell`",
        )

    async def _has_to_be_placed(self, tip: str, owned: set[str]) -> bool:
        value = await self._mirror.branch(self.branch)
        if value == tip:
            return False
        if value:
            return True
        # No branch for a session that changed nothing, none again where the user deleted it.
        return tip != await self._mirror.private("seed") and tip not in owned

    async def _verify(self, workspace: Workspace, tip: str, name: str) -> None:
        inside, here = await workspace.head(), await self._mirror.private("tip")
        if inside != tip or here != tip:
            raise SyncError(f"inside stands at {inside}, here at {here}, not at {tip}", _AGAIN)
        if name and (value := await self._mirror.branch(name)) != tip:
            raise SyncError(f"`{name}` stands at {value or 'nothing'} and not at {tip}", _AGAIN)


async def allocate_number(repository: Repository, state_root: Path) -> int:
    """A number for a new session of `repository`, claimed for good: no two processes get the same.

    Makes `<state_root>/projects/<project id>/<number>/`. Raises `UserError` when the repository has
    a branch `glovebox`, beside which git cannot have `glovebox/1`.
    """
    git = repository.git
    if await git.line("rev-parse", "--quiet", "--verify", "refs/heads/glovebox", ok=(0, 1)):
        raise UserError(
            "the repository has a branch `glovebox`, so it cannot have `glovebox/1`",
            "rename it with `git branch -m glovebox NEW-NAME`",
        )
    place = make_private_dir(state_root / "projects" / await repository.project_id())
    listed = await git.run("for-each-ref", "--format=%(refname)", "refs/heads/glovebox/")
    branches = re.findall(r"^refs/heads/glovebox/(\d+)(?:-\d+)?$", listed.text, re.MULTILINE)
    used = [int(name) for name in (*branches, *disk.names_in(place)) if name.isdecimal()]
    number = max(used, default=0) + 1
    while not claim_dir(place / str(number)):
        number += 1
    return number
