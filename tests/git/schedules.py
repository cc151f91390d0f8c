"""A user, agents and a sync engine that dies, in a random order; and what must hold all the while.

Everything is real: git, processes, kill -9. Only the sandbox is a plain folder. A schedule is made
from a seed, so one that fails can be run again.
"""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.core.errors import SandboxLost
from agent.core.events import Problem, SyncFinished
from agent.git import guard
from agent.git.repository import Repository
from agent.git.sync import Sync
from tests.git.hostdir import HostDir
from tests.git.users import User

NAMES = ("a.txt", "dir/b.txt", "made.txt", "new/c.txt", "ignored.log")
_PID = os.getpid()
# No schedule has a power failure in it, and what git does beside its work is no part of any.
QUICK = {
    "core.fsync": "none",
    "core.preloadIndex": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "1",
}
POINTS = 34  # a sync has about that many, two at each program it starts on either side


class Mortal(HostDir):
    """What runs in it ends with the host process, as in a real sandbox.

    `sneaks` happens once, when something has been carried out.
    """

    sneaks: Callable[[], object] | None = None

    async def exec(self, argv: Any, **kwargs: Any) -> Any:
        at_point()
        mortal = ("setpriv", "--pdeathsig", "KILL", "--") if os.getpid() != _PID else ()
        done = await super().exec([*mortal, *argv], **kwargs)
        at_point()
        return done

    async def get(self, path: str, **kwargs: Any) -> bytes:
        at_point()
        data = await super().get(path, **kwargs)
        at_point()
        sneaks, self.sneaks = self.sneaks, None
        if sneaks is not None:
            sneaks()
        return data


# Between any two programs lies a point at which something can happen.
_happens: Callable[[], None] | None = None
_left = 0


def at_point() -> None:
    global _left, _happens
    _left -= 1
    if _left == 0 and _happens is not None:
        happens, _happens = _happens, None
        happens()


@contextmanager
def at(point: int, happens: Callable[[], None] | None) -> Generator[None]:
    """Have something happen at the `point`th point of the sync that follows."""
    global _left, _happens
    original = guard.run

    async def run(*args: Any, **kwargs: Any) -> Any:
        at_point()
        done = await original(*args, **kwargs)
        at_point()
        return done

    _left, _happens, guard.run = point, happens, run
    try:
        yield
    finally:
        _left, _happens, guard.run = 0, None, original


@dataclass
class Agent:
    """One session: its sandbox, what the engine said came home, the branch it was last put on."""

    name: str
    branch: str
    inside: Mortal
    base: str
    repository: Repository
    tips: list[str] = field(default_factory=list[str])
    clean: Tree | None = None  # how it was when nothing was uncommitted

    @property
    def at(self) -> User:
        return User(self.inside.work)

    @property
    def head(self) -> str:
        """The commit that HEAD inside is at."""
        git_dir = self.inside.work / ".git"
        named = (git_dir / "HEAD").read_text().strip()
        return refs_in(git_dir)[named[5:]] if named.startswith("ref: ") else named

    @property
    def engine(self) -> Sync:
        """A new one each time: what it knows is in its journal or nowhere."""
        return Sync(self.repository, name=self.name, branch=self.branch)

    async def sync(self) -> SyncFinished:
        return await self.engine.run(self.inside, message="work", known=(self.base,))


_found: dict[Path, Repository] = {}


def _copy(source: str, target: str) -> None:
    """Objects are never written to, so that copies may share them."""
    if "/objects/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@dataclass(frozen=True)
