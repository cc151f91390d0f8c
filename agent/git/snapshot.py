"""Uncommitted and untracked work as a tree, made beside the user's repository and not in it.

The index that is written is a copy; so is the object directory. The copy keeps the time stamp of
the original: git takes an entry whose file is as young as its index for possibly changed and reads
the file, and a younger copy would make it trust entries it must not trust.

Filters of the user's configuration (git-lfs, git-crypt) do not run: what they would have changed or
hidden is left as committed and named. Ignored files that `.gloveboxinclude` names are a tree of
their own: they go in as files, and never become part of a commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import UserError
from agent.git.guard import Git, Settings
from agent.git.keys import LOOK_BYTES, holds_key
from agent.git.plan import GITLINK, NEW, Index, Plan, shown
from agent.git.private import private_repository
from agent.git.repository import Config, Repository
from agent.git.rules import INCLUDE_FILE, Rules
from agent.host import disk, env, files

LEFT_OUT_MAX = 200
PLAIN_FILES_MAX = 20_000
INCLUDE_MAX_BYTES = 100_000
_OUTPUT = 1_000_000_000
# What decides how a file's bytes become a blob and which differences count.
_KEPT = (
    *("core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode"),
    *("core.autocrlf", "core.eol", "core.trustctime", "core.checkstat", "core.attributesfile"),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tree in `private`, and what of the working tree is not in it, with the reason.

    `extra` is the tree of the `included` files, ignored ones that are carried; "" for none.
    """

    private: Git
    tree: str
    left_out: tuple[str, ...]
    extra: str = ""
    included: tuple[bytes, ...] = ()


async def take_snapshot(repository: Repository, path: Path, rules: Rules | None = None) -> Snapshot:
    """The working tree of `repository` as a tree in a private repository made at `path`."""
    rules = rules or Rules()
    private = private_repository(
        path, repository, settings=_settings(repository.config), fails=UserError
    )
    git = private.using(GIT_WORK_TREE=str(repository.root), GIT_INDEX_FILE=str(path / "index"))
    _copy_state(repository, path)
    if not disk.copy_exactly(repository.git_dir / "index", path / "index") and repository.head:
        await git.run("read-tree", repository.head)
    plan = Plan(rules, repository.root, await _index(git, repository.head))
    for name in sorted(plan.index.gitlinks):
        plan.leave(name, "a submodule; its files are not carried, its commit stays as recorded")
    if rules.uncommitted or not repository.head:
        await _plan_all(git, repository, plan, path)
        await _update(git, plan)
        tree = await git.line("write-tree", "--missing-ok")
    else:
        tree = await git.line("rev-parse", f"{repository.head}^{{tree}}")
    await _name_pointers(git, plan)
    extra = await _extra(git, path, plan.include)
    return Snapshot(private, tree, _cut(plan.left_out), extra, tuple(plan.include))


def _settings(config: Config) -> Settings:
    ignore = config.get("core.excludesfile") or str(_default_ignore())
    kept = tuple((key, config[key]) for key in _KEPT if key in config)
    return (
        *kept,
        ("core.safecrlf", "false"),
        ("core.bare", "false"),
        ("core.excludesFile", ignore),
    )


def _default_ignore() -> Path:
    base = env.variable("XDG_CONFIG_HOME")
    return (Path(base) if base else env.home() / ".config") / "git" / "ignore"


def _copy_state(repository: Repository, path: Path) -> None:
    info = files.make_private_dir(path / "info")
    for name in ("exclude", "attributes"):
        disk.copy_exactly(repository.common_dir / "info" / name, info / name)
    for name in disk.names_in(repository.git_dir):  # a split index keeps its bulk in these
        if name.startswith("sharedindex."):
            disk.copy_exactly(repository.git_dir / name, path / name)


async def _plan_all(git: Git, repository: Repository, plan: Plan, path: Path) -> None:
    changed = await _changed(git, plan.index)
    known = frozenset(changed)
    staged = tuple(name for name in plan.index.staged if name not in known)
    others = _without_bare(await _names(git, "ls-files", "-z", "--others", "--exclude-standard"))
    if repository.plain and len(others) > PLAIN_FILES_MAX:
        raise UserError(
            f"`{repository.root}` is no git repository and holds {len(others)} files",
            "choose a smaller directory, or make it a repository with `git init`",
        )
    if repository.plain:
        await _name_generated(git, plan, path)
    wanted = await _included(git, repository, path, frozenset(others))
    names = (*changed, *staged, *others, *wanted)
    plan.filters = await _filtered(git, repository.config, names)
    plan.keys = await _newly(git, plan, await asyncio.to_thread(plan.holding_keys, names))
    for name in changed:
        plan.changed(name)
    for name in staged:
        plan.staged(name)
    for name in others:
        plan.untracked(name, plan.add)
    for name in wanted:
        plan.untracked(name, plan.include)


async def _name_generated(git: Git, plan: Plan, path: Path) -> None:
    # The user wrote no ignore file that says so: what we leave out has to be said.
    made = await _names(
        *(git, "ls-files", "-z", "--others", "--ignored", "--directory"),
        f"--exclude-from={path / 'info' / 'exclude'}",
    )
    if made:
        some = ", ".join(f"`{shown(name)}`" for name in made[:5])
        more = f" and {len(made) - 5} more" if len(made) > 5 else ""
        plan.left_out.append(f"{some}{more}: made by tools")


