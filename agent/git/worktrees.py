"""Branches that are checked out: who has one, and moving it together with the files.

A branch that somebody has checked out may only move with its working tree, else their next commit
takes back what arrived. That is done where nothing of theirs can be in the way, and refused with
the reason everywhere else.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.text import one_line
from agent.git.guard import Git, Settings, clean_environment, complaint, launch
from agent.git.repository import Config, Repository
from agent.host import disk, files

# A rebase or bisect stands at no branch and comes back to the ones it names here.
_COMES_BACK = (
    *("rebase-merge/head-name", "rebase-merge/update-refs", "rebase-apply/head-name"),
    "BISECT_START",
)
_BUSY = (
    *("index.lock", "HEAD.lock", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG"),
    *("rebase-merge", "rebase-apply", "sequencer"),
)
_CALM_SECONDS, _CALM_TRIES = 3.0, 60
# What decides how a blob's bytes become a file, and which differences count.
_KEPT = (
    *("core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode"),
    *("core.autocrlf", "core.eol", "core.trustctime", "core.checkstat", "core.attributesfile"),
)
# What programs of the user's obey as soon as it lies there: for the user to look at first.
_AT_ONCE = re.compile(
    rb"(^|/)(\.git[^/]*|\.lfsconfig|\.envrc|mise\.toml|\.tool-versions|\.editorconfig|\.exrc"
    rb"|\.mcp\.json|\.npmrc|\.yarnrc[^/]*|\.glovebox[^/]*"
    rb"|(\.githooks|\.husky|\.vscode|\.idea|\.devcontainer|\.[a-z]*claude|\.cursor)/.*)$",
    re.IGNORECASE,
)
# One program for both moves: nothing comes between them that is not as quick as a `git commit`,
# and it goes on when the host process is killed. The files first: what goes wrong with them
# leaves the branch alone.
_FORWARD = """\
ref=$1 old=$2 new=$3
test "$(git symbolic-ref --quiet HEAD)" = "$ref" || exit 11
git read-tree -m -u "$old" "$new" || exit 12
git update-ref --no-deref --create-reflog -m "glovebox: sync" "$ref" "$new" "$old" && exit 0
git read-tree -m -u "$new" "$old"
exit 13
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A working tree that has the branch checked out; `git_dir` is None for one to leave alone."""

    path: Path
    git_dir: Path | None


async def holders(repository: Repository, ref: str) -> tuple[Holder, ...]:
    """The working trees that have the branch `ref`, or will come back to it."""
    common = repository.common_dir
    linked = [common / "worktrees" / name for name in disk.names_in(common / "worktrees")]
    found: list[Holder] = []
    if not all(_elsewhere(place / "HEAD", ref) for place in (common, *linked)):
        listed = await repository.git.run("worktree", "list", "--porcelain")
        for entry in listed.stdout.decode("utf-8", "surrogateescape").split("\n\n"):
            lines = entry.split("\n")
            if f"branch {ref}" in lines:
                path = Path(lines[0].removeprefix("worktree "))
                found.append(Holder(path, _git_dir(path, common, linked)))
    states = [(place, place / state) for place in (common, *linked) for state in _COMES_BACK]
    return (*found, *(Holder(place, None) for place, state in states if ref in _named(state)))


def _elsewhere(head: Path, ref: str) -> bool:
    """Whether a HEAD says beyond doubt that it is at something else than `ref`."""
    text = _text(head)
    named = text.removeprefix("ref: ").strip()
    if named == text.strip():
        return bool(re.fullmatch(r"[0-9a-f]{40,64}", named))
    return named.startswith("refs/heads/") and named not in (ref, "refs/heads/.invalid")


def _git_dir(path: Path, common: Path, linked: Sequence[Path]) -> Path | None:
    link = path / ".git"
    if link == common:
        return common
    return next((place for place in linked if _text(place / "gitdir").strip() == str(link)), None)


def _named(path: Path) -> tuple[str, ...]:
    """The refs named in a file, in full."""
    names = (line.strip() for line in _text(path).split("\n"))
    return tuple(name if name.startswith("refs/") else f"refs/heads/{name}" for name in names)


def _text(path: Path) -> str:
    if disk.look(path.parent, path.name.encode()).kind != "file":
        return ""
    return files.read_bytes(path).decode("utf-8", "surrogateescape")


async def calm(repository: Repository) -> None:
    """Wait for a checkout that may be under way: it has read the branch and names it at its end.

    A lock that is left of a git that died does not hold anybody up.
    """
    common = repository.common_dir
    places = (
        common,
        *(common / "worktrees" / name for name in disk.names_in(common / "worktrees")),
    )
    for _ in range(_CALM_TRIES):
        young = time.time() - _CALM_SECONDS
        if not any(files.modified(place / "index.lock") > young for place in places):
            return
        await asyncio.sleep(_CALM_SECONDS / _CALM_TRIES)


async def came_before(repository: Repository, holder: Holder, old: str, new: str, why: str) -> bool:
    """Whether a working tree checked its branch out before that went from `old` ("") to `new`.

    Its HEAD's reflog tells at which commit it came there, or that it was there when the branch
    moved: then git has noted that as `why`. Where there is none, its index tells.
    """
    if holder.git_dir is None:
        return bool(old)
    git = _at(repository, holder.path, holder.git_dir)
    last = await git.line("log", "--walk-reflogs", "-1", "--format=%H %gs", "HEAD", ok=(0, 128))
    came, _, noted = last.partition(" ")
    if came in (old, new):
        return came == old or noted == why
    if old:
        return await _stands_at(git, old)
    return not await _stands_at(git, new)


async def _stands_at(git: Git, commit: str) -> bool:
    """Whether the index of a working tree is that of `commit`."""
    done = await git.run("diff-index", "--cached", "--quiet", commit, "--", ok=(0, 1))
    return done.exit_code == 0


async def forward(repository: Repository, holder: Holder, ref: str, old: str, new: str) -> str:
    """Move `ref` from `old` to `new` with the files of its working tree; why not, if not.

    A reason means that nothing was changed. Files that git ignores or does not know count as the
    user's and are never overwritten.
    """
    if holder.git_dir is None or not disk.is_dir(holder.path):
        return "is in use by a rebase, a bisect or a working tree that cannot be reached"
    if any(disk.look(holder.git_dir, name.encode()).kind != "absent" for name in _BUSY):
        return "something else is going on there"
    git = _at(repository, holder.path, holder.git_dir)
    if why := await _obstacle(git, holder.path, repository.config, old, new):
        return why
    done = await launch(
        ["sh", "-c", _FORWARD, "sh", ref, old, new],
        {**clean_environment(git.settings), **git.extra, "GIT_DIR": str(git.git_dir)},
    )
    return _REFUSED.get(done.exit_code, complaint(done)) if done.exit_code else ""


_REFUSED = {
    11: "another branch was checked out meanwhile",
    12: "files of yours there are in the way",
    13: "it was moved meanwhile",
}


def _at(repository: Repository, path: Path, git_dir: Path) -> Git:
    """git in a working tree: what writes files as the user's git would, and starts no filter."""
    config = repository.config
    kept: Settings = tuple((key, config[key]) for key in _KEPT if key in config)
    filters: Settings = tuple(
        (key, "false" if key.endswith(".required") else "")
        for key in config
        if key.startswith("filter.")
    )
    git = Git(git_dir, settings=(*repository.git.settings, *kept, *filters))
    return git.using(
        ("core.untrackedCache", "keep"), GIT_WORK_TREE=str(path), **repository.who.environment()
    )