class Template:
    """A repository with two seeded sessions, made once and copied for every schedule."""

    place: Path

    @classmethod
    def make(cls, place: Path) -> Template:
        user = User.start(place / "repo", "--template=")
        for key, value in QUICK.items():
            user.git("config", key, value)
        user.commit("first", **{"a.txt": "one\n", ".gitignore": "*.log\n"})
        user.commit("second", **{"a.txt": "one\ntwo\n", "dir/b.txt": "b\n"})
        user.write("a.txt", "one\ntwo\nuncommitted\n")

        async def seed(n: int) -> str:
            sync = Sync(await Repository.find(user.root), name=f"s{n}", branch=f"glovebox/{n}")
            return (await sync.seed(Mortal(place / f"inside{n}"))).tip

        bases = [asyncio.run(seed(n)) for n in (1, 2)]
        (place / "bases").write_text(" ".join(bases))
        template = cls(place)
        begun = template.copy(place.with_name(f"{place.name}-begun"))
        begun.agents[0].at.write("made.txt", "begun\n")
        begun.run(begun.agents[0])
        return template

    def _repository(self, root: Path) -> Repository:
        """What `Repository.find` says of a copy: the same but for the place."""
        if self.place not in _found:
            _found[self.place] = asyncio.run(Repository.find(self.place / "repo"))
        git_dir = root / ".git"
        return dataclasses.replace(
            _found[self.place], root=root, git_dir=git_dir, common_dir=git_dir
        )

    def copy(self, place: Path, *, begun: bool = False) -> World:
        source = self.place.with_name(f"{self.place.name}-begun") if begun else self.place
        shutil.copytree(source, place, symlinks=True, copy_function=_copy)
        bases = (place / "bases").read_text().split()
        repository = self._repository(place / "repo")
        agents = [
            Agent(f"s{n}", f"glovebox/{n}", Mortal(place / f"inside{n}"), base, repository, [base])
            for n, base in enumerate(bases, 1)
        ]
        world = World(User(place / "repo"), agents)
        world.learn({})
        return world


def refs_in(git_dir: Path) -> dict[str, str]:
    """What `git for-each-ref` says, from the files: this is asked far too often for a program."""
    found: dict[str, str] = {}
    packed = git_dir / "packed-refs"
    for line in packed.read_text().split("\n") if packed.exists() else ():
        if line and line[0] not in "#^":
            value, _, ref = line.partition(" ")
            found[ref] = value
    for path in below(git_dir / "refs"):
        if not path.endswith(".lock"):
            found[path[len(str(git_dir)) + 1 :]] = Path(path).read_text().strip()
    return found


