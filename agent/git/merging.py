"""Bring an agent's work into the branch the user stands on, and only there.

First `proposing`: what would come of it, or where it conflicts; nothing of the user's is touched.
Then, once the user has seen the diff, `accept`: the user's own git makes it so, see `own`.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from agent.core.errors import UserError
from agent.core.limits import PATCH_MAX_BYTES
from agent.git.guard import Git
from agent.git.own import Own
from agent.git.private import CARRIED, offer, private_repository
from agent.git.replay import NOBODY, Step, make, merged_tree, picked_tree, steps
from agent.git.repository import Repository
from agent.git.view import View, viewing
from agent.host import files

How = Literal["merge", "squash", "rebase", "patch"]
HOWS: tuple[How, ...] = ("merge", "squash", "rebase", "patch")


@dataclass(frozen=True, slots=True)
class Work:
    """An agent's commits: what `tip` has beyond `start`.

    `start` is where the agent began: the user's commit `base`, or the snapshot of uncommitted work
    on top of it, which is never merged.
    """

    base: str
    start: str
    tip: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What `accept` will do to the branch, which stood at `onto`; the result will have `tree`.

    `commit` has that tree and lies in `git`, a repository of ours.
    """

    how: How
    work: Work
    onto: str
    tree: str
    commit: str
    steps: tuple[Step, ...]
    git: Git
    changes_hooks: str = ""
    """The directory of the user's hooks, when it is in the working tree and would change."""

    @property
    def view(self) -> View:
        """A look at what would change, from `onto` to `commit`."""
        return View(self.git.using(("core.quotePath", "false")))


@asynccontextmanager
async def proposing(repository: Repository, work: Work, how: How) -> AsyncGenerator[Proposal]:
    """Work out the result; it can be accepted inside the block.

    Raises `Conflict` when a person or the agent has to decide, `UserError` with the reason when
    there is nothing to do. Nothing is changed anywhere.
    """
    if repository.plain or not repository.head:
        raise UserError(
            "there is no commit here that the work could be merged with",
            "`glovebox export N` writes it as a patch or a folder",
        )
    if not repository.branch:
        raise UserError("you are at no branch", "check one out first, then merge")
    with files.temporary_dir() as folder:
        git = private_repository(folder / "merge.git", repository, fails=UserError)
        proposal = await _propose(git, repository.head, work, how)
        if proposal.tree == await git.line("rev-parse", f"{proposal.onto}^{{tree}}"):
            raise UserError(f"`{repository.branch}` has all of this already")
        if place := await Own(repository).hooks_inside():
            words = ("diff-tree", "-r", "--quiet", proposal.onto, proposal.commit, "--", place)
            if (await git.run(*words, ok=(0, 1))).exit_code:
                proposal = replace(proposal, changes_hooks=place)
        yield proposal


async def _propose(git: Git, onto: str, work: Work, how: How) -> Proposal:
    if how == "rebase" or (how == "merge" and work.base != work.start):
        replayed = await steps(git, onto, work.start, work.tip)
        commit = onto
        for step in replayed:
            commit = await make(git.using(**NOBODY), step, commit)
        tree = await git.line("rev-parse", f"{commit}^{{tree}}")
        return Proposal(how, work, onto, tree, commit, replayed, git)
    if how == "merge":
        return Proposal(how, work, onto, await merged_tree(git, onto, work.tip), work.tip, (), git)
    tree = await picked_tree(git, onto, work.start, work.tip)
    whole = await git.using(**NOBODY).line("commit-tree", tree, "-p", onto, "-m", "squashed")
    return Proposal(how, work, onto, tree, whole, (), git)


async def accept(
    repository: Repository, proposal: Proposal, message: str, *, hooks: bool = True
) -> str:
    """Do it; the commit the branch is at then, unchanged for a patch.

    Hooks that would themselves be changed do not run. Raises `UserError` when it cannot be done;
    then branch, index and files are as they were.
    """
    own = Own(repository, hooks=hooks and not proposal.changes_hooks)
    with _alone(repository):
        await own.require_ready(proposal.onto, staged=proposal.how != "patch")
        if proposal.how == "patch":
            await own.apply(await _patch(repository, proposal))
            return proposal.onto
        async with _carried(repository, proposal) as commit:
            if proposal.how == "squash":
                await own.squash(commit, message)
            else:
                commit = await own.made(proposal.steps, proposal.onto) or commit
                await own.merge(commit, message, forward=proposal.how == "rebase")
        return await own.head()


async def _patch(repository: Repository, proposal: Proposal) -> bytes:
    """The difference to the user's commit, so that what was worked out is what is applied."""
    async with _carried(repository, proposal) as commit, viewing(repository) as view:
        return await view.patch(proposal.onto, commit, PATCH_MAX_BYTES)


@asynccontextmanager
async def _carried(repository: Repository, proposal: Proposal) -> AsyncGenerator[str]:
    """The proposed commit, in the user's repository as long as the block lasts."""
    ref = f"refs/glovebox/merge/{secrets.token_hex(6)}"
    offer(proposal.git, proposal.commit)
    await repository.git.fetch(proposal.git.git_dir, f"{CARRIED}:{ref}")
    try:
        yield proposal.commit
    finally:
        await repository.git.run("update-ref", "-d", ref)


@contextmanager
def _alone(repository: Repository) -> Generator[None]:
    lock = files.FileLock(repository.common_dir / "glovebox" / "merge.lock")
    if not lock.acquire():
        raise UserError("another merge is going on in this repository", "wait until it is done")
    try:
        yield
    finally:
        lock.release()
