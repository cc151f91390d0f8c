"""A user, agents and a sync engine that dies, in a random order; and what must hold all the while.

Everything is real: git, processes, kill -9. Only the sandbox is a plain folder. A schedule is made
from a seed, so one that fails can be run again.
"""

from __future__ import annotations

import asyncio
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
from agent.core.events import SyncFinished
from agent.git import guard
from agent.git.repository import Repository
from agent.git.sync import Sync
from tests.git.hostdir import HostDir
from tests.git.users import User

NAMES = ("a.txt", "dir/b.txt", "made.txt", "new/c.txt", "ignored.log")
POINTS = 75  # a sync has about that many, two at each program it starts on either side


class Mortal(HostDir):
    """What runs in it ends with the host process, as in a real sandbox."""

    async def exec(self, argv: Any, **kwargs: Any) -> Any:
        at_point()
        done = await super().exec(["setpriv", "--pdeathsig", "KILL", "--", *argv], **kwargs)
        at_point()
        return done

    async def get(self, path: str, **kwargs: Any) -> bytes:
        at_point()
        data = await super().get(path, **kwargs)
        at_point()
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
    tips: list[str] = field(default_factory=list)

    @property
    def at(self) -> User:
        return User(self.inside.work)

    @property
    def engine(self) -> Sync:
        """A new one each time: what it knows is in its journal or nowhere."""
        return Sync(self.repository, name=self.name, branch=self.branch)

    async def sync(self) -> SyncFinished:
        return await self.engine.run(self.inside, message="work", known=(self.base,))


@dataclass(frozen=True)
class Template:
    """A repository with two seeded sessions, made once and copied for every schedule."""

    place: Path

    @classmethod
    def make(cls, place: Path) -> Template:
        user = User.start(place / "repo", "--template=")
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
        begun._run(begun.agents[0])
        return template

    def copy(self, place: Path, *, begun: bool = False) -> World:
        source = self.place.with_name(f"{self.place.name}-begun") if begun else self.place
        shutil.copytree(source, place, symlinks=True)
        bases = (place / "bases").read_text().split()
        repository = asyncio.run(Repository.find(place / "repo"))
        agents = [
            Agent(f"s{n}", f"glovebox/{n}", Mortal(place / f"inside{n}"), base, repository, [base])
            for n, base in enumerate(bases, 1)
        ]
        world = World(User(place / "repo"), agents)
        world.learn({})
        return world


