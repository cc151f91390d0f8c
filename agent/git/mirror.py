"""Our refs in the user's repository, each moved only from the value we last put there.

`refs/glovebox/<name>/seed` is what went in, `…/tip` what last came home, `…/undone/<commit>` what
was taken back. They keep those commits from being collected, have a reflog, and are ours alone.
The branch is shared with the user: it moves by compare-and-swap, together with a clean working
tree that has it checked out, and what they did to it stands; our work then goes to `<branch>-2`,
`-3`, ….
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import SyncError
from agent.git.guard import Git
from agent.git.private import CARRIED
from agent.git.repository import Repository
from agent.git.worktrees import Holder, calm, came_before, forward, holders
from agent.host import files

SIBLINGS_MAX = 50
_NOTHING = "0" * 40
_WHY = "glovebox: sync"  # in reflogs
_TRIES = 3
_WAITS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 0.0)
# Other processes lock refs for a moment, a `git pack-refs` of many for longer.
_PATIENT = (
    ("core.logAllRefUpdates", "always"),
    ("core.filesRefLockTimeout", "10000"),
    ("core.packedRefsTimeout", "10000"),
)


@dataclass(frozen=True, slots=True)
class Placed:
    """The branch that has the work now, and what a person should know about its name."""

    branch: str
    note: str = ""


class Mirror:
    """The receiving end `name`, as `journal.place_of` allows it."""

    def __init__(self, repository: Repository, *, name: str) -> None:
        self._repository = repository
        self._git = repository.git.using(*_PATIENT, GIT_REFLOG_ACTION="glovebox")
        self._refs = f"refs/glovebox/{name}"

    async def private(self, name: str) -> str:
        """The commit of one of our private refs, "" when there is none."""
        return await self._value(f"{self._refs}/{name}")

    async def branch(self, name: str) -> str:
        """The commit of a branch, "" when there is none."""
        return await self._value(f"refs/heads/{name}")

    async def both(self, branch: str) -> tuple[str, str]:
        """The commits of a branch and of our private ref `tip`, asked for at once."""
        refs = (f"refs/heads/{branch}", f"{self._refs}/tip")
        listed = await self._git.run("for-each-ref", "--format=%(refname) %(objectname)", *refs)
        known = dict(line.split(" ") for line in listed.text.split("\n") if line)
        return known.get(refs[0], ""), known.get(refs[1], "")

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
        for left in reversed(range(_TRIES)):
            try:
                await self._git.fetch(private.git_dir, refspec)
                break
            except SyncError:  # a `git gc --prune=now` removes packs that are being written
                if not left:
                    raise
        if await self._value(ref) != commit:
            raise SyncError(f"`{ref}` did not become {commit}", "sync again")

    async def set_private(self, name: str, commit: str, old: str) -> None:
        """Move a private ref from `old` ("" for none) to `commit`, with a reflog entry."""
        await self._update(f"{self._refs}/{name}", commit, old, "glovebox")

    async def unlock(self, branch: str, ours: Collection[str]) -> None:
        """Remove the locks on refs that a git of ours left when it was killed.

        In our own part of the refs that is every lock, on the branch one that holds a commit of
        `ours`. A git that still runs, started by a host process that died, is waited for.
        """
        refs = self._repository.common_dir / "refs"
        place, lock = refs.parent / self._refs, refs / "heads" / f"{branch}.lock"
        found: list[Path] = []
        for left in _WAITS:
            found = list(files.matching(place, "**/*.lock"))
            if files.read_head(lock, 100).decode("ascii", "replace").strip() in ours:
                found.append(lock)
            if not found:
                return
            await asyncio.sleep(left)
        for path in found:
            files.remove_file(path)

    async def forget(self) -> None:
        """Remove the private refs: what only they held is git's to collect."""
        listed = await self._git.run("for-each-ref", "--format=%(refname)", f"{self._refs}/")
        commands = "".join(f"delete {ref}\n" for ref in listed.text.split())
        await self._git.run("update-ref", "--no-deref", "--stdin", stdin=commands.encode())

    async def bundle(self, since: str, target: Path) -> None:
        """Write what came home since `since` into a new bundle."""
        span = (f"{self._refs}/tip", f"^{since}") if since else (f"{self._refs}/tip",)
        await self._git.run("bundle", "create", "--quiet", str(target), *span)

    async def unplaced(self, commit: str) -> bool:
        """Whether no branch or tag of the user's holds `commit`."""
        found = await self._git.run(
            *("for-each-ref", "--count=1", "--format=%(refname)", "--contains", commit),
            *("refs/heads", "refs/tags", "refs/remotes"),
        )
        return not found.text

    async def place(self, name: str, commit: str, owned: Collection[str]) -> Placed:
        """Have `commit` on the branch `name` or on the first sibling that can take it.

        `owned` are values we put on that branch; any other is the user's and is left alone, and so
        is a sibling that exists.
        """
        reason = ""
        for candidate in _candidates(name):
            refusal = await self._try(candidate, commit, owned if candidate == name else ())
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
            await calm(self._repository)
            value, target = await self._state(ref)
            if target:
                return f"`{name}` is a symbolic ref"
            if value == commit:
                return ""
            if value and value not in owned:
                return f"`{name}` has been moved by somebody else"
            if held := await holders(self._repository, ref):
                why = await self._forward(held, ref, value, commit)
                return why and f"`{name}` is checked out, and {why}"
            try:
                await self._update(ref, commit, value, _WHY)
            except SyncError as error:
                if await self._value(ref) == value:  # not somebody faster: it cannot be
                    return f"`{name}` cannot be set ({error.message})"
            else:
                return await self._settle(name, commit, value)
        return f"`{name}` is being moved by somebody else"

    async def _forward(self, held: Sequence[Holder], ref: str, old: str, new: str) -> str:
        if not old or len(held) > 1:
            return "more than one working tree has it" if old else "it has no commit yet"
        return await forward(self._repository, held[0], ref, old, new)

    async def _settle(self, name: str, new: str, old: str) -> str:
        """Take the move back where somebody checked the branch out just before it."""
        await calm(self._repository)
        ref = f"refs/heads/{name}"
        for holder in await holders(self._repository, ref):
            if await came_before(self._repository, holder, old, new, _WHY):
                with contextlib.suppress(SyncError):  # moved on by somebody else: it is theirs
                    await self._update(ref, old, new, "glovebox: taken back")
                return f"`{name}` is checked out, and it was just now"
        return ""

    async def _update(self, ref: str, new: str, old: str, why: str) -> None:
        await self._git.run(
            *("update-ref", "--no-deref", "--create-reflog", "-m", why),
            *(ref, new or _NOTHING, old or _NOTHING),
        )

    async def _state(self, ref: str) -> tuple[str, str]:
        """The commit of a ref, and which other it stands for; "" for none of these."""
        words = ("for-each-ref", "--format=%(refname) %(objectname) %(symref)", ref)
        lines = (line.split(" ") for line in (await self._git.run(*words)).text.split("\n"))
        found = next((rest for name, *rest in lines if name == ref), None)
        if found:
            return found[0], found[1]
        # Nothing is listed for one that stands for a ref that is not there.
        words = ("symbolic-ref", "--quiet", ref)
        return await self._value(ref), await self._git.line(*words, ok=(0, 1, 128))

    async def _value(self, ref: str) -> str:
        return await self._git.line(
            "rev-parse", "--quiet", "--verify", "--end-of-options", ref, ok=(0, 1)
        )


def _candidates(name: str) -> Iterator[str]:
    yield name
    stem = re.sub(r"-\d+$", "", name)
    for n in range(2, SIBLINGS_MAX):
        if f"{stem}-{n}" != name:
            yield f"{stem}-{n}"
