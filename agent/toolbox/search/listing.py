"""What files there are: by pattern, newest first, or folder by folder."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Set, Tuple

from agent.toolbox.changes.nearest import similar_paths
from agent.toolbox.files import paths
from agent.toolbox.files.paths import Answer, refusal, refused
from agent.toolbox.search import choose, tree
from agent.toolbox.search.glob import BadPattern

FOLDERS_SHOWN = 20
ENTRIES_MAX = 300
COUNT_SECONDS = 3.0
INNER_MAX = 60
"""Of one folder below the one that is listed."""

DEPTH_MAX = 5


def glob(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """Files below `path` that fit `patterns`, the newest `limit` of them, newest first.

    Where none does, square brackets are taken as part of the names: `as_written`; then what is
    hidden or ignored is looked at as well: `widened`; then folders.
    """
    workdir = limits["workdir"]
    patterns = choose.relative(arguments["patterns"], workdir)
    target = paths.absolute(arguments.get("path") or ".", workdir)
    if len(patterns) == 1:
        folder, rest = choose.rooted(patterns[0])
        target, patterns = (folder, [rest]) if folder else (target, patterns)
    # Only of what is taken in: read so, what leaves out would leave out less than it says.
    written = [p if p.startswith("!") else _literal(p) for p in patterns]
    wide = bool(arguments.get("all"))
    tries = [(patterns, wide)]
    tries += [] if written == patterns else [(written, wide)]
    tries += [] if wide else [(patterns, True)]
    searched = 0
    try:
        while True:
            wanted, everything = tries.pop(0)
            found = choose.choose(
                target, wanted, "", workdir=workdir, hidden=everything, ignored=everything
            )
            searched = max(searched, len(found.tree.paths))
            if found.paths or not tries:
                break
    except BadPattern as problem:
        return refusal(target, "bad_pattern", why=str(problem))
    except OSError as error:
        return missing(target, error, workdir)
    newest = _newest_first(found.base, found.paths)
    return {
        "ok": True,
        "path": target,
        "paths": [shown(found.base, path, workdir) for path in newest[: arguments["limit"]]],
        "total": len(newest),
        "searched": searched,
        "widened": bool(newest) and everything and not wide,
        "as_written": bool(newest) and wanted is written,
        "complete": found.tree.complete,
        "folders": [] if newest else _folders(target, patterns, workdir),
    }


def _literal(pattern: str) -> str:
    return pattern.replace("[", "\\[").replace("]", "\\]")


def missing(target: str, error: OSError, workdir: str) -> Answer:
    """The refusal for a place that cannot be looked at."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return refusal(target, "absent", nearest=similar_paths(target, workdir))
    return refused(target, error)


def shown(base: str, path: str, workdir: str) -> str:
    """A path as the model gets it: from the work directory where it is in there."""
    whole = os.path.join(base, path)
    inside = whole.startswith(workdir.rstrip("/") + "/")
    return whole[len(workdir.rstrip("/")) + 1 :] if inside else whole


def _newest_first(base: str, found: Sequence[str]) -> List[str]:
    dated: List[Tuple[float, str]] = []
    for path in found:
        try:
            dated.append((-os.lstat(os.path.join(base, path)).st_mtime, path))
        except OSError:
            continue  # gone since
    return [path for _, path in sorted(dated)]


def _folders(target: str, patterns: Sequence[str], workdir: str) -> List[str]:
    """Folders that fit where no file does."""
    if not os.path.isdir(target):
        return []
    wanted = choose.Filter(patterns)
    fit: Set[str] = set()
    for path in tree.listed(target):
        folder = path.rpartition("/")[0]
        while folder and folder not in fit:
            if wanted.keeps(folder):
                fit.add(folder)
            folder = folder.rpartition("/")[0]
    return [shown(target, folder, workdir) + "/" for folder in sorted(fit)[:FOLDERS_SHOWN]]


