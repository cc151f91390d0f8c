"""The way home of a sandbox's work: a state machine whose every step may be repeated.

    clean → committed inside → bundled → carried → verified → mirrored

`journal` holds where it stands; a process that dies at any point is made up for by the next, from
`carried` on without the sandbox. docs/git.md tells what each step promises. Nothing here knows what
a session or a model is: a mirror has a name, a branch, and a sandbox it is run with.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.core.errors import GloveboxError, SyncError, UserError
from agent.core.events import Pulled, Seeded, SyncFinished, Undone, problem_of
from agent.core.text import one_line
from agent.git import journal
from agent.git.gather import OUT, Words, nested_note
from agent.git.inside import Reach
from agent.git.journal import Journal, Position
from agent.git.mirror import Mirror
from agent.git.packing import Packing
from agent.git.pull import pull
from agent.git.quarantine import Change, measure, receive
from agent.git.repository import Identity, Repository
from agent.git.rules import Rules
from agent.git.seed import Origin, Seed, pack_origin, pack_seed
from agent.git.workspace import Workspace
from agent.host import files
from agent.host.files import temporary_dir

_AGAIN = "nothing is lost inside; sync again"
_TOO_BIG = "the change is too big to be counted"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the work is: all of it home, or `ahead` commits of it inside, or stuck for `why`.

    Changes that are not committed count as the one commit they will be.
    """

    state: Literal["synced", "ahead", "failed"]
    ahead: int = 0
    why: str = ""

    def __str__(self) -> str:
        if self.state == "failed":
            return f"failed ({self.why})"
        return f"ahead {self.ahead}" if self.state == "ahead" else "synced"