def below(folder: Path) -> Generator[str]:
    """The files below a folder, but those of a git directory in it."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        yield from (f"{place}/{name}" for name in files if name != ".git")


@dataclass(frozen=True)
class Tree:
    """A working tree, byte by byte, with the index, what HEAD is, and the commit of that.

    `status` is asked for where the engine may move files: at a branch of its own.
    """

    files: dict[str, bytes]
    head: str
    commit: str
    index: bytes
    status: str | None = field(compare=False)

    @classmethod
    def of(cls, one: User, refs: dict[str, str]) -> Tree:
        files = {
            path[len(str(one.root)) + 1 :]: Path(path).read_bytes() for path in below(one.root)
        }
        link = one.root / ".git"
        git_dir = link if link.is_dir() else Path(link.read_text().strip().removeprefix("gitdir: "))
        head, index = (git_dir / "HEAD").read_text().strip(), git_dir / "index"
        data = index.read_bytes() if index.exists() else b""
        return cls(files, head, refs.get(head.removeprefix("ref: "), ""), data, None)

    def looked_at(self, one: User, was: Tree | None) -> Tree:
        """With its status; `was` saves the question when nothing has changed since."""
        if was is not None and self == was:
            return was
        asked = self.head.startswith("ref: refs/heads/glovebox/")
        return dataclasses.replace(self, status=shown(one)) if asked else self


def shown(one: User) -> str:
    """What of the tracked files is changed or staged."""
    words = ("status", "--porcelain", "--untracked-files=no", "--no-renames")
    return one.git("--no-optional-locks", *words, ok=False)


class World:
    """The whole of it, and the promises."""

    def __init__(self, user: User, agents: list[Agent]) -> None:
        self.user = user
        self.agents = agents
        self.commits: set[str] = set()  # the user's own
        self.ours: dict[str, str] = {}  # branch to what the engine put there last
        self.linked = User(user.root.parent / "linked")
        self.log: list[str] = []
        self._seen: dict[str, Tree] = {}
        self.busy: set[str] = set()  # agents that something was done with

    # What is looked at.

    def refs(self) -> dict[str, str]:
        return refs_in(self.user.root / ".git")

    def trees(self) -> dict[str, Tree]:
        """The user's working trees as they are."""
        refs = self.refs()
        places = (one for one in (self.user, self.linked) if one.root.is_dir())
        self._seen = {
            one.root.name: Tree.of(one, refs).looked_at(one, self._seen.get(one.root.name))
            for one in places
        }
        return self._seen

    def begin(self, chance: random.Random) -> None:
        """Mostly in the middle: a branch is there, and the user may have it checked out."""
        if chance.random() < 0.5:
            self.user.git("reset", "--quiet", "--hard")
        where = chance.choice(["nowhere", "here", "linked", "linked"])
        if where == "here":
            self.user.git("checkout", "--quiet", "glovebox/1", ok=False)
        elif where == "linked":
            path = str(self.linked.root)
            self.user.git("worktree", "add", "--quiet", path, "glovebox/1", ok=False)
        self.log.append(f"glovebox/1 is checked out {where}")

    # What the user does. Whatever git refuses them is fine.

    def act(self, chance: random.Random) -> None:
        before = self.refs()
        where = self.linked if self.linked.root.is_dir() and chance.random() < 0.4 else self.user
        action = chance.choice(USER)
        self.log.append(f"user {action.__name__} in {where.root.name}")
        action(self, where, chance)
        after = self.refs()
        for ref in before.keys() | after.keys():
            if before.get(ref) != after.get(ref):
                self.ours.pop(ref.removeprefix("refs/heads/"), None)

    def edit(self, where: User, chance: random.Random) -> None:
        where.write(chance.choice(NAMES), f"the user's {chance.random()}\n")

    def commit(self, where: User, chance: random.Random) -> None:
        self.edit(where, chance)
        where.git("add", "-A", ok=False)
        where.git("commit", "--quiet", "--allow-empty", "-m", f"user {chance.random()}", ok=False)
        self.commits.add(where.git("rev-parse", "HEAD"))

    def checkout(self, where: User, chance: random.Random) -> None:
        if chance.random() < 0.5:
            where.git("reset", "--quiet", "--hard", ok=False)
            where.git("clean", "--quiet", "-fd", ok=False)
        where.git(
            "checkout", "--quiet", chance.choice([*self.branches(), "main", "main~1"]), ok=False
        )

    def move(self, where: User, chance: random.Random) -> None:
        to = chance.choice(["main", "main~1", *self.branches()])
        where.git("branch", "-f", chance.choice([*self.branches(), "glovebox/1-2"]), to, ok=False)

    def delete(self, where: User, chance: random.Random) -> None:
        where.git("branch", "-D", chance.choice(self.branches()), ok=False)

    def link(self, where: User, chance: random.Random) -> None:
        if self.linked.root.is_dir():
            self.user.git("worktree", "remove", "--force", str(self.linked.root), ok=False)
        else:
            branch = chance.choice(self.branches())
            self.user.git("worktree", "add", "--quiet", str(self.linked.root), branch, ok=False)

    def rebase(self, where: User, chance: random.Random) -> None:
        if where.git("rev-parse", "--quiet", "--verify", "HEAD~1", ok=False):
            edit = ("-c", "sequence.editor=sed -i s/pick/edit/")
            where.git(*edit, "rebase", "--quiet", "--autostash", "-i", "HEAD~1", ok=False)

    def bisect(self, where: User, chance: random.Random) -> None:
        where.git("bisect", "start", "HEAD", "main~1", ok=False)

    def merge(self, where: User, chance: random.Random) -> None:
        where.git(
            "merge", "--quiet", "--no-commit", "--no-ff", chance.choice(self.branches()), ok=False
        )

    def abort(self, where: User, chance: random.Random) -> None:
        for command in (("rebase", "--abort"), ("merge", "--abort"), ("bisect", "reset")):
            where.git(*command, ok=False)

    def collect(self, where: User, chance: random.Random) -> None:
        where.git("reflog", "expire", "--expire=now", "--all", ok=False)
        where.git("gc", "--quiet", "--prune=now", ok=False)

    def pack(self, where: User, chance: random.Random) -> None:
        where.git("pack-refs", "--all", ok=False)

    def unlock(self, where: User, chance: random.Random) -> None:
        """What git tells a user to do after a crash."""
        for path in self.user.root.glob(".git/**/*.lock"):
            path.unlink()

    def someone(self, chance: random.Random) -> Agent:
        """Mostly the one whose branch the user is at."""
        agent = self.agents[chance.random() < 0.25]
        self.busy.add(agent.name)
        return agent

    def branches(self) -> list[str]:
        ours = (ref.removeprefix("refs/heads/") for ref in sorted(self.refs()))
        return [name for name in ours if name.startswith("glovebox/")] or ["glovebox/1"]

    # What an agent does.

    def work(self, agent: Agent, chance: random.Random) -> None:
        self.busy.add(agent.name)
        at, text = agent.at, f"agent {agent.name} {chance.random()}\n"
        what = chance.randrange(10)
        self.log.append(f"{agent.name} works {what}")
        if what < 4:
            at.write(chance.choice(NAMES), text)
        elif what < 6:
            at.write(chance.choice(NAMES), text)
            at.git("add", "-A", ok=False)
            at.git("commit", "--quiet", "--allow-empty", "-m", text, ok=False)
        elif what == 6:
            at.git("commit", "--quiet", "--amend", "--allow-empty", "-m", text, ok=False)
        elif what == 7:
            at.git("reset", "--quiet", "--hard", "HEAD~1", ok=False)
        elif what == 8:
            at.write("ignored.log", text)
            at.git("add", "-f", "ignored.log", ok=False)
        else:
            at.git("checkout", "--quiet", "-B", f"topic{chance.randrange(3)}", ok=False)
        if chance.random() < 0.3:
            self.check_shown(agent)

    # What the engine does.

    def sync(self, chance: random.Random) -> None:
        agent = self.someone(chance)
        kind = chance.choices(
            ["plain", "killed", "shot", "broken", "meanwhile", "both", "undo", "sneaks"],
            [26, 20, 15, 8, 17, 5, 5, 4],
        )[0]
        point = chance.randrange(1, POINTS)
        self.log.append(f"sync {agent.name} {kind} at {point}")
        if kind == "meanwhile":
            self.run(agent, at=point, meanwhile=lambda: self.act(chance))
        elif kind == "broken":
            self.run(agent, at=point, happens=_broken)
        elif kind == "undo":
            self._undo(agent, chance)
        elif kind == "plain":
            self.run(agent)
        elif kind == "sneaks":
            words = ("commit", "--quiet", "--allow-empty", "-m", "sneaked")
            agent.inside.sneaks = lambda: agent.at.git(*words)
            self.run(agent)
            agent.inside.sneaks = None
        else:
            self._in_children(agent, kind, point, chance)

    def run(
        self,
        agent: Agent,
        at: int = 0,
        happens: Callable[[], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> tuple[str, Problem | None]:
        """What is shown after a sync, and what went wrong in it."""
        refs, trees = self.refs(), self.trees()

        def act() -> None:
            nonlocal refs, trees
            assert meanwhile is not None
            self.check_theirs(refs, trees)
            self.learn(refs)
            meanwhile()
            refs, trees = self.refs(), self.trees()

        with globals()["at"](at, act if meanwhile else happens):
            done = asyncio.run(agent.sync())
        self.check_theirs(refs, trees)
        self.learn(refs)
        if done.problem is None:
            self.check_home(agent, done)
        return self.check_shown(agent, clean=done.problem is None), done.problem

    def _undo(self, agent: Agent, chance: random.Random) -> None:
        refs, trees = self.refs(), self.trees()
        to = chance.choice(agent.tips)
        was = asyncio.run(agent.engine.undo(agent.inside, to=to)).was
        self.check_theirs(refs, trees)
        self.learn(refs)
        agent.tips.append(was)
        assert agent.head == to
        self.check_shown(agent)

    def _in_children(self, agent: Agent, kind: str, point: int, chance: random.Random) -> None:
        refs, trees, dies = self.refs(), self.trees(), False
        if kind == "killed":
            children = [fork(lambda: self._die_at(agent, point))]
        elif kind == "shot":
            children = [fork(lambda: asyncio.run(agent.sync()))]
            time.sleep(chance.random() * 0.25)  # when it is killed, not what is waited for
            dies = chance.random() < 0.5
            kill_family(children[0], whole=dies)
        else:
            self.busy |= {one.name for one in self.agents}
            children = [fork(lambda a=a: asyncio.run(a.sync())) for a in self.agents]
        for child in children:
            os.waitpid(child, 0)
        settle()
        self.check_theirs(refs, trees, half_done=dies)
        self.learn(refs)
        if kind == "both":
            for one in self.agents:
                self.check_shown(one)

    def _die_at(self, agent: Agent, point: int) -> None:
        with at(point, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            asyncio.run(agent.sync())

    def learn(self, before: dict[str, str]) -> None:
        """Note what the engine put where."""
        for ref, value in self.refs().items():
            name = ref.removeprefix("refs/heads/")
            if before.get(ref) != value and name.startswith("glovebox/"):
                self.ours[name] = value

    # What must hold.

    def check_theirs(
        self, refs: dict[str, str], trees: dict[str, Tree], *, half_done: bool = False
    ) -> None:
        """Nothing of the user's changed, but where a clean working tree went forward.

        One in which git itself was killed may look `half_done`; what it had is committed.
        """
        after = self.refs()
        for ref in refs.keys() | after.keys():
            if ref.startswith("refs/glovebox/") or refs.get(ref) == after.get(ref):
                continue
            name = ref.removeprefix("refs/heads/")
            assert name.startswith("glovebox/"), f"{ref} was changed"
            if ref in refs:
                assert ref in after, f"{ref} was removed"
                assert self.ours.get(name) == refs[ref], f"{ref} was the user's"
        now = self.trees()
        assert now.keys() == trees.keys()
        for name, tree in trees.items():
            assert now[name].head == tree.head
            if tree.status is None:
                assert now[name] == tree, f"{name} was touched"
                continue
            if not half_done:
                assert now[name].status == tree.status, f"{name} is in disorder"
            files = now[name].files
            changed = [
                n for n in files.keys() | tree.files.keys() if files.get(n) != tree.files.get(n)
            ]
            if changed:
                self._check_forward(tree, changed, refs)

    def _check_forward(self, tree: Tree, changed: list[str], refs: dict[str, str]) -> None:
        ref = tree.head.removeprefix("ref: ")
        committed = self.user.tree(refs[ref])
        assert self.ours.get(ref.removeprefix("refs/heads/")) == refs[ref], ref
        for name in changed:
            known = committed.get(name, ("", None))[1]
            assert tree.files.get(name) == known, f"{name} of the user was overwritten"

    def check_home(self, agent: Agent, done: SyncFinished) -> None:
        """A success means that both ends are the same."""
        assert done.commit == self.refs()[f"refs/glovebox/{agent.name}/tip"]
        assert done.commit == agent.head
        tree = Tree.of(agent.at, refs_in(agent.inside.work / ".git"))
        if tree != agent.clean:  # else git has said so before
            assert agent.at.git("status", "--porcelain") == ""
            agent.clean = tree
        agent.tips.append(done.commit)

    def check_shown(self, agent: Agent, *, clean: bool = False) -> str:
        """What is shown is what is; `clean` when nothing can be uncommitted."""
        shown = asyncio.run(agent.engine.standing(agent.inside))
        tip = self.refs().get(f"refs/glovebox/{agent.name}/tip", "")
        ahead = 0
        if agent.head != tip:
            ahead = int(agent.at.git("rev-list", "--count", "HEAD", f"^{tip}"))
        ahead += not clean and bool(agent.at.git("status", "--porcelain"))
        if shown.state == "synced":
            assert ahead == 0
        elif shown.state == "ahead":
            assert shown.ahead == max(ahead, 1)
        else:
            assert shown.ahead == ahead and shown.why
        return str(shown)

    def finish(self) -> None:
        """Once nothing goes wrong any more, all work is home and nothing was ever lost."""
        self.unlock(self.user, random.Random())
        for agent in self.agents:
            if agent.name not in self.busy:
                continue
            assert self.run(agent) == ("synced", None)
        self.user.git("fsck", "--strict", "--connectivity-only")
        kept = set(
            self.user.git("rev-list", "--glob=refs/glovebox/*", "--glob=refs/glovebox").split()
        )
        missing = [tip for agent in self.agents for tip in agent.tips if tip not in kept]
        assert not missing


USER = (
    *(World.edit, World.edit, World.commit, World.commit, World.checkout, World.checkout),
    *(World.move, World.delete, World.link, World.link, World.rebase, World.bisect, World.merge),
    *(World.abort, World.collect, World.pack, World.unlock),
)


def _broken() -> None:
    raise SandboxLost("the sandbox is gone", "it was a test")


_OURS, _OTHERS = set[int](), set[int]()
"""Children of ours that `fork` made since the last `settle`, and those that were there before."""


def fork(job: Callable[[], Any]) -> int:
    """Run `job` in a process of its own; call `settle` once it has ended."""
    _adopt(True)
    _OTHERS.update(_parents().get(os.getpid(), []) if not _OURS else [])
    pid = os.fork()
    if pid:
        _OURS.add(pid)
        return pid
    code = 1
    try:
        job()
        code = 0
    finally:
        os._exit(code)


def kill_family(pid: int, *, whole: bool) -> None:
    """kill -9, with `whole` also of every program it started, as when a machine dies."""
    family = descendants(pid) if whole else []
    for one in (pid, *family):
        try:
            os.kill(one, signal.SIGKILL)
        except ProcessLookupError:
            continue


def descendants(pid: int) -> list[int]:
    parents = _parents()
    found, todo = list[int](), [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def _parents() -> dict[int, list[int]]:
    """The children of every process."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    return parents


def settle() -> None:
    """Wait for programs that a killed host left running: `fork` made them come to us."""
    while left := set(_parents().get(os.getpid(), [])) - _OTHERS:
        for pid in left:
            os.waitpid(pid, 0)
    _adopt(False)
    _OURS.clear()
    _OTHERS.clear()


def _adopt(orphans: bool) -> None:
    """Whether orphans of our children become children of ours, and not of the machine's."""
    if ctypes.CDLL(None, use_errno=True).prctl(36, int(orphans), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def play(template: Template, place: Path, seed: int) -> None:
    """One schedule from beginning to end."""
    chance = random.Random(seed)
    world = template.copy(place, begun=chance.random() < 0.8)
    try:
        world.begin(chance)
        for _ in range(chance.randint(3, 7)):
            what = chance.random()
            if what < 0.35:
                world.act(chance)
            elif what < 0.65:
                world.work(world.someone(chance), chance)
            else:
                world.sync(chance)
        world.finish()
    except BaseException as error:
        error.add_note("\n".join([f"seed {seed}", *world.log]))
        raise
    shutil.rmtree(place)
