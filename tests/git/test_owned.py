"""A hostile repository on the user's own disk, unpacked from an archive; glovebox starts in it.

Each trap is seen to spring on an ordinary command of git first; the whole life of a session must
not touch it, all of them set at once.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core.errors import UserError
from agent.git.numbers import allocate_number
from agent.git.repository import Repository
from agent.git.sync import Sync
from agent.git.view import viewing
from tests.git.conftest import Start
from tests.git.users import User


@dataclass(frozen=True)
class Trap:
    """Lay it with a program line to run, and the command of git that falls into it."""

    lay: Callable[[User, str], None]
    springs: tuple[str, ...]


def setting(key: str, value: str = "{run}", *more: tuple[str, str]) -> Callable[[User, str], None]:
    def lay(user: User, run: str) -> None:
        for name, text in ((key, value), *more):
            user.git("config", "--add", name, text.replace("{run}", run))

    return lay


def driven(attribute: str, *settings: tuple[str, str]) -> Callable[[User, str], None]:
    """A driver for all files, by attributes that are no file of the tree."""

    def lay(user: User, run: str) -> None:
        with (user.root / ".git/info/attributes").open("a") as file:
            file.write(f"*.txt {attribute}\n")
        for key, value in settings:
            user.git("config", key, value.replace("{run}", run))

    return lay


def hook(name: str) -> Callable[[User, str], None]:
    def lay(user: User, run: str) -> None:
        user.write(f".git/hooks/{name}", f"#!/bin/sh\n{run}\n", 0o755)

    return lay


def collected(user: User, run: str) -> None:
    user.git("config", "gc.autoPackLimit", "1")
    user.git("repack", "-q")
    user.git("hash-object", "-w", "--stdin", stdin=run.encode())
    user.git("tag", "blob", user.git("hash-object", "--stdin", stdin=run.encode()))
    user.git("repack", "-q")
    hook("pre-auto-gc")(user, run)


def included(user: User, run: str) -> None:
    user.write(".git/more", f'[diff]\n\texternal = "{run};:"\n')
    user.git("config", "includeIf.gitdir:/**.path", "more")


def promised(user: User, run: str) -> None:
    """Objects that are missing come from somewhere, by a program."""
    user.write(".git/upload", f"#!/bin/sh\n{run}\n", 0o755)
    for key, value in (
        ("url", str(user.root)),
        ("promisor", "true"),
        ("uploadpack", str(user.root / ".git/upload")),
    ):
        user.git("config", f"remote.evil.{key}", value)
    user.git("config", "core.repositoryFormatVersion", "1")
    user.git("config", "extensions.partialClone", "evil")


def in_worktree_configuration(user: User, run: str) -> None:
    user.git("config", "extensions.worktreeConfig", "true")
    user.git("config", "--worktree", "core.editor", f"{run};:")


TRAPS = {
    "fsmonitor": Trap(setting("core.fsmonitor"), ("status",)),
    "pager": Trap(setting("core.pager", "{run};cat"), ("--paginate", "log")),
    "pager of a command": Trap(setting("pager.log", "{run};cat"), ("log",)),
    "alias": Trap(setting("alias.st", "!{run}"), ("st",)),
    "external diff": Trap(setting("diff.external"), ("diff", "HEAD~1")),
    "textconv": Trap(driven("diff=t", ("diff.t.textconv", "{run};cat")), ("log", "-p")),
    "diff driver": Trap(driven("diff=c", ("diff.c.command", "{run};:")), ("diff", "HEAD~1")),
    "clean filter": Trap(driven("filter=f", ("filter.f.clean", "{run};cat")), ("add", "-A")),
    "smudge filter": Trap(
        driven("filter=s", ("filter.s.smudge", "{run};cat")), ("checkout", "HEAD~1", "--", "a.txt")
    ),
    "process filter": Trap(driven("filter=p", ("filter.p.process", "{run};:")), ("add", "-A")),
    "signing": Trap(
        setting("gpg.program", "{program}", ("commit.gpgSign", "true")),
        ("commit", "--allow-empty", "-m", "x"),
    ),
    "editor": Trap(setting("core.editor", "{run};:"), ("commit", "--allow-empty")),
    "hooks": Trap(hook("pre-commit"), ("commit", "--allow-empty", "-m", "x")),
    "hook of refs": Trap(hook("reference-transaction"), ("branch", "new")),
    "hook of the index": Trap(hook("post-index-change"), ("add", "-A")),
    "hooks elsewhere": Trap(
        setting("core.hooksPath", "{folder}"), ("commit", "--allow-empty", "-m", "x")
    ),
    "gc": Trap(collected, ("gc", "--auto")),
    "ssh": Trap(
        setting("core.sshCommand", "{run}", ("remote.origin.url", "ssh://x@localhost/x")),
        ("fetch", "origin"),
    ),
    "transport": Trap(
        setting("remote.ext.url", "ext::sh -c {run0}", ("protocol.ext.allow", "always")),
        ("fetch", "ext"),
    ),
    "credentials": Trap(setting("credential.helper", "!{run};:"), ("credential", "fill")),
    "proxy": Trap(
        setting("core.gitProxy", "{program}", ("remote.git.url", "git://localhost/x")),
        ("fetch", "git"),
    ),
    "included": Trap(included, ("diff", "HEAD~1")),
    "promised objects": Trap(promised, ("cat-file", "-e", "1" * 40)),
    "refs of an alternate": Trap(
        setting("core.alternateRefsCommand", "{run};:"), ("fetch", "{bare}", "main")
    ),
    "worktree's own": Trap(in_worktree_configuration, ("commit", "--allow-empty")),
}


class Owned:
    """A repository with traps; each leaves a mark of its own in `marks`."""

    def __init__(self, user: User, place: Path) -> None:
        self.user = user
        self.marks = place / "marks"
        self.marks.mkdir()
        self.place = place
        user.git("clone", "--quiet", "--bare", str(user.root), str(place / "bare.git"))
        alternates = user.root / ".git/objects/info/alternates"
        alternates.parent.mkdir(exist_ok=True)
        alternates.write_text(f"{place}/bare.git/objects\n")
        (user.root / ".git/info").mkdir(exist_ok=True)
        (user.root / ".git/hooks").mkdir(exist_ok=True)

    def lay(self, name: str) -> None:
        at = list(TRAPS).index(name)
        run = f"touch {self.marks}/{at}"
        for kind in ("program", "pre-commit"):
            path = self.place / f"trap{at}" / kind
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{run}\n")
            path.chmod(0o755)
        folder = self.place / f"trap{at}"
        real = self.user.git

        def git(*args: str, stdin: bytes = b"") -> str:
            filled = (
                word.replace("{program}", str(folder / "program"))
                .replace("{folder}", str(folder))
                .replace("{run0}", str(folder / "program"))
                for word in args
            )
            return real(*filled, stdin=stdin)

        laying = User(self.user.root)
        laying.git = git  # type: ignore[method-assign]
        TRAPS[name].lay(laying, run)

    def spring(self, name: str) -> bool:
        at = list(TRAPS).index(name)
        words = [w.replace("{bare}", str(self.place / "bare.git")) for w in TRAPS[name].springs]
        self.user.write("a.txt", "changed\n")
        ours, theirs = os.openpty()  # a pager wants a terminal
        subprocess.run(
            ["git", *words],
            cwd=self.user.root,
            input=b"protocol=https\nhost=x\n\n",
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        os.close(theirs)
        os.close(ours)
        return (self.marks / str(at)).exists()

    def clear(self) -> None:
        for mark in self.marks.iterdir():
            mark.unlink()

    def sprung(self) -> list[str]:
        names = list(TRAPS)
        return [names[int(path.name)] for path in self.marks.iterdir()]


@pytest.mark.parametrize("name", TRAPS)
def test_the_trap_springs_on_an_ordinary_command(name: str, user: User, tmp_path: Path) -> None:
    owned = Owned(user, tmp_path)
    owned.lay(name)
    assert owned.spring(name)


async def test_a_whole_session_springs_none_of_them(
    user: User, start: Start, tmp_path: Path
) -> None:
    owned = Owned(user, tmp_path)
    head = user.git("rev-parse", "HEAD")
    user.write("a.txt", "uncommitted\n")
    user.write("new.txt")
    for name in TRAPS:
        owned.lay(name)
    owned.clear()  # laying one can spring another

    repository = await Repository.find(user.root)
    await repository.project_id()
    await allocate_number(repository, tmp_path / "state")
    run = await start(user)
    run.agent.write("made.txt")
    done = await run.go()
    assert done.problem is None
    await run.sync.diff(run.inside, base=run.seeded.tip)
    async with viewing(repository) as view:
        assert "made.txt" in await view.diff(head, done.commit)
        await view.show(done.commit)
        await view.powers(head, done.commit)
    await run.undo(run.seeded.tip)
    assert not (await missing(repository))
    await run.sync.forget()

    assert owned.sprung() == []


async def missing(repository: Repository) -> bool:
    async with viewing(repository) as view:
        with pytest.raises(UserError):
            await view.diff("1" * 40, "2" * 40)
    done = await repository.git.run("cat-file", "-e", "1" * 40, ok=(0, 1, 128))
    return done.exit_code == 0


async def test_a_checked_out_branch_moves_past_all_of_them(
    user: User, start: Start, tmp_path: Path
) -> None:
    owned = Owned(user, tmp_path)
    run = await start(user)
    run.agent.write("made.txt")
    await run.go()
    user.git("checkout", "--quiet", "glovebox/1")
    for name in TRAPS:
        owned.lay(name)
    owned.clear()
    run.sync = Sync(await Repository.find(user.root), name="s1", branch="glovebox/1")
    run.agent.write("a.txt", "by the agent\n")

    done = await run.go()

    assert done.problem is None
    assert user.git("rev-parse", f"refs/heads/{done.branch}") == done.commit
    assert owned.sprung() == []
