"""The repository map against Aider's, on the same repository in one run: cost and usefulness.

Cost is the first map in a process that knows nothing and a later one in a new process: seconds of
wall clock and processor, and the memory of all processes together at its highest. Usefulness is how
many of the files that real commits touched are in the map when only the commit's subject is known
(`subject`), or one of the files besides (`file`). Both sides get the same budget, counted alike.
Aider is installed into an environment of its own; it is no part of glovebox.
"""

from __future__ import annotations

import base64
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.errors import UserError
from agent.host import env, files, process
from agent.sandbox import grammars
from agent.sandbox.toolbox import LIMITS, bundle
from benchmarks.repository import git

AIDER = "aider-chat==0.86.2"
CHARS_PER_TOKEN = 3.6
FILES_LEAST, FILES_MOST = 2, 8
SECONDS = 3_600.0

# Runs a program and says what it and everything it started took.
_WATCH = """
import json, os, resource, subprocess, sys, time
def tree(pid):
    found = [pid]
    for one in found:
        try:
            for task in os.listdir("/proc/%d/task" % one):
                with open("/proc/%d/task/%s/children" % (one, task)) as file:
                    found += map(int, file.read().split())
        except OSError:
            pass
    return found
def memory(pid):
    total = 0
    for one in tree(pid):
        try:
            with open("/proc/%d/smaps_rollup" % one) as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    return total
begun, peak = time.perf_counter(), 0
process = subprocess.Popen(sys.argv[1:], stdin=sys.stdin, stdout=subprocess.PIPE)
import threading
out = []
reader = threading.Thread(target=lambda: out.append(process.stdout.read()))
reader.start()
while process.poll() is None:
    looked = time.perf_counter()
    peak = max(peak, memory(process.pid))
    # The kernel walks all pages to answer: looking may take a twentieth of the time at most.
    time.sleep(max(0.05, 20 * (time.perf_counter() - looked)))
reader.join()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"wall": time.perf_counter() - begun, "cpu": used.ru_utime + used.ru_stime,
    "memory": peak * 1024, "code": process.returncode, "out": out[0].decode("utf-8", "replace")}))
"""

# Maps by Aider's own class, the words of a request taken from it as Aider's own coder does.
_AIDER = """
import json, os, re, sys
from aider.io import InputOutput
from aider.repomap import RepoMap
asked = json.load(sys.stdin)
class Model:
    def token_count(self, text):
        return int(len(text) / asked["chars_per_token"])
root = asked["root"]
every = [os.path.join(root, name) for name in asked["files"]]
stems = {}
for name in asked["files"]:
    stem = os.path.splitext(os.path.basename(name))[0].lower()
    if len(stem) >= 5:
        stems.setdefault(stem, set()).add(name)
answers = []
for one in asked["asked"]:
    maps = RepoMap(one["tokens"], root, Model(), InputOutput(), map_mul_no_files=1, refresh="files")
    idents = set(re.split(r"\\\\W+", one["words"]))
    words = {word.strip("`'\\",.;:!?") for word in one["words"].split()}
    named = {name for name in asked["files"] if name in words or os.path.basename(name) in words}
    for ident in idents:
        named |= stems.get(ident.lower(), set())
    chat = [os.path.join(root, name) for name in one["touched"]]
    others = [name for name in every if name not in chat]
    text = maps.get_repo_map(chat, others, mentioned_fnames=named, mentioned_idents=idents) or ""
    answers.append([line.rstrip(":") for line in text.split("\\\\n")])
print(json.dumps(answers))
""".replace("\\\\", "\\")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a program and all it started took."""

    wall: float
    cpu: float
    memory: int
    out: str


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit said, and which files of code it touched that are still there."""

    subject: str
    files: tuple[str, ...]


async def measure_maps(repository: Path, *, commits: int, tokens: Sequence[int]) -> None:
    """Measure both on clones of `repository` and print the table."""
    python = await _aider()
    with files.temporary_dir("glovebox-maps-") as folder:
        theirs, ours = folder / "theirs", folder / "ours"
        for clone in (theirs, ours):
            await git(["clone", "-q", "--no-checkout", str(repository), str(clone)], folder)
            await git(["read-tree", "HEAD"], clone)
            # A copy of a repository may lack its largest files: the others will do.
            await _git_out(["checkout-index", "-a", "-q"], clone)
        peer = _Aider(python, theirs)
        own = _Own(ours, folder)
        sample = await _sample(ours, await own.code(), commits)
        tracked = await _tracked(theirs)
        peer.files = tracked
        print(f"{repository.name}: {len(tracked)} files, {len(sample)} commits\n", flush=True)
        await _costs(own, peer, tokens[0])
        if sample:
            await _recall(own, peer, sample, tokens)