class World:
    """The whole of it, and the promises."""

    def __init__(self, user: User, agents: list[Agent]) -> None:
        self.user = user
        self.agents = agents
        self.commits: set[str] = set()  # the user's own
        self.ours: dict[str, str] = {}  # branch to what the engine put there last
        self.linked = User(user.root.parent / "linked")
        self.log: list[str] = []
        self.busy: set[str] = set()  # agents that something was done with

    # What is looked at.

    def refs(self) -> dict[str, str]:
        return self.user.refs()

    def trees(self) -> dict[str, dict[str, bytes]]:
        """Every file of the user's working trees, byte by byte, and what HEAD names there."""
        found: dict[str, dict[str, bytes]] = {}
        for one in (self.user, self.linked):
            if not one.root.is_dir():
                continue
            paths = (p for p in one.root.rglob("*") if p.is_file() and ".git" not in p.parts)
            files = {str(p.relative_to(one.root)): p.read_bytes() for p in paths}
            files[".git/HEAD"] = one.git(
                "rev-parse", "--symbolic-full-name", "HEAD", ok=False
            ).encode()
            shown = ("status", "--porcelain", "--untracked-files=no", "--no-renames")
            files[".git/status"] = one.git("--no-optional-locks", *shown, ok=False).encode()
            found[one.root.name] = files
        return found

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
        listed = self.user.git("for-each-ref", "--format=%(refname:short)", "refs/heads/glovebox")
        return listed.split() or ["glovebox/1"]

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
            ["plain", "killed", "shot", "broken", "meanwhile", "both", "undo"],
            [30, 20, 15, 8, 17, 5, 5],
        )[0]
        point = chance.randrange(1, POINTS)
        self.log.append(f"sync {agent.name} {kind} at {point}")
        if kind == "meanwhile":
            self._run(agent, at=point, meanwhile=lambda: self.act(chance))
        elif kind == "broken":
            self._run(agent, at=point, happens=_broken)
        elif kind == "undo":
            self._undo(agent, chance)
        elif kind == "plain":
            self._run(agent)
        else:
            self._in_children(agent, kind, point, chance)

    def _run(
        self,
        agent: Agent,
        at: int = 0,
        happens: Callable[[], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> SyncFinished:
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
        self.check_shown(agent)
        return done

    def _undo(self, agent: Agent, chance: random.Random) -> None:
        refs, trees = self.refs(), self.trees()
        to = chance.choice(agent.tips)
        was = asyncio.run(agent.engine.undo(agent.inside, to=to)).was
        self.check_theirs(refs, trees)
        self.learn(refs)
        agent.tips.append(was)
        assert agent.at.git("rev-parse", "HEAD") == to
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
        settle(self.user.root.parent)
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
        self, refs: dict[str, str], trees: dict[str, dict[str, bytes]], *, half_done: bool = False
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
        for tree, files in trees.items():
            assert now[tree][".git/HEAD"] == files[".git/HEAD"]
            if half_done:
                files[".git/status"] = now[tree][".git/status"]
            assert now[tree][".git/status"] == files[".git/status"], f"{tree} is in disorder"
            changed = [
                n for n in files.keys() | now[tree].keys() if files.get(n) != now[tree].get(n)
            ]
            if changed:
                self._check_forward(files, changed, refs)

    def _check_forward(
        self, files: dict[str, bytes], changed: list[str], refs: dict[str, str]
    ) -> None:
        ref = files[".git/HEAD"].decode()
        committed = self.user.tree(refs[ref])
        assert self.ours.get(ref.removeprefix("refs/heads/")) == refs[ref], ref
        for name in changed:
            known = committed.get(name, ("", None))[1]
            assert files.get(name) == known, f"{name} of the user was overwritten"

    def check_home(self, agent: Agent, done: SyncFinished) -> None:
        """A success means that both ends are the same."""
        assert done.commit == self.refs()[f"refs/glovebox/{agent.name}/tip"]
        assert done.commit == agent.at.git("rev-parse", "HEAD")
        assert agent.at.git("status", "--porcelain") == ""
        agent.tips.append(done.commit)

    def check_shown(self, agent: Agent) -> None:
        """What is shown is what is."""
        shown = asyncio.run(agent.engine.standing(agent.inside))
        tip = self.refs().get(f"refs/glovebox/{agent.name}/tip", "")
        ahead = int(agent.at.git("rev-list", "--count", "HEAD", f"^{tip}"))
        ahead += bool(agent.at.git("status", "--porcelain"))
        if shown.state == "synced":
            assert ahead == 0
        elif shown.state == "ahead":
            assert shown.ahead == max(ahead, 1)
        else:
            assert shown.ahead == ahead and shown.why

    def finish(self) -> None:
        """Once nothing goes wrong any more, all work is home and nothing was ever lost."""
        self.unlock(self.user, random.Random())
        for agent in self.agents:
            if agent.name not in self.busy:
                continue
            done = self._run(agent)
            assert done.problem is None, done.problem
            assert str(asyncio.run(agent.engine.standing(agent.inside))) == "synced"
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


def fork(job: Callable[[], Any]) -> int:
    """Run `job` in a process of its own."""
    pid = os.fork()
    if pid:
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
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def settle(place: Path) -> None:
    """Wait for programs that a killed host left running at `place`."""
    needle = os.fsencode(place)
    while any(needle in _of(pid, "environ") for pid in _pids()):
        time.sleep(0.002)


def _pids() -> list[str]:
    me = str(os.getpid())
    return [entry for entry in os.listdir("/proc") if entry.isdigit() and entry != me]


def _of(pid: str, name: str) -> bytes:
    try:
        return Path("/proc", pid, name).read_bytes()
    except OSError:
        return b""


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