async def _included(
    git: Git, repository: Repository, path: Path, others: frozenset[bytes]
) -> tuple[bytes, ...]:
    """Ignored files that the repository's list of files to carry names."""
    found = disk.look(repository.root, INCLUDE_FILE.encode())
    if found.kind != "file" or found.size > INCLUDE_MAX_BYTES:
        return ()
    disk.copy_exactly(repository.root / INCLUDE_FILE, path / "include")
    listed = await _names(
        git, "ls-files", "-z", "--others", "--ignored", f"--exclude-from={path / 'include'}"
    )
    return tuple(name for name in _without_bare(listed) if name not in others)


async def _newly(git: Git, plan: Plan, found: frozenset[bytes]) -> frozenset[bytes]:
    """Those in which a key is new: one that is committed is the user's decision."""
    new: set[bytes] = set()
    for name in found:
        entry = plan.index.staged.get(name, b"")
        old = entry.partition(b" ")[2].decode() or f":{name.decode('utf-8', 'surrogateescape')}"
        before = await git.run("cat-file", "blob", old, ok=(0, 128), limit=LOOK_BYTES)
        if not holds_key(before.stdout):
            new.add(name)
    return frozenset(new)


async def _name_pointers(git: Git, plan: Plan) -> None:
    """Files in Git LFS are there as what stands in their place; that has to be said."""
    if not plan.index.attributes:
        return
    said = {line.partition("`: ")[0] for line in plan.left_out}
    for name in await _names(git, "ls-files", "-z", "--cached", "--", ":(attr:filter=lfs)"):
        if f"`{shown(name)}" not in said:
            plan.leave(name, "in Git LFS; its pointer is carried, its content is not")


async def _extra(git: Git, path: Path, names: list[bytes]) -> str:
    if not names:
        return ""
    own = git.using(GIT_INDEX_FILE=str(path / "extra"))
    await own.run("update-index", "--add", "-z", "--stdin", stdin=_lines(names))
    return await own.line("write-tree")


async def _index(git: Git, head: str) -> Index:
    found = Index()
    for entry in await _names(git, "ls-files", "-z", "--stage"):
        facts, _, name = entry.partition(b"\t")
        mode, oid, stage = facts.split(b" ")
        found.attributes |= name.endswith(b".gitattributes")
        if stage != b"0":
            found.unmerged.setdefault(name, {})[stage] = mode + b" " + oid
        elif mode == GITLINK:
            found.gitlinks[name] = oid
        elif not head:
            found.staged[name] = NEW
    if head:
        words = ("diff-index", "--cached", "-z", "--no-renames", "--ignore-submodules=all", head)
        fields = await _names(git, *words)
        for facts, name in zip(fields[0::2], fields[1::2], strict=True):
            old_mode, new_mode, old, *_ = facts[1:].split(b" ")
            if new_mode not in (NEW, GITLINK) and name not in found.unmerged:
                found.staged[name] = old_mode + b" " + old
    return found


async def _changed(git: Git, index: Index) -> tuple[bytes, ...]:
    # Not `git add -A`: it takes the present commit of a submodule for a change, and asks it for
    # its state by running git in it.
    fields = await _names(
        *(git, "diff-files", "-z", "--name-status", "--no-renames", "--ignore-submodules=all"),
        *("--no-ext-diff", "--no-textconv"),
    )
    found = list(zip(fields[1::2], fields[0::2], strict=True))
    index.staged |= {name: NEW for name, status in found if status == b"A"}  # `git add -N`
    return tuple(dict.fromkeys(name for name, _ in found))  # a path in conflict is there twice


async def _names(git: Git, *args: str) -> tuple[bytes, ...]:
    done = await git.run(*args, limit=_OUTPUT)
    if done.cut:
        raise UserError("the working tree holds too many files", "ignore generated directories")
    return tuple(name for name in done.stdout.split(b"\0") if name)


def _without_bare(names: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """`names` with the files of each bare repository replaced by its directory."""
    known = set(names)
    heads = (name[:-4] for name in names if name.endswith(b"/HEAD"))
    bare = tuple(place for place in heads if place + b"config" in known)
    if not bare:
        return names
    return (*(name for name in names if not name.startswith(bare)), *bare)


async def _filtered(git: Git, config: Config, names: Iterable[bytes]) -> dict[bytes, str]:
    drivers = {
        key.split(".", 1)[1].rsplit(".", 1)[0]
        for key, value in config.items()
        if key.startswith("filter.") and key.endswith((".clean", ".process")) and value
    }
    if not drivers:
        return {}
    done = await git.run(
        "check-attr", "-z", "--stdin", "filter", stdin=_lines(names), limit=_OUTPUT
    )
    fields = done.stdout.split(b"\0")
    pairs = zip(fields[0::3], fields[2::3], strict=False)
    values = ((name, value.decode("utf-8", "replace")) for name, value in pairs)
    return {name: value for name, value in values if value in drivers}


async def _update(git: Git, plan: Plan) -> None:
    if plan.remove:
        await git.run("update-index", "--force-remove", "-z", "--stdin", stdin=_lines(plan.remove))
    if plan.pin:
        entries = _lines(b"%b\t%b" % pair for pair in plan.pin)
        await git.run("update-index", "-z", "--index-info", stdin=entries)
    if plan.add:
        done = await git.run(
            *("update-index", "--add", "--remove", "--replace", "-z", "--stdin"),
            stdin=_lines(plan.add),
        )
        for line in done.stderr.splitlines():
            if line.startswith(b"Ignoring path "):
                plan.leave(line.removeprefix(b"Ignoring path "), "git refuses to track this name")


def _lines(names: Iterable[bytes]) -> bytes:
    return b"".join(name + b"\0" for name in names)


def _cut(lines: list[str]) -> tuple[str, ...]:
    more = len(lines) - LEFT_OUT_MAX
    return (*lines[:LEFT_OUT_MAX], f"and {more} more") if more > 0 else tuple(lines)
