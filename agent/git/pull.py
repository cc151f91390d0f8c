"""The way in while a session lasts: the user's newer commits, merged into the work inside.

They travel as a bundle of what is missing there. What does not merge by itself is not left half
done: the merge is given up, and the commits stay inside as a branch that the agent can merge.
"""

from __future__ import annotations

import posixpath
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.core.errors import GloveboxError, SandboxError, SandboxLost, SyncError, UserError
from agent.core.events import Pulled
from agent.core.limits import BUNDLE_MAX_BYTES
from agent.core.text import one_line
from agent.git.guard import Git
from agent.git.inside import LOOK_INSIDE, Inside, Reach, said
from agent.git.private import CARRIED, offer, private_repository
from agent.git.repository import Repository
from agent.git.rules import Rules
from agent.git.snapshot import take_snapshot
from agent.git.workspace import Words
from agent.host import disk, files
from agent.host.files import temporary_dir

UNCOMMITTED = "Uncommitted work of the user\n"
CONFLICTS_MAX = 50
_CUTS = 1_000_000
_ID = re.compile(rb"[0-9a-f]{40}")
_OTHER = re.compile(r"[^A-Za-z0-9._/-]+")


async def pull(
    repository: Repository,
    sandbox: Reach,
    *,
    commit: str,
    name: str,
    known: Sequence[str],
    words: Words,
    dirty: bool = False,
    rules: Rules | None = None,
) -> Pulled:
    """Merge `commit` of the user's into HEAD inside, which must have nothing uncommitted.

    `name` is what the commit is called, `known` are commits that are inside for certain. With
    `dirty`, uncommitted work in the user's working tree comes along, on top of `commit`, which then
    has to be HEAD. Raises `UserError`, `SyncError`; then nothing inside has moved.
    """
    with temporary_dir() as tmp:
        git, tip, left_out = await _incoming(repository, tmp, commit, rules, dirty=dirty)
        await _cut(git, sandbox)
        bundle = await _bundle(git, tip, known, tmp)
        if bundle is None:
            return Pulled("", "", left_out=left_out)
        branch = f"yours/{_OTHER.sub('-', name).strip('-./') or 'work'}"
        inside = Inside(sandbox)
        await _carry(inside, sandbox, bundle, f"refs/heads/{branch}")
    conflicts = await _merge(inside, branch, words)
    if not conflicts:
        await inside.do("update-ref", "-d", f"refs/heads/{branch}")
    return Pulled(tip, branch, conflicts, left_out)


async def _incoming(
    repository: Repository, tmp: Path, commit: str, rules: Rules | None, *, dirty: bool
) -> tuple[Git, str, tuple[str, ...]]:
    if not dirty:
        return private_repository(tmp / "pull.git", repository), commit, ()
    if commit != repository.head:
        raise UserError("uncommitted work can only come with the commit it is based on")
    wanted = replace(rules or Rules(), uncommitted=True)
    snapshot = await take_snapshot(repository, tmp / "pull.git", wanted)
    git = snapshot.private
    if snapshot.tree == await git.line("rev-parse", f"{commit}^{{tree}}"):
        return git, commit, snapshot.left_out
    mine = git.using(**repository.who.environment())
    tip = await mine.line("commit-tree", snapshot.tree, "-p", commit, stdin=UNCOMMITTED.encode())
    return git, tip, snapshot.left_out


async def _cut(git: Git, sandbox: Reach) -> None:
    """Cut the history in a private repository where it is cut inside.

    Else git takes what lies before for known there, and a branch that began before does not arrive.
    An answer that is a lie gets more history of the commit that is pulled, or an error.
    """
    try:
        there = await sandbox.get(posixpath.join(sandbox.workdir, ".git", "shallow"), limit=_CUTS)
    except SandboxLost:
        raise
    except SandboxError:
        return  # it is whole
    ids = b"".join(line + b"\n" for line in there.split(b"\n") if _ID.fullmatch(line))
    known = await git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=ids)
    cuts = [line.split()[0] for line in known.text.split("\n") if line.endswith(" commit")]
    place = git.git_dir / "shallow"
    own = files.read_text(place).split() if files.exists(place) else []
    if cuts:
        files.jot(place, "".join(f"{one}\n" for one in sorted({*own, *cuts})).encode())


async def _bundle(git: Git, tip: str, known: Sequence[str], tmp: Path) -> Path | None:
    """What `tip` has and `known` have not, as the one ref `CARRIED`; None when that is nothing."""
    ids = "".join(f"{one}\n" for one in known).encode()
    checked = await git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=ids)
    there = [line.split()[0] for line in checked.text.split("\n") if line.endswith(" commit")]
    without = tuple(f"^{one}" for one in there)
    if not await git.line("rev-list", "-1", tip, *without):
        return None
    offer(git, tip)
    path = tmp / "pull.bundle"
    await git.run("bundle", "create", "--quiet", str(path), CARRIED, *without)
    if (size := disk.look(tmp, path.name.encode()).size) > BUNDLE_MAX_BYTES:
        raise UserError(
            f"your new commits are {size} bytes, more than the limit of {BUNDLE_MAX_BYTES}",
            "start a new session from where you are",
        )
    return path


async def _carry(inside: Inside, sandbox: Reach, bundle: Path, ref: str) -> None:
    path = f"/tmp/glovebox-{secrets.token_hex(8)}.pull"
    await sandbox.put(path, disk.pieces(bundle), mode=0o644)
    try:
        done = await inside.git("fetch", "--quiet", "--no-tags", path, f"+{CARRIED}:{ref}")
        if done.exit_code:
            raise SyncError(
                f"your commits could not be taken in: {said(done)}",
                "if your branch was rewritten below where the session began, start a new one",
            )
    finally:
        await sandbox.exec(["rm", "-f", path])


async def _merge(inside: Inside, branch: str, words: Words) -> tuple[str, ...]:
    """Merge a branch inside; the paths in conflict, and then nothing has moved."""
    done = await inside.git(
        *("merge", "--quiet", "--no-edit", "--no-verify", "-m", words.message, branch),
        env=words.author.environment(),
    )
    if done.exit_code == 0:
        return ()
    listed = await inside.ask("diff", "--name-only", "--diff-filter=U", "-z")
    names = [one_line(n.decode("utf-8", "replace"), 200) for n in listed.output.split(b"\0") if n]
    try:
        await inside.do("merge", "--abort")
    except GloveboxError as error:
        raise SyncError(f"the merge inside failed: {said(done)}", LOOK_INSIDE) from error
    return tuple(names[:CONFLICTS_MAX]) or (f"the merge failed: {said(done)}",)