async def _obstacle(git: Git, path: Path, config: Config, old: str, new: str) -> str:
    """What of the user's, or for the user's safety, is in the way; "" when nothing is."""
    if (await git.run("merge-base", "--is-ancestor", old, new, ok=(0, 1))).exit_code:
        return "the work does not go on from what is there"
    state = await git.run(
        *("status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all"),
        *("--no-renames",),
    )
    if state.stdout:
        return "there are changes of yours in it"
    changed = await git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new)
    fields = changed.stdout.split(b"\0")
    modes, names = fields[0::2], fields[1::2]
    if changed.cut or any(b"160000" in entry or entry[8:14] == b"120000" for entry in modes):
        return "the work changes a submodule or a link"
    if bold := next((name for name in names if _AT_ONCE.search(name)), None):
        shown = one_line(bold.decode("utf-8", "replace"), 100)
        return f"the work changes `{shown}`, which programs of yours may obey at once"
    if await _filtered(git, config, names):
        return "the work changes files that need a filter"
    new_ones = [name for entry, name in zip(modes, names, strict=False) if entry[1:7] == b"0" * 6]
    if any(_taken(path, name, set(names)) for name in new_ones):
        return "files of yours there are in the way"
    return ""


def _taken(root: Path, name: bytes, changed: Collection[bytes]) -> bool:
    """Whether something lies where a new file is to be; git would overwrite what it ignores."""
    parts = name.split(b"/")
    above = (b"/".join(parts[:n]) for n in range(1, len(parts)))
    kinds = (disk.look(root, place).kind for place in above if place not in changed)
    return (
        any(kind not in ("dir", "absent") for kind in kinds)
        or disk.look(root, name).kind != "absent"
    )


async def _filtered(git: Git, config: Config, names: Sequence[bytes]) -> bool:
    drivers = {key.split(".", 1)[1].rpartition(".")[0] for key in config if key[:7] == "filter."}
    if not drivers:
        return False
    listed = b"".join(name + b"\0" for name in names)
    done = await git.run("check-attr", "-z", "--stdin", "filter", stdin=listed)
    return any(
        value.decode("utf-8", "replace") in drivers for value in done.stdout.split(b"\0")[2::3]
    )