async def _costs(own: _Own, peer: _Aider, tokens: int) -> None:
    print(f"{'':<12} {'':>8} {'wall s':>8} {'cpu s':>8} {'memory MB':>10}")
    rows: dict[str, tuple[Cost, Cost]] = {}
    for what in ("first map", "later map"):
        words = "cold start" if what == "first map" else "another request about settings"
        if what == "first map":
            built = await own.build()
            mapped = await own.cost(words, tokens)
            mine = Cost(
                built.wall + mapped.wall,
                built.cpu + mapped.cpu,
                max(built.memory, mapped.memory),
                mapped.out,
            )
        else:
            mine = await own.cost(words, tokens)
        their = await peer.cost(words, tokens)
        rows[what] = mine, their
        for who, cost in (("ours", mine), ("aider", their)):
            numbers = f"{cost.wall:>8.2f} {cost.cpu:>8.2f} {cost.memory / 1e6:>10.1f}"
            print(f"{what:<12} {who:>8} {numbers}", flush=True)
    for what, (mine, their) in rows.items():
        print(
            f"{what}: {their.wall / mine.wall:.1f}x wall, {their.cpu / mine.cpu:.1f}x cpu,"
            f" {their.memory / mine.memory:.1f}x memory"
        )
    print(flush=True)


async def _recall(own: _Own, peer: _Aider, sample: Sequence[Commit], tokens: Sequence[int]) -> None:
    print(f"{'recall':<8} {'tokens':>7} {'ours':>6} {'aider':>6} {'files':>7} {'files':>7}")
    for budget in tokens:
        for mode in ("subject", "file"):
            asked = [_question(commit, mode, budget) for commit in sample]
            found = [await own.files(one) for one in asked]
            theirs = await peer.ask(asked)
            wanted = [c.files[1:] if mode == "file" else c.files for c in sample]
            mine, other = _share(found, wanted), _share(theirs, wanted)
            sizes = [statistics.mean(map(len, lists)) for lists in (found, _known(theirs, peer))]
            shares = f"{mode:<8} {budget:>7} {mine:>6.2f} {other:>6.2f}"
            print(f"{shares} {sizes[0]:>7.1f} {sizes[1]:>7.1f}", flush=True)


def _question(commit: Commit, mode: str, tokens: int) -> dict[str, Any]:
    touched = list(commit.files[:1]) if mode == "file" else []
    return {"words": commit.subject, "touched": touched, "tokens": tokens}


def _known(lists: Sequence[Sequence[str]], peer: _Aider) -> list[list[str]]:
    known = set(peer.files)
    return [[name for name in found if name in known] for found in lists]


