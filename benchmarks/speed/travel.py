"""The way in and the way home against git's own: `git fetch` over the same files is the floor.

The files are text that does not repeat, with a history, a merge and tags. Only what somebody waits
for is timed: not the making of the sandbox, nor that of the files.
"""

from __future__ import annotations

import secrets
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.git.repository import Repository
from agent.git.rules import Rules
from agent.git.sync import Sync
from agent.host import env, files, process
from agent.sandbox.protocol import ExecResult, Sandbox, SandboxSpec, Sink
from agent.sandbox.registry import open_backend
from benchmarks.repository import git

COUNTS = (1_000, 10_000)
HISTORY = 30
_MAKE_FILES = """
import pathlib, random, sys
root, count, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
chance = random.Random(seed)
words = ["".join(chance.choices("abcdefghijklmnop", k=7)) for _ in range(2000)]
for at in range(int(sys.argv[4]), int(sys.argv[5])):
    path = root / f"f{at % 100}" / f"{at // 100}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(" ".join(chance.choices(words, k=8)) + "\\n" for _ in range(20)))
"""


@dataclass(frozen=True, slots=True)
class Trip:
    """One way, ours and git's: medians in seconds, and bytes."""

    what: str
    ours: float
    bare: float
    sent: int
    floor: int

    def text(self) -> str:
        time_ratio, size_ratio = self.ours / self.bare, self.sent / self.floor
        return (
            f"{self.what:<38} {time_ratio:>6.2f}x {1000 * self.ours:>8.0f} {1000 * self.bare:>8.0f}"
            f" {size_ratio:>7.2f}x {self.sent:>10,} {self.floor:>10,}"
        )


HEAD = (
    f"{'what':<38} {'time':>7} {'ours ms':>8} {'git ms':>8} {'bytes':>8} {'ours':>10} {'git':>10}"
)


