"""One snapshot for several sandboxes, so that what is done in them has one beginning."""

from __future__ import annotations

import asyncio
import contextlib

from agent.core.errors import UserError
from agent.git.repository import Repository
from agent.git.rules import Rules
from agent.git.seed import Seed, pack_seed
from agent.host.files import temporary_dir


class Packing:
    """A repository packed once, when the first sandbox asks. Its files are there until `close`."""

    def __init__(self) -> None:
        self._folders = contextlib.ExitStack()
        self._made: asyncio.Task[Seed] | None = None

    async def seed(self, repository: Repository, rules: Rules | None = None) -> Seed:
        """The pack, the same for all. Raises as `pack_seed`; who asks after that tries again."""
        if self._made is None or (self._made.done() and self._made.exception()):
            folder = self._folders.enter_context(temporary_dir())
            self._made = asyncio.create_task(pack_seed(repository, folder, rules))
        return await asyncio.shield(self._made)

    async def close(self) -> None:
        """Remove it; whoever was given it is done with it."""
        if self._made is not None:
            self._made.cancel()
            await asyncio.wait({self._made})
        self._folders.close()


async def commit_of(repository: Repository, name: str) -> str:
    """The commit that a branch, a tag or a beginning of an id means. Raises `UserError`."""
    words = ("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
    found = await repository.git.line(*words, ok=(0, 1, 128))
    if not found:
        raise UserError(f"`{name}` is no commit of this repository", "`git log --all` lists them")
    return found