def _share(found: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    shares = [
        sum(name in set(listed) for name in want) / len(want)
        for listed, want in zip(found, wanted, strict=True)
    ]
    return statistics.mean(shares) if shares else 0.0


class _Own:
    """Our toolbox, one process for each question, as in a sandbox without a channel."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._zip = folder / "toolbox.zip"
        files.write_whole(self._zip, bundle())
        self._cache = folder / "cache"
        self._grammars = grammars.for_local(sys.executable)

    async def build(self) -> Cost:
        """Everything in the repository, as the background does it, but at usual priority."""
        script = "import sys; sys.path.insert(0, sys.argv[1]);"
        script += "from agent.toolbox.symbols import build, store;"
        script += "build.build(sys.argv[2], store.database(), sys.argv[3])"
        argv = [sys.executable, "-I", "-S", "-c", script, str(self._zip), str(self._root)]
        return await _cost([*argv, self._grammars], self._environment())

    async def code(self) -> list[str]:
        """The files of code, by path."""
        listed = "from agent.toolbox.symbols.snapshot import take; import json;"
        listed += "print(json.dumps(sorted(take(sys.argv[2]).files)))"
        return [str(name) for name in json.loads(await self._inside(listed))]

    async def _inside(self, script: str) -> str:
        """What a script says that imports the toolbox as it is shipped."""
        script = f"import sys; sys.path.insert(0, sys.argv[1]); {script}"
        argv = [sys.executable, "-I", "-S", "-c", script, str(self._zip), str(self._root)]
        done = await process.run(argv, env=self._environment())
        return done.stdout.decode("utf-8", "replace")

    async def cost(self, words: str, tokens: int) -> Cost:
        return await self._once({"words": words, "tokens": tokens})

    async def files(self, asked: Mapping[str, Any]) -> list[str]:
        answer = _answer((await self._once(asked)).out)
        return [str(name) for name in answer["files"]]

    async def _once(self, arguments: Mapping[str, Any]) -> Cost:
        ask = {
            "id": "map",
            "op": "map",
            "arguments": dict(arguments),
            "limits": {**LIMITS, "workdir": str(self._root), "changing": f"{self._zip}.lock"},
            "environment": self._environment(),
            "grammars": self._grammars,
        }
        word = base64.b64encode(json.dumps(ask).encode()).decode()
        return await self._run(["once", word])

    async def _run(self, arguments: Sequence[str]) -> Cost:
        argv = [sys.executable, "-I", "-S", str(self._zip), *arguments]
        return await _cost(argv, self._environment())

    def _environment(self) -> dict[str, str]:
        return {"PATH": env.variable("PATH"), "HOME": str(self._cache), "LANG": "C.UTF-8",
                "XDG_CACHE_HOME": str(self._cache)}  # fmt: skip


def _answer(out: str) -> dict[str, Any]:
    """The answer in what `once` printed: frames as lines, the payload in base64."""
    data = b"".join(base64.b64decode(line.split(" ")[3]) for line in out.splitlines())
    return dict(json.loads(data))


class _Aider:
    """Aider's class, one process for all questions of a call."""

    def __init__(self, python: Path, root: Path) -> None:
        self._python = python
        self._root = root
        self.files: list[str] = []

    async def cost(self, words: str, tokens: int) -> Cost:
        return await self._run([{"words": words, "touched": [], "tokens": tokens}])

    async def ask(self, asked: Sequence[Mapping[str, Any]]) -> list[list[str]]:
        return [list(found) for found in json.loads((await self._run(asked)).out.splitlines()[-1])]

    async def _run(self, asked: Sequence[Mapping[str, Any]]) -> Cost:
        request = {
            "root": str(self._root),
            "files": self.files,
            "asked": list(asked),
            "chars_per_token": CHARS_PER_TOKEN,
        }
        argv = [str(self._python), "-c", _AIDER]
        return await _cost(argv, env.variables(), json.dumps(request).encode(), self._root)


async def _cost(
    argv: Sequence[str], environment: Mapping[str, str], stdin: bytes = b"", cwd: Path | None = None
) -> Cost:
    watched = [sys.executable, "-c", _WATCH, *argv]
    done = await process.run(watched, env=environment, stdin=stdin, seconds=SECONDS, cwd=cwd)
    said = json.loads(done.stdout.splitlines()[-1])
    if said["code"]:
        raise UserError(f"`{argv[0]}` failed", done.stderr.decode("utf-8", "replace")[-2_000:])
    return Cost(said["wall"], said["cpu"], said["memory"], said["out"])


async def _aider() -> Path:
    """The interpreter of an environment with Aider in it, made when it is absent."""
    place = env.state_dir() / "benchmarks" / AIDER
    python = place / "bin" / "python"
    if not files.exists(place / "complete"):
        print(f"installing {AIDER} into {place}", file=sys.stderr, flush=True)
        for argv in ([sys.executable, "-m", "venv", str(place)],
                     [str(python), "-m", "pip", "install", "-q", AIDER]):  # fmt: skip
            done = await process.run(argv, env=env.variables(), seconds=SECONDS)
            if done.exit_code:
                raise UserError(f"{AIDER} cannot be installed", done.stderr.decode()[-2_000:])
        files.write_whole(place / "complete", b"")
    return python


async def _tracked(root: Path) -> list[str]:
    return [name for name in (await _git_out(["ls-files", "-z"], root)).split("\0") if name]


async def _sample(root: Path, code: Sequence[str], count: int) -> list[Commit]:
    """The newest commits that touched some files of code, merges left out."""
    known = set(code)
    log = ["log", "--no-merges", "-n", "3000", "--name-only", "--format=%x00%s"]
    found: list[Commit] = []
    for block in (await _git_out(log, root)).split("\0")[1:]:
        subject, _, names = block.partition("\n")
        touched = tuple(name for name in names.split("\n") if name in known)
        if FILES_LEAST <= len(touched) <= FILES_MOST:
            found.append(Commit(subject, touched))
    return found[:count]


async def _git_out(arguments: Sequence[str], root: Path) -> str:
    done = await process.run(["git", *arguments], env=env.variables(), cwd=root, seconds=300.0)
    return done.stdout.decode("utf-8", "replace")