class Counted:
    """A sandbox of which every byte that goes in or comes out as a file is counted."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.put_bytes = self.got_bytes = 0

    @property
    def workdir(self) -> str:
        return self._sandbox.workdir

    async def exec(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds: float = 120.0,
    ) -> ExecResult:
        return await self._sandbox.exec(argv, cwd=cwd, env=env, stdin=stdin, seconds=seconds)

    async def put(self, path: str, data: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
        whole = data if isinstance(data, bytes) else b"".join(data)
        self.put_bytes += len(whole)
        await self._sandbox.put(path, whole, mode=mode)

    async def get(self, path: str, *, limit: int, sink: Sink | None = None) -> bytes:
        def count(piece: bytes) -> None:
            self.got_bytes += len(piece)
            if sink is not None:
                sink(piece)

        data = await self._sandbox.get(path, limit=limit, sink=count if sink else None)
        self.got_bytes += len(data)
        return data


async def travel(repeat: int) -> list[Trip]:
    """Seeds and syncs of repositories of several sizes."""
    trips: list[Trip] = []
    with files.temporary_dir("glovebox-travel-", shared=True) as folder:
        for count in COUNTS:
            place = folder / str(count)
            await _repository(place / "repository", count)
            trips += await _trips(place, count, repeat)
    return trips


async def _trips(place: Path, count: int, repeat: int) -> list[Trip]:
    repository = place / "repository"
    backend = open_backend("local", place.parent / "root")
    ours: list[float] = []
    bare: list[float] = []
    home: list[float] = []
    fetched: list[float] = []
    sent = floor = came = least = 0
    for number in range(repeat + 1):  # the first round warms the caches and does not count
        name = f"travel{secrets.token_hex(6)}"
        sandbox = await backend.create(SandboxSpec(name))
        try:
            inside = Counted(sandbox)
            sync = Sync(
                await Repository.find(repository),
                name=name,
                branch=f"glovebox/{name}",
                rules=Rules(history=0),
            )
            begun = time.perf_counter()
            await sync.seed(inside)
            ours.append(time.perf_counter() - begun)
            sent = inside.put_bytes
            clone = place / f"clone{number}"
            bare.append(await _fetched(repository, clone))
            floor = await _pack_size(clone, ["HEAD"])
            inside.got_bytes = 0
            home.append(await _home(sync, sandbox, inside))
            came = inside.got_bytes
            fetched.append(await _back(repository, clone))
            least = await _pack_size(clone, ["HEAD", "^HEAD~1"])
        finally:
            await sandbox.close()
            await backend.destroy(sandbox.ref)
    medians = [statistics.median(times[1:]) for times in (ours, bare, home, fetched)]
    return [
        Trip(f"seed of {count:,} files : git fetch", medians[0], medians[1], sent, floor),
        Trip(f"sync of a line, {count:,} : git fetch", medians[2], medians[3], came, least),
    ]


async def _home(sync: Sync, sandbox: Sandbox, inside: Counted) -> float:
    await sandbox.exec(["sh", "-c", "date +%N >>f0/0.txt"])
    begun = time.perf_counter()
    done = await sync.run(inside, message="Change a line")
    assert done.problem is None, done.problem
    return time.perf_counter() - begun


async def _fetched(repository: Path, clone: Path) -> float:
    """A repository made, filled and checked out by git alone."""
    begun = time.perf_counter()
    await git(["init", "-q", "-b", "main", str(clone)], repository)
    await git(["fetch", "-q", repository.as_uri(), "main"], clone)
    await git(["reset", "-q", "--hard", "FETCH_HEAD"], clone)
    return time.perf_counter() - begun


async def _back(repository: Path, clone: Path) -> float:
    """A line changed, committed, and fetched by the repository."""
    files.write_whole(clone / "f0" / "0.txt", f"{time.time_ns()}\n".encode())
    begun = time.perf_counter()
    await git(["add", "-A"], clone)
    await git(["commit", "-q", "-m", "change"], clone)
    await git(["fetch", "-q", str(clone), "+main:refs/speed/main"], repository)
    return time.perf_counter() - begun


async def _pack_size(clone: Path, revisions: Sequence[str]) -> int:
    """How many bytes git would send for these commits."""
    done = await process.run(
        ["git", "pack-objects", "--revs", "--thin", "--stdout", "-q", "--delta-base-offset"],
        env={"PATH": env.variable("PATH")},
        cwd=clone,
        stdin="".join(f"{one}\n" for one in revisions).encode(),
        limit=10**9,
    )
    return len(done.stdout)


async def _repository(place: Path, count: int) -> None:
    files.make_private_dir(place)
    await git(["init", "-q", "-b", "main"], place)
    await _commit(place, count, 0, count, "start")
    for number in range(HISTORY):
        some = count // 100
        await _commit(place, number, number * some, (number + 1) * some, f"change {number}")
    await git(["tag", "-a", "v1", "-m", "v1"], place)
    await git(["checkout", "-q", "-b", "side", "HEAD~3"], place)
    await _commit(place, 77, count - 1, count, "side")
    await git(["checkout", "-q", "main"], place)
    await git(["merge", "-q", "--no-ff", "-m", "merge", "side"], place)
    await git(["gc", "-q"], place)


async def _commit(place: Path, seed: int, first: int, last: int, message: str) -> None:
    words = [str(place), "0", str(seed), str(first), str(last)]
    await process.run(
        [sys.executable, "-c", _MAKE_FILES, *words], env={"PATH": env.variable("PATH")}
    )
    await git(["add", "-A"], place)
    await git(["commit", "-q", "--allow-empty", "-m", message], place)


async def measure_travel(repeat: int) -> None:
    """Measure and print."""
    print(HEAD)
    trips = await travel(repeat)
    for trip in trips:
        print(trip.text(), flush=True)
    small, large = (trip for trip in trips if trip.what.startswith("seed"))
    rates = [1e6 * trip.ours / trip.sent for trip in (small, large)]
    print(f"seconds a megabyte sent: {rates[0]:.2f}, {rates[1]:.2f} with ten times the files")