class Sync:
    """The way between `repository` and the sandbox of the mirror `name`, shown on `branch`."""

    def __init__(
        self,
        repository: Repository,
        *,
        name: str,
        branch: str,
        author: Identity | None = None,
        rules: Rules | None = None,
        shared: Packing | None = None,
    ) -> None:
        """With `shared` it begins with the same snapshot as others do."""
        self._repository = repository
        self._rules = rules
        self._shared = shared
        self._author = author or repository.who
        self._place = journal.place_of(repository.common_dir, name)
        self._mirror = Mirror(repository, name=name)
        self._branch = branch

    @property
    def branch(self) -> str:
        """The branch that has the work, or will have it."""
        return self._goal(journal.read(self._place))

    def _goal(self, at: Position) -> str:
        return at.branch or at.wanted or self._branch

    # Seed.

    @asynccontextmanager
    async def packing(self, origin: Origin | None = None) -> AsyncGenerator[asyncio.Task[Seed]]:
        """The repository being packed, for whoever has a sandbox to make meanwhile.

        With an `origin` it is what another mirror brought home; `branch_off` comes before.
        """
        with temporary_dir() as tmp:
            if origin:
                packed = pack_origin(self._repository, tmp, origin, self._rules)
            elif self._shared is not None:
                packed = self._shared.seed(self._repository, self._rules)
            else:
                packed = pack_seed(self._repository, tmp, self._rules)
            task = asyncio.create_task(packed)
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.wait({task})

    async def seed(self, sandbox: Reach, *, packed: Seed | None = None) -> Seeded:
        """Put the repository inside, or `packed`, which `packing` made while nobody waited.

        Raises `UserError` for a repository that cannot be seeded, `SandboxError` when the clone
        inside does not stand where it must.
        """
        if packed:
            return await self._seed(sandbox, packed)
        with temporary_dir() as tmp:
            return await self._seed(sandbox, await pack_seed(self._repository, tmp, self._rules))

    async def _seed(self, sandbox: Reach, packed: Seed) -> Seeded:
        names = (one_line(n.decode("utf-8", "replace"), 200) for n in packed.included)
        async with self._held() as log:
            if packed.start:
                await Workspace(sandbox).plant(packed, self._goal(log.at))
                return Seeded(packed.base, packed.start, packed.left_out, tuple(names))
            # The snapshot is pinned here first: it is what the first bundle builds on.
            await self._mirror.adopt(packed.private, packed.tip, "seed", replaces=True)
            old = await self._mirror.private("tip")
            if old != packed.tip:
                await self._keep(old)
                await self._mirror.set_private("tip", packed.tip, old)
            wanted = self._branch or log.at.wanted
            log.note("clean", base=packed.tip, tip=packed.tip, wanted=wanted, since="", new="")
            await Workspace(sandbox).plant(packed, self._goal(log.at))
        return Seeded(packed.base, packed.tip, packed.left_out, tuple(names))

    async def branch_off(self, origin: Origin) -> SyncFinished:
        """Stand where another mirror stood, with that work on a branch of this one's.

        May be repeated. Raises `SyncError` when the work is not in this repository any more.
        """
        async with self._held() as log:
            for commit in (origin.start, origin.tip):
                if not await self._mirror.has(commit):
                    raise SyncError(
                        f"the commit {commit} is not in this repository any more",
                        "fetch it from where it still is, or start a new session",
                    )
            for name, commit in (("seed", origin.start), ("tip", origin.tip)):
                await self._mirror.set_private(name, commit, await self._mirror.private(name))
            log.note(
                "verified",
                base=origin.start,
                tip=origin.tip,
                wanted=self._branch,
                since=origin.start,
                new=origin.tip,
            )
            return await self._show(log, None)

    async def take_over(self, sandbox: Reach, was: str) -> None:
        """Have the branch inside a copied sandbox bear this mirror's name, and not `was`."""
        await Workspace(sandbox).rename(was, self.branch)

    # Sync.

    async def run(
        self,
        sandbox: Reach,
        *,
        message: str,
        trailers: Mapping[str, str] | None = None,
        known: Iterable[str] = (),
    ) -> SyncFinished:
        """Commit inside, carry out, check, mirror. What goes wrong is the `problem`, not raised.

        `known` are commits the work may grow from, for a repository whose refs and journal of ours
        are gone; the first that is there is taken.
        """
        words = self._words(message, trailers)
        try:
            async with self._held() as log:
                try:
                    return await self._run(log, Workspace(sandbox), words, tuple(known))
                except (GloveboxError, OSError) as error:
                    return self._failed(log, error)
        except (GloveboxError, OSError) as error:  # another process has it, or a full disk
            return SyncFinished(self.branch, problem=problem_of(_named(error)))

    async def _run(
        self, log: Journal, workspace: Workspace, words: Words, known: Iterable[str]
    ) -> SyncFinished:
        await self._make_up(log)
        try:
            change = await self._bring(log, workspace, words, known)
            done = await self._show(log, change)
            inside = await workspace.head()  # at both ends, whatever was or was not to be done
            if inside != log.at.tip:
                raise SyncError(f"inside stands at {inside}, not at {log.at.tip}", _AGAIN)
            return done
        finally:
            await workspace.tidy()

    async def replay(self) -> SyncFinished | None:
        """Finish what a process that died had carried here; None when there is nothing of it.

        No sandbox is needed. What goes wrong is the `problem`, and the next `run` makes up for it.
        """
        if journal.read(self._place).step not in ("carried", "verified"):
            return None
        async with self._held() as log:
            try:
                return await self._make_up(log)
            except (GloveboxError, OSError) as error:
                return self._failed(log, error)

    async def _make_up(self, log: Journal) -> SyncFinished | None:
        change = None
        if log.at.step == "carried":
            change = await self._admit(log)
        if log.at.step == "verified":
            return await self._show(log, change)
        return None

    async def _bring(
        self, log: Journal, workspace: Workspace, words: Words, known: Iterable[str]
    ) -> Change:
        """Commit what is inside and have it here as `…/tip`, checked."""
        tip = await self._mirror.private("tip")
        since = tip or await self._first_known((log.at.tip, log.at.value, log.at.base, *known))
        made = await workspace.gather(words, since)
        new = made.head
        if not made.bundle:
            new = await workspace.descend(made.head, since, words)
        if new == since:
            if not tip:
                await self._mirror.set_private("tip", since, "")
            log.note("verified", since=since, new=new, tip=new, notes=made.notes, held=made.held)
            return Change()
        at = {"since": since, "new": new, "notes": made.notes, "held": made.held}
        if not made.bundle:
            log.note("committed", **at)
        path = made.bundle or await workspace.bundle(new, since)
        log.note("bundled", **at)
        files.remove_file(log.bundle)
        await workspace.carry(path, log.bundle)
        log.note("carried")
        return await self._admit(log)

    async def _admit(self, log: Journal) -> Change:
        """Check the bundle that is here and take over what it brings."""
        at = log.at
        with temporary_dir() as tmp:
            try:
                private = await receive(
                    self._repository, log.bundle, tmp, ref=OUT, since=at.since, tip=at.new
                )
            except GloveboxError:
                log.note("committed")  # not good enough: it has to be carried again
                raise
            change = await measure(private, at.since, at.new)
            await self._mirror.adopt(private, at.new, "tip")
        log.note("verified", tip=at.new)
        files.remove_file(log.bundle)
        return change

    async def _show(self, log: Journal, change: Change | None) -> SyncFinished:
        """Put the verified tip on the branch, unless it was there before."""
        at = log.at
        if change is None:  # it was counted by a process that died
            change = await measure(self._repository.git, at.since, at.tip)
        notes = [*at.notes, *(nested_note(name) for name in change.gitlinks)]
        notes += [] if change.known else [_TOO_BIG]
        branch, value = self._goal(at), at.value
        there, here = await self._mirror.both(branch)
        if here != at.tip:
            raise SyncError(f"`tip` stands at {here}, not at {at.tip}", _AGAIN)
        work = at.tip != at.base
        # No branch for work that changed nothing, and none again where the user took it away.
        if at.tip not in (there, value) and (work or (there and at.branch)):
            placed = await self._mirror.place(branch, at.tip, {value} - {""} if at.branch else ())
            branch = there = placed.branch
            value = at.tip
            notes += [placed.note] if placed.note else []
        elif there == at.tip and (work or at.branch):
            value = at.tip
        log.note("mirrored", branch=branch if value else "", value=value)
        return SyncFinished(
            branch=branch if there else "",
            commit=at.tip,
            files=change.files,
            added=change.added,
            removed=change.removed,
            notes=tuple(dict.fromkeys(notes)),
            held=at.held,
        )

    def _failed(self, log: Journal, error: GloveboxError | OSError) -> SyncFinished:
        named = _named(error)
        log.note(log.at.step, problem=named.message, hint=named.hint)
        return SyncFinished(log.at.branch, problem=problem_of(named))

    async def standing(self, sandbox: Reach | None = None) -> Standing:
        """Where the work is, without moving any of it; what is inside only with a `sandbox`.

        Raises `SyncError` when the repository inside cannot be asked.
        """
        at = journal.read(self._place)
        # The ref and not the journal: a fetch that has moved it may not be written down yet.
        tip = await self._mirror.private("tip")
        ahead = await Workspace(sandbox).ahead(tip or at.tip) if sandbox and at.tip else 0
        if at.problem:
            return Standing("failed", ahead, at.problem)
        if at.step in ("clean", "mirrored") and at.tip == tip:
            return Standing("ahead" if ahead else "synced", ahead)
        return Standing("ahead", max(ahead, 1))

    # Back.

    async def undo(
        self, sandbox: Reach, *, to: str, trailers: Mapping[str, str] | None = None
    ) -> Undone:
        """Put the files inside and the branch back to commit `to`, an earlier tip.

        What is inside now is brought home first and stays as `refs/glovebox/<name>/undone/…`.
        Ignored files are left alone. Raises `SyncError`, and then nothing was undone.
        """
        workspace = Workspace(sandbox)
        async with self._held() as log:
            if not await self._mirror.has(to):
                raise SyncError(f"{to} is not in this repository any more", "undo fewer turns")
            await self._make_up(log)
            await self._bring(log, workspace, self._words("Work before an undo", trailers), (to,))
            was, notes = log.at.tip, log.at.notes
            await self._keep(was)
            await workspace.keep(f"refs/glovebox/undone/{was}", was)
            await workspace.reset(to)
            await workspace.keep(OUT, to)
            await self._mirror.set_private("tip", to, was)
            log.note("verified", tip=to, since=to, new=to, notes=())
            return Undone(was, to, (*notes, *await self._show_undone(log)))

    async def _show_undone(self, log: Journal) -> tuple[str, ...]:
        at, refusal = log.at, ""
        if at.branch and (there := await self._mirror.branch(at.branch)):
            refusal = await self._mirror.move(at.branch, at.tip, {at.value})
            refusal = refusal and f"{refusal}; it was left at {there[:10]}"
        # Also where the branch was left: there is nothing new to be put anywhere.
        log.note("mirrored", value=at.tip if at.branch else "")
        return (refusal,) if refusal else ()

    async def pull(
        self,
        sandbox: Reach,
        *,
        name: str = "",
        dirty: bool = False,
        trailers: Mapping[str, str] | None = None,
    ) -> Pulled:
        """Merge a commit of the user's, "" for their HEAD, into the work inside; see `pull`.

        What is inside has to be home. Raises `UserError`, `SyncError`; then nothing has moved.
        """
        async with self._held() as log:
            repository = await Repository.find(self._repository.root)
            commit = await _commit_of(repository, name)
            return await pull(
                repository,
                sandbox,
                commit=commit,
                name=name or repository.branch,
                known=[one for one in (log.at.base, log.at.tip) if one],
                words=self._words(f"Merge {name or repository.branch or commit[:10]}", trailers),
                dirty=dirty,
                rules=self._rules,
            )

    async def settle(self, sandbox: Reach, *, take: bool) -> int:
        """What was held back: take it along with the next sync, or have git inside ignore it.

        Returns how many paths that are. Raises `SyncError`.
        """
        workspace = Workspace(sandbox)
        return await (workspace.let_out() if take else workspace.put_away())

    async def diff(self, sandbox: Reach, *, base: str) -> str:
        """All that differs inside from the commit `base`, committed or not. Raises `SyncError`."""
        return await Workspace(sandbox).diff(base)

    # The end.

    async def rescue(
        self, sandbox: Reach | None, target: Path, *, known: Iterable[str] = ()
    ) -> bool:
        """Write work that no branch of the user's has into the bundle `target`; False: none.

        Of what is inside, with a `sandbox`, all since the seed, unchecked; else what came home.
        """
        at = journal.read(self._place)
        if sandbox is not None:
            workspace = Workspace(sandbox)
            base = await self._first_known((at.base, *known))
            made = await workspace.gather(self._words("Work that was rescued", None), base)
            if made.head == base:
                return False
            path = made.bundle or await workspace.bundle(made.head, base)
            await workspace.carry(path, target)
            await workspace.tidy()
            return True
        tip = await self._mirror.private("tip")
        if not tip or tip == at.base or not await self._mirror.unplaced(tip):
            return False
        await self._mirror.bundle(at.base, target)
        return True

    async def forget(self) -> None:
        """Remove the private refs and the journal; the branch stays, it is the user's now."""
        await self._mirror.forget()
        async with self._held() as log:
            log.forget()

    # Helpers of all of these.

    @asynccontextmanager
    async def _held(self) -> AsyncGenerator[Journal]:
        async with journal.held(self._place) as log:
            at = log.at
            await self._mirror.unlock(self._goal(at), {at.tip, at.new} - {""})
            if log.at == Position() and (tip := await self._mirror.private("tip")):
                await self._reconstruct(log, tip)
            yield log

    async def _reconstruct(self, log: Journal, tip: str) -> None:
        """A journal for a mirror that has lost it: its refs say nearly all of it."""
        ours = await self._mirror.branch(self._branch) == tip
        log.note(
            "mirrored",
            base=await self._mirror.private("seed"),
            tip=tip,
            branch=self._branch if ours else "",
            value=tip if ours else "",
        )

    async def _keep(self, was: str) -> None:
        """Keep a former tip from being collected."""
        if was and not await self._mirror.private(f"undone/{was}"):
            await self._mirror.set_private(f"undone/{was}", was, "")

    async def _first_known(self, commits: Iterable[str]) -> str:
        for commit in commits:
            if commit and await self._mirror.has(commit):
                return commit
        raise SyncError(
            "this repository has lost the commit that the work builds on",
            "start a new session; carry over what is needed with `glovebox shell`",
        )

    def _words(self, message: str, trailers: Mapping[str, str] | None) -> Words:
        return Words(message, self._author, trailers or {})


async def _commit_of(repository: Repository, name: str) -> str:
    words = ("rev-parse", "--quiet", "--verify", "--end-of-options", f"{name or 'HEAD'}^{{commit}}")
    if commit := await repository.git.line(*words, ok=(0, 1, 128)):
        return commit
    raise UserError(f"`{one_line(name)}` is no commit of yours", "`git branch` lists branches")


def _named(error: GloveboxError | OSError) -> GloveboxError:
    if isinstance(error, GloveboxError):
        return error
    return SyncError(f"a file of this computer could not be written: {error.strerror}", _AGAIN)
