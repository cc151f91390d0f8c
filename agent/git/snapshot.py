"""Uncommitted and untracked work as a tree, made beside the user's repository and not in it.

The index that is written is a copy; so is the object directory. The copy keeps the time stamp of
the original: git takes an entry whose file is as young as its index for possibly changed and reads
the file, and a younger copy would make it trust entries it must not trust.

Filters of the user's configuration (git-lfs, git-crypt) do not run: what they would have changed or
hidden is left as committed and named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.errors import UserError
from agent.core.limits import SEED_FILE_MAX_BYTES
from agent.core.text import one_line
from agent.git.guard import Git, Settings
from agent.git.private import private_repository
from agent.git.repository import Config, Repository
from agent.git.secrets import looks_secret
from agent.host import disk, env, files

LEFT_OUT_MAX = 200
_GITLINK = b"160000"
_OUTPUT = 1_000_000_000
# What decides how a file's bytes become a blob and which differences count.
_KEPT = (
    *("core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode"),
    *("core.autocrlf", "core.eol", "core.trustctime", "core.checkstat", "core.attributesfile"),
)


@dataclass(slots=True)
class _Plan:
    """What to take out of the index copy, put in, pin (submodules) and leave behind."""

    remove: list[bytes] = field(default_factory=list[bytes])
    add: list[bytes] = field(default_factory=list[bytes])
    pin: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    left_out: list[str] = field(default_factory=list[str])

    def leave(self, name: bytes, why: str) -> None:
        self.left_out.append(f"`{shown(name)}`: {why}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A tree in `private`, and what of the working tree is not in it, with the reason."""

    private: Git
    tree: str
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Index:
    gitlinks: dict[bytes, bytes]
    unmerged: dict[bytes, dict[bytes, bytes]]  # path to stage to mode and id


def shown(name: bytes) -> str:
    """A file name for people: one printable line."""
    return one_line(name.decode("utf-8", "replace"), 200)


async def take_snapshot(repository: Repository, path: Path) -> Snapshot:
    """The working tree of `repository` as a tree in a private repository made at `path`."""
    private = private_repository(
        path, repository, settings=_settings(repository.config), fails=UserError
    )
    git = private.using(GIT_WORK_TREE=str(repository.root), GIT_INDEX_FILE=str(path / "index"))
    _copy_state(repository, path)
    if not disk.copy_exactly(repository.git_dir / "index", path / "index"):
        await git.run("read-tree", repository.head)
    plan = await _plan(git, repository)
    await _update(git, plan)
    tree = await git.line("write-tree", "--missing-ok")
    return Snapshot(private, tree, _cut(plan.left_out))


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


async def _plan(git: Git, repository: Repository) -> _Plan:
    plan, index = _Plan(), await _index(git)
    for name in sorted(index.gitlinks):
        plan.leave(name, "a submodule; its files are not carried, its commit stays as recorded")
    changed = await _changed(git)
    others = _without_bare(await _names(git, "ls-files", "-z", "--others", "--exclude-standard"))
    filtered = await _filtered(git, repository.config, (*changed, *others))
    for name in changed:
        _plan_changed(plan, repository.root, name, index, filtered.get(name, ""))
    for name in others:
        _plan_untracked(plan, repository.root, name, filtered.get(name, ""))
    return plan


async def _index(git: Git) -> _Index:
    found = _Index({}, {})
    for entry in await _names(git, "ls-files", "-z", "--stage"):
        facts, _, name = entry.partition(b"\t")
        mode, oid, stage = facts.split(b" ")
        if stage != b"0":
            found.unmerged.setdefault(name, {})[stage] = mode + b" " + oid
        elif mode == _GITLINK:
            found.gitlinks[name] = oid
    return found


async def _changed(git: Git) -> tuple[bytes, ...]:
    # Not `git add -A`: it takes the present commit of a submodule for a change, and asks it for
    # its state by running git in it.
    fields = await _names(
        *(git, "diff-files", "-z", "--name-only", "--no-renames", "--ignore-submodules=all"),
        *("--no-ext-diff", "--no-textconv"),
    )
    return tuple(dict.fromkeys(fields))  # a path in conflict is there twice


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


def _plan_changed(plan: _Plan, root: Path, name: bytes, index: _Index, driver: str) -> None:
    stages = index.unmerged.get(name)
    if stages and any(entry.startswith(_GITLINK) for entry in stages.values()):
        plan.remove.append(name)
        if ours := stages.get(b"2"):
            plan.pin.append((ours, name))
        plan.leave(name, "a submodule in conflict; our side's commit is carried")
        return
    found = disk.look(root, name)
    if found.kind in ("absent", "dir", "other"):
        plan.remove.append(name)
        if found.kind == "other":
            plan.leave(name, "not a regular file any more")
        elif disk.look(root, name + b"/.git").kind != "absent":
            plan.leave(name, "a git repository of its own now")
    elif why := _refusal(found, driver):
        if stages:
            plan.remove.append(name)
        plan.leave(name, f"{why}; {'nothing' if stages else 'what git has staged'} is carried")
    else:
        plan.add.append(name)
        if stages:
            plan.leave(name, "in conflict; the text in the working tree is carried, the sides not")


def _plan_untracked(plan: _Plan, root: Path, name: bytes, driver: str) -> None:
    if name.endswith(b"/"):
        plan.leave(name, "a git repository of its own")
        return
    found = disk.look(root, name)
    if looks_secret(name):
        plan.leave(name, "untracked and looks like a secret")
    elif why := _refusal(found, driver):
        plan.leave(name, why)
    elif found.kind in ("file", "link"):
        plan.add.append(name)


def _refusal(found: disk.Found, driver: str) -> str:
    if driver:
        return f"needs the filter `{one_line(driver)}`, which is not run"
    if found.size > SEED_FILE_MAX_BYTES:
        return f"{found.size} bytes, more than {SEED_FILE_MAX_BYTES}"
    return "" if found.readable else "not readable"


async def _update(git: Git, plan: _Plan) -> None:
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
