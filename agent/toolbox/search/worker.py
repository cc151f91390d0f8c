"""The process that searches: `python3 -I -S toolbox.zip search`, one request, then it ends.

It is one of its own because a pattern can take for ever on some text, and nothing else in here may
wait for it: an alarm ends the work on one file, a limit on memory that on a huge one, and whoever
started it can kill it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from typing import Any, Dict, List, Optional, Sequence, Set, Tuple

from agent.toolbox.search import choose
from agent.toolbox.search.dialect import Wanted, wanted
from agent.toolbox.search.finders import sieve
from agent.toolbox.search.glob import BadPattern
from agent.toolbox.search.matching import Matches, matches_in
from agent.toolbox.symbols.relevance import remoteness

MEMORY_BYTES = 3_000_000_000
FILE_CPU_SECONDS = 3.0
BYTES_PER_CPU_SECOND = 5_000_000
"""What a file is granted besides for its size."""

SLOW_MAX = 5
FILES_KEPT = 2_000


def serve() -> None:
    """Answer the request on stdin on stdout."""
    ask = json.loads(sys.stdin.buffer.read().decode("ascii"))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    answer = json.dumps(answered(ask))
    sys.stdout.buffer.write(answer.encode("ascii"))
    sys.stdout.buffer.flush()


def answered(ask: Dict[str, Any]) -> Dict[str, Any]:
    """What there is of the pattern; looked for among hidden and ignored files, too, if need be."""
    until = time.monotonic() + ask["seconds"]
    pattern = wanted(ask["pattern"], fixed=ask["fixed"], ignore_case=ask["ignore_case"])
    try:
        search = _Search(ask, pattern, until)
        found = search.run(everything=ask["all"])
        if not found["total"] and not ask["all"] and found["complete"]:
            # Perhaps it is in what ignore rules leave out.
            wide = search.run(everything=True)
            wide["widened"] = bool(wide["total"])
            wide["searched"] += found["searched"]
            wide["of"] += found["of"]
            wide["engine"] = found["engine"]
            found = wide
    except BadPattern as problem:
        return {"problem": "bad_pattern", "why": str(problem)}
    except OSError as error:
        return {"problem": "os", "errno": error.errno or 0, "why": error.strerror or str(error)}
    return dict(found, unusual=pattern.unusual)


class _TooSlow(Exception):
    """The alarm rang."""


def _ring(number: int, frame: Any) -> None:
    raise _TooSlow


class _Search:
    """One run over the files."""

    def __init__(self, ask: Dict[str, Any], pattern: Wanted, until: float) -> None:
        self._ask = ask
        self._pattern = pattern
        self._until = until
        self._kept = 0  # hits whose text is kept
        self._slow: List[str] = []
        self._read_ones: Set[str] = set()

    def run(self, *, everything: bool) -> Dict[str, Any]:
        """Look into every file that was not among those of an earlier run."""
        ask = self._ask
        choice = choose.choose(
            ask["target"],
            ask["patterns"],
            ask["kind"],
            workdir=ask["workdir"],
            hidden=everything,
            ignored=everything,
            seconds=max(0.1, self._until - time.monotonic()),
        )
        choice = choice._replace(paths=[p for p in choice.paths if p not in self._read_ones])
        self._read_ones.update(choice.paths)
        ignore_case = bool(self._pattern.regex.flags & 2)
        texts = self._pattern.texts
        left = sieve(
            choice, texts, ignore_case=ignore_case, engine=ask["engine"], until=self._until
        )
        found, read = self._read(choice, left.paths)
        total = sum(matches.total for _, matches in found)
        return {
            "base": choice.base,
            "total": total,
            "files": len(found),
            "searched": len(choice.paths) - (len(left.paths) - read),
            "of": len(choice.paths),
            "complete": choice.tree.complete and read == len(left.paths),
            "engine": left.engine,
            "slow": self._slow,
            "widened": False,
            "found": [_shown(path, matches) for path, matches in _ordered(found)[:FILES_KEPT]],
            "folders": _by_folder(found),
        }

    def _read(
        self, choice: choose.Choice, paths: Sequence[str]
    ) -> Tuple[List[Tuple[str, Matches]], int]:
        """The matches of each file that has some, and how many files were looked at."""
        found: List[Tuple[str, Matches]] = []
        signal.signal(signal.SIGALRM, _ring)
        signal.signal(signal.SIGPROF, _ring)
        for number, path in enumerate(paths):
            left = self._until - time.monotonic()
            if left <= 0:
                return found, number
            if path in choice.tree.links:
                continue  # what it leads to is a file of its own, or none of ours
            matches = self._matches(os.path.join(choice.base, path), path, left)
            if matches is not None and matches.total:
                found.append((path, matches))
                self._kept += len(matches.hits)
        return found, len(paths)

    def _matches(self, whole: str, path: str, seconds: float) -> Optional[Matches]:
        most = max(self._ask["least"], min(self._ask["most"], self._ask["most"] - self._kept))
        try:
            granted = FILE_CPU_SECONDS + os.stat(whole).st_size / BYTES_PER_CPU_SECOND
            signal.setitimer(signal.ITIMER_PROF, granted)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                return matches_in(whole, self._pattern, most=most, context=self._ask["context"])
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                signal.setitimer(signal.ITIMER_REAL, 0)
        except (_TooSlow, MemoryError, RecursionError):
            if len(self._slow) < SLOW_MAX:
                self._slow.append(path)
            return None
        except OSError:
            return None  # gone, or not ours to read


def _ordered(found: Sequence[Tuple[str, Matches]]) -> List[Tuple[str, Matches]]:
    """The likeliest to be meant first."""

    def key(each: Tuple[str, Matches]) -> Tuple[object, ...]:
        path, matches = each
        return (remoteness(path), not any(hit.defines for hit in matches.hits), path)

    return sorted(found, key=key)


def _shown(path: str, matches: Matches) -> Dict[str, Any]:
    return {
        "path": path,
        "count": matches.total,
        "hits": [list(hit) for hit in matches.hits],
        "around": [list(line) for line in matches.around],
    }


def _by_folder(found: Sequence[Tuple[str, Matches]]) -> List[List[Any]]:
    """Folders, two levels deep, with their hits and files, those with most first."""
    folders: Dict[str, List[int]] = {}
    for path, matches in found:
        folder = "/".join(path.split("/")[:-1][:2])
        counts = folders.setdefault(folder, [0, 0])
        counts[0] += matches.total
        counts[1] += 1
    ordered = sorted(folders.items(), key=lambda each: (-each[1][0], each[0]))
    return [[folder, counts[0], counts[1]] for folder, counts in ordered[:100]]
