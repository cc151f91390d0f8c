"""Finding files and lines in a sandbox without Python: git knows both, the rest is sorted here."""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import Any

from agent.sandbox.plain.patterns import fits
from agent.sandbox.plain.shell import Shell, told

LIST_MAX_BYTES = 20_000_000
HITS_MAX_BYTES = 20_000_000
FILES_SHOWN = 50
ENTRIES_SHOWN = 1_000
TEXT_MAX_CHARS = 300
ABSENT = 3

# Newest first; a name with a line feed in it would be two.
_FILES = """
cd "$1" 2>/dev/null || exit 3
if [ "$2" = all ] || ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  find . -name .git -prune -o -type f -print0
else
  git ls-files -z --cached --others --exclude-standard --deduplicate 2>/dev/null ||
    git ls-files -z --cached --others --exclude-standard
fi | xargs -0 stat -c '%Y %n' -- 2>/dev/null | sort -rn | cut -d' ' -f2- | uniq
exit 0
"""
_LS = """
cd "$1" 2>/dev/null || { [ -e "$1" ] && exit 4; exit 3; }
find . -mindepth 1 -maxdepth "$2" -name .git -prune -o -exec stat -c '%F|%s|%n' -- {} + 2>/dev/null
echo //
find . -name .git -prune -o -mindepth 2 -type f -print 2>/dev/null | head -c 10000000
exit 0
"""
# A pattern means what it means to `grep -E`; git's own walk obeys the rules on what to skip.
_GREP = """
where=$1; shift
if [ -f "$where" ]; then folder=$(dirname "$where"); only=$(basename "$where"); echo file
else folder=$where; only=.; echo folder; fi
cd "$folder" 2>/dev/null || exit 3
rules=--untracked
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || rules="--no-index --no-exclude-standard"
[ "$1" = all ] && rules="--no-index --no-exclude-standard"
shift
git grep $rules -n -I -z --no-color --no-recurse-submodules "$@" -- "$only" \
  ":(exclude,glob)**/.git/**" 2>&1
"""

Answer = dict[str, Any]


async def ls(shell: Shell, path: str, depth: int) -> Answer:
    """What is in a directory, and how many files are below each one in it."""
    code, said = await told(shell, _LS, path, str(min(depth, 5)), limit=LIST_MAX_BYTES)
    if code:
        reason = "absent" if code == ABSENT else "denied"
        return {"ok": False, "reason": reason, "path": path, "why": "not a directory"}
    listed, _, files = _text(said).partition("//\n")
    below = Counter[str]()
    for name in files.splitlines():
        parts = name.removeprefix("./").split("/")[:-1]
        below.update("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    entries: list[Answer] = []
    for row in listed.splitlines():
        kind, _, rest = row.partition("|")
        size, bar, name = rest.partition("|")
        if bar:
            entries.append(_entry(kind, size, name.removeprefix("./"), below))
    entries.sort(key=_place)
    top = sum("/" not in str(entry["name"]).rstrip("/") for entry in entries)
    return {"ok": True, "entries": entries[:ENTRIES_SHOWN], "total": top, "complete": True}


def _place(entry: Answer) -> list[str]:
    return str(entry["name"]).split("/")


def _entry(kind: str, size: str, name: str, below: Counter[str]) -> Answer:
    if kind == "directory":
        return {"name": f"{name}/", "files": below[name]}
    return {"name": name, "size": int(size) if size.isdigit() else 0}


async def glob(shell: Shell, below: str, path: str, arguments: Answer) -> Answer:
    """Files by name, those that git ignores left out unless there is nothing else."""
    patterns, limit = list(arguments.get("patterns") or ()), int(arguments.get("limit", 200))
    names = await _files(shell, path, all_of_them=bool(arguments.get("all")))
    if names is None:
        return {"ok": False, "reason": "absent", "path": path}
    found = [name for name in names if fits(name, patterns)]
    widened = False
    if not found and not arguments.get("all"):
        names = await _files(shell, path, all_of_them=True) or []
        found = [name for name in names if fits(name, patterns)]
        widened = bool(found)
    return {
        "ok": True,
        "paths": [f"{below}{name}" for name in found[:limit]],
        "total": len(found),
        "searched": len(names),
        "widened": widened,
    }


async def everything(shell: Shell, path: str, most: int) -> Answer:
    """The paths of all files, at most so many, those that git ignores left out."""
    names = await _files(shell, path, all_of_them=False) or []
    return {"ok": True, "paths": sorted(names[:most])}


async def _files(shell: Shell, path: str, *, all_of_them: bool) -> list[str] | None:
    word = "all" if all_of_them else "kept"
    code, said = await told(shell, _FILES, path, word, limit=LIST_MAX_BYTES)
    if code:
        return None
    return [name.removeprefix("./") for name in _text(said).splitlines()]


async def grep(shell: Shell, below: str, path: str, arguments: Answer) -> Answer:
    """Lines by content."""
    words = ["-F" if arguments.get("fixed") else "-E", "-e", str(arguments["pattern"])]
    words += ["-i"] if arguments.get("ignore_case") else []
    word = "all" if arguments.get("all") else "kept"
    code, said = await told(shell, _GREP, path, word, *words, limit=HITS_MAX_BYTES)
    if code == ABSENT:
        return {"ok": False, "reason": "absent", "path": path}
    if code > 1:
        why = " ".join(_text(said).partition("\n")[2].split())[:300]
        return {"ok": False, "reason": "bad_pattern", "path": path, "why": why}
    patterns: list[str] = list(arguments.get("patterns") or ())
    if arguments.get("kind"):
        patterns.append(f"*.{arguments['kind']}")
    found: dict[str, list[list[Any]]] = {}
    kind, _, rows = _text(said).partition("\n")
    before = f"{posixpath.dirname(below.rstrip('/'))}/".lstrip("/") if kind == "file" else below
    for row in rows.split("\n"):
        name, _, rest = row.partition("\0")
        number, _, text = rest.partition("\0")
        if number.isdigit() and fits(name, patterns):
            shown = [int(number), text.rstrip("\r")[:TEXT_MAX_CHARS], "", "", False]
            found.setdefault(f"{before}{name}", []).append(shown)
    files: list[Answer] = [
        {"path": name, "count": len(hits), "hits": hits} for name, hits in found.items()
    ]
    total = sum(map(len, found.values()))
    searched = len(found) if total else len(await _files(shell, path, all_of_them=False) or [""])
    form = _form(str(arguments.get("mode", "hits")), total, arguments)
    if form in ("counts", "files"):
        files = [{"path": f["path"], "count": f["count"]} for f in files]
    return {
        "ok": True,
        "total": total,
        "files": len(found),
        "searched": searched,
        "of": searched,
        "form": form,
        "found": files if form in ("text", "places") else files[:FILES_SHOWN],
        "engine": "git",
    }


def _form(mode: str, total: int, arguments: Answer) -> str:
    if mode in ("files", "count"):
        return "files" if mode == "files" else "counts"
    if total <= int(arguments.get("text_hits", 100)):
        return "text"
    return "places" if total <= int(arguments.get("place_hits", 400)) else "counts"


def _text(said: bytes) -> str:
    return said.decode("utf-8", "surrogateescape")