class _Entry(NamedTuple):
    """`name` is the path from the folder listed; a folder's ends in a slash, `files` are in it.

    `files` is -1 where they were not counted.
    """

    name: str
    size: int = 0
    files: int = 0
    target: str = ""
    ignored: bool = False
    more: int = 0  # entries of this folder that are left out


def everything(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """The paths of all files of the work directory, at most `most` of them."""
    found = tree.scan(limits["workdir"], most=arguments["most"])
    return {"ok": True, "paths": found.paths}


def ls(arguments: Dict[str, Any], limits: Dict[str, Any]) -> Answer:
    """What is in a folder, `depth` levels deep: folders first, each with its number of files.

    What is ignored is named and not looked into. Where there are too many files to count them, what
    is ignored is not known either.
    """
    workdir = limits["workdir"]
    target = paths.absolute(arguments.get("path") or ".", workdir)
    depth = min(max(1, arguments.get("depth", 1)), DEPTH_MAX)
    try:
        status = os.stat(paths.possible(target))
        if not stat.S_ISDIR(status.st_mode):
            entry = _Entry(os.path.basename(target), status.st_size)
            return _listing(target, [entry], 1, True)
        os.scandir(target).close()
    except OSError as error:
        return missing(target, error, workdir)
    found = tree.scan(target, seconds=COUNT_SECONDS)
    counts = _counts(found.paths)
    known = frozenset(found.paths) if found.complete else None
    entries, total = _level(target, "", depth, counts, known)
    return _listing(target, entries, total, found.complete)


def _listing(target: str, entries: Sequence[_Entry], total: int, complete: bool) -> Answer:
    shown_entries = [entry._asdict() for entry in entries]
    return {
        "ok": True,
        "path": target,
        "entries": shown_entries,
        "total": total,
        "complete": complete,
    }


def _counts(found: Sequence[str]) -> Dict[str, int]:
    """How many of the files are below each folder; a folder's name ends in a slash."""
    counts: Dict[str, int] = {}
    for path in found:
        at = path.find("/")
        while at >= 0:
            folder = path[: at + 1]
            counts[folder] = counts.get(folder, 0) + 1
            at = path.find("/", at + 1)
    return counts


def _level(
    root: str, below: str, depth: int, counts: Dict[str, int], known: Optional[FrozenSet[str]]
) -> Tuple[List[_Entry], int]:
    """The entries of one folder with those below them, and how many the folder itself has."""
    try:
        with os.scandir(os.path.join(root, below)) as scanned:
            inside = sorted(_entry(each, below, counts, known) for each in scanned)
    except OSError:
        return [], 0
    folders = [entry for entry in inside if entry.name.endswith("/")]
    ordered = folders + [entry for entry in inside if not entry.name.endswith("/")]
    entries: List[_Entry] = []
    for entry in ordered[: INNER_MAX if below else ENTRIES_MAX]:
        entries.append(entry)
        if depth > 1 and entry.name.endswith("/") and not entry.ignored:
            inner, count = _level(root, entry.name, depth - 1, counts, known)
            entries[-1] = entry._replace(more=max(0, count - INNER_MAX))
            entries.extend(inner)
    return entries[:ENTRIES_MAX], len(ordered)


def _entry(
    each: os.DirEntry[str], below: str, counts: Dict[str, int], known: Optional[FrozenSet[str]]
) -> _Entry:
    name = below + each.name
    try:
        if each.is_symlink():
            return _Entry(name, target=os.readlink(each.path), ignored=_out(name, known))
        if each.is_dir(follow_symlinks=False):
            if known is None:
                return _Entry(name + "/", files=-1)
            files = counts.get(name + "/", 0)
            return _Entry(name + "/", files=files, ignored=not files and _has_some(each.path))
        size = each.stat(follow_symlinks=False).st_size
    except OSError:
        return _Entry(name)
    return _Entry(name, size, ignored=_out(name, known))


def _out(name: str, known: Optional[FrozenSet[str]]) -> bool:
    return known is not None and name not in known


def _has_some(path: str) -> bool:
    try:
        with os.scandir(path) as inside:
            return any(True for _ in inside)
    except OSError:
        return True
